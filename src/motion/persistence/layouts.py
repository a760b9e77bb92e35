"""The layouts of all tables under one graph."""

from __future__ import annotations

from collections.abc import Iterator

from motion.definitions.graph import Graph
from motion.persistence.layout import Layout


class Layouts:
    """The layouts of all tables under one graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._by_table = {table.name: Layout(table, graph) for table in graph.tables}

    def __getitem__(self, table: str) -> Layout:
        return self._by_table[table]

    def __iter__(self) -> Iterator[Layout]:
        return iter(self._by_table.values())
