"""`make bench`: every figure beside the machine's own limit for the same work, taken in the same run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks import cascades, executors, machine, models, processes, scale, search, versions
from benchmarks.machine import Figure

RESULTS = Path(".benchmarks/latest.json")

FIGURES: list[Callable[[], Figure | list[Figure]]] = [
    lambda: cascades.bulk(100_000, repeats=3),
    lambda: cascades.bulk(10_000),
    lambda: cascades.one_row("one `set`, three chained triggers", None, "full", 1, "≤ 2", "1.3"),
    lambda: cascades.one_row("the same as tasks, `inline=False`", False, "full", 2, "≤ 3", "1.5"),
    lambda: cascades.one_row(
        'the first with `durability="normal"`', None, "normal", 1, "≤ 0.3 ms", "0.1 ms"
    ),
    cascades.threads,
    models.batches,
    models.waiting,
    cascades.changed_code,
    cascades.nothing_listens,
    processes.across,
    scale.long_queue,
    scale.large_table,
    scale.pruned,
    search.nearest,
    search.filtered,
    search.churned,
    search.fresh,
    search.opening,
    search.promotion,
    versions.reembedding,
    versions.during_a_fit,
    executors.thread,
    lambda: executors.process(1, "≤ 0.4"),
    lambda: executors.process(executors.ROWS, "≤ 1"),
    executors.timed_process,
]


def main() -> None:
    """Measure, show a table, and write the figures to a file."""
    console = Console()
    about = machine.description()
    figures: list[Figure] = []
    for measure in track(FIGURES, "measuring", console=console):
        given = measure()
        figures += given if isinstance(given, list) else [given]
    console.print(table_of(about, figures))
    RESULTS.parent.mkdir(exist_ok=True)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    found = {"at": at, "machine": about, "figures": [asdict(figure) for figure in figures]}
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    console.print(f"written to {RESULTS}")


def table_of(about: str, figures: list[Figure]) -> Table:
    """Return the figures as a table for the terminal."""
    table = Table("work", "measured", "limit, same run", "ratio", "must", "aim", title=about)
    for figure in figures:
        numbers = [
            f"{number:,.0f}" if number > 100 else f"{number:.2f}"
            for number in (figure.value, figure.limit)
        ]
        shown = [f"{number} {figure.unit}" for number in numbers]
        table.add_row(
            figure.work, *shown, f"{figure.ratio:.2f} {figure.means}", figure.must, figure.aim
        )
    return table


main()
