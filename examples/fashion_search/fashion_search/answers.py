"""Answers: asking the store, and reading what the pipeline found, for the terminal or a contact sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import shorten
from typing import TYPE_CHECKING

from rich.text import Text

import motion
from fashion_search.pipeline import QuerySchema, QuerySource, Retailer, RetailerSchema

if TYPE_CHECKING:
    from fashion_search.contact_sheet import Section

WAIT_S = 90.0  # longer than an endpoint may take for its ideas

SHOPS = {
    Retailer.NORDSTROM: "Nordstrom",
    Retailer.REVOLVE: "Revolve",
    Retailer.BLOOMINGDALES: "Bloomingdale's",
}


@dataclass(frozen=True)
class Found:
    """A product that was found for an idea: the query's row, and the product's."""

    row: QuerySchema
    product: RetailerSchema

    @property
    def name(self) -> str:
        return name_of(self.product)

    @property
    def shop(self) -> str:
        return SHOPS[self.product.retailer]

    @property
    def number(self) -> str:
        """The answer's number, by which it can be judged: of the query, the idea and the picture."""
        return f"{self.row.id}.{self.row.text_suggestion_page}.{self.row.img_id_page}"

    @property
    def score(self) -> float:
        return self.row.img_score / 100


def name_of(product: RetailerSchema) -> str:
    """Return what a product is called: its title, or the beginning of its description."""
    text = product.img_desc or product.img_summary or "untitled"
    return product.title or shorten(text, 60, placeholder="…")


class NoSuchAnswer(ValueError):
    """A number was given that no answer has."""

    def __init__(self, number: str) -> None:
        super().__init__(number)
        self.number = number

    def __str__(self) -> str:
        return (
            f"there is no answer {self.number!r}; an answer's number stands behind it where 'search' prints it, such as "
            "12.0.3: the query, the idea and the picture."
        )


def ask(store: motion.Store, query: str) -> int:
    """Ask a question as somebody who waits for the answer; return the query's id when it is answered.

    Raises:
        motion.TaskFailed: a step of the pipeline gave up; it says which, and why.
        motion.WaitTimeout: there is no answer yet.
    """
    change = store.set("query", query=query, src=QuerySource.ONLINE).wait(timeout=WAIT_S)
    assert isinstance(change.id, int), "the schema says so"
    return change.id


def answer_of(store: motion.Store, query_id: int) -> dict[str, list[Found]]:
    """Return each idea, in the order of the ideas, with the products that were found for it, best first."""
    answer: dict[str, list[Found]] = {}
    for row in store.rows(QuerySchema, id=query_id):
        if row.text_suggestion is None:
            continue
        found = answer.setdefault(row.text_suggestion, [])
        product = store.get(RetailerSchema, row.img_id) if row.img_id is not None else None
        if product is not None:  # it may have been deleted since
            found.append(Found(row, product))
    return answer


def sections_of(answer: dict[str, list[Found]]) -> list[Section]:
    """Return an answer as the sections of a contact sheet."""
    from fashion_search.contact_sheet import (
        Item,
        Section,
    )  # Pillow, which nobody needs who only reads

    return [
        Section(
            idea, [Item(each.product.image, each.name, each.shop, each.score) for each in found]
        )
        for idea, found in answer.items()
    ]


def judge(store: motion.Store, numbers: Sequence[str], is_liked: bool) -> None:
    """Keep what somebody thought of answers, all or none of them.

    Raises:
        NoSuchAnswer: a number is that of no answer.
    """
    rows = [row_of_answer(store, number) for number in numbers]
    with store.transaction() as tx:
        for row in rows:
            tx.set(row, feedback=is_liked)


def row_of_answer(store: motion.Store, number: str) -> QuerySchema:
    parts = number.split(".")
    if len(parts) == 3 and all(part.isdecimal() for part in parts):
        id, idea, picture = map(int, parts)
        row = store.get(QuerySchema, id, text_suggestion_page=idea, img_id_page=picture)
        if row is not None and row.img_id is not None:
            return row
    raise NoSuchAnswer(number)


def told(answer: dict[str, list[Found]], each: int = 3) -> Text:
    """Return an answer as text: each idea with its first products, their numbers, scores, shops and links.

    A link is one line, however long, so that terminals make it clickable and it can be copied; print it with
    `soft_wrap=True`. Where nothing fits at all, that is said.
    """
    text = Text()
    if not any(answer.values()):
        return Text("  nothing in these catalogs fits that", "dim")
    for idea, found in answer.items():
        text.append(f"  {idea}\n", "bold")
        if not found:
            text.append("    nothing that fits\n", "dim")
        for one in found[:each]:
            text.append(f"    {one.score:.2f}  ", "cyan")
            text.append(one.name)
            text.append(f", {one.shop}", "dim")
            text.append(f"  {one.number}\n", "cyan")
            if one.row.link:
                text.append(f"    {one.row.link}\n", "blue")
    text.rstrip()
    return text
