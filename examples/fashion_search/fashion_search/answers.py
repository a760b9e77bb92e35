"""Answers: asking the store, and reading what the pipeline found, as sections of a contact sheet or a table."""

from __future__ import annotations

from itertools import groupby

from rich.markup import escape
from rich.tree import Tree

import motion
from fashion_search.contact_sheet import Item, Section
from fashion_search.pipeline import QuerySchema, QuerySource, RetailerSchema

WAIT_S = 60.0


def ask(store: motion.Store, query: str) -> int:
    """Ask a question as somebody who waits for the answer; return the query's id when it is answered.

    Raises:
        motion.TaskFailed: a step of the pipeline gave up; it says which, and why.
    """
    change = store.set("query", query=query, src=QuerySource.ONLINE).wait(timeout=WAIT_S)
    return int(change.id)


def sections_of(store: motion.Store, query_id: int) -> list[Section]:
    """Return each idea with the products that were found for it, best first."""
    return [
        Section(rows[0].text_suggestion, [_item(store, row) for row in rows])
        for rows in _by_idea(store, query_id)
    ]


def links_of(store: motion.Store, query_id: int, each: int = 3) -> Tree:
    """Return the answer as a tree: each idea with its first products, their scores, shops and links."""
    tree = Tree("", hide_root=True)
    for section_rows in _by_idea(store, query_id):
        branch = tree.add(f"[bold]{escape(section_rows[0].text_suggestion)}[/bold]")
        for row in section_rows[:each]:
            product = store.get(RetailerSchema, row.img_id)
            if product is not None:
                shop = product.retailer.name.title()
                branch.add(
                    f"{row.img_score / 100:.2f}  {escape(product.title)} [dim]at {shop}[/dim]\n"
                    f"[blue]{escape(row.link or '')}[/blue]"
                )
    return tree


def _by_idea(store: motion.Store, query_id: int) -> list[list[QuerySchema]]:
    found = [row for row in store.rows(QuerySchema, id=query_id) if row.img_id is not None]
    return [list(rows) for _, rows in groupby(found, key=lambda row: row.text_suggestion_page)]


def _item(store: motion.Store, row: QuerySchema) -> Item:
    product = store.get(RetailerSchema, row.img_id)
    assert product is not None, "an answer names products of the catalog"
    return Item(product.image, product.title, product.retailer.name.title(), row.img_score / 100)
