"""Rows with pages are not folded. What the refusal says to do instead gives, whatever happens to the pages, what folding them
from scratch would."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import pytest

import motion
from tests.conftest import OpenStore


@dataclass
class Doc:
    id: int
    author: int
    text: str
    summary: str
    page: int
    part: str


@dataclass
class Author:
    id: int
    seen: str


@dataclass
class Piece:
    id: str
    doc: Annotated[int, motion.Ref("doc")]
    author: int
    place: int
    part: str


SCHEMAS = {"doc": Doc, "author": Author, "piece": Piece}


def over(on: str, by: str, sets: str, **options: Any) -> Any:
    def keeping(summary: str | None, part: str) -> str:
        return f"{summary or ''}[{part}]"

    def keeping_seen(seen: str | None, part: str) -> str:
        return f"{seen or ''}[{part}]"

    function = keeping_seen if sets.endswith("seen") else keeping
    return motion.fold(on=on, by=by, sets=sets, name=f"by {by}", **options)(function)


@pytest.mark.parametrize(
    ("by", "sets", "options", "watched"),
    [
        ("doc.author", "author.seen", {}, "'doc.part', 'doc.author'"),
        ("doc.author", "author.seen", {"order": "doc.page"}, "'doc.part', 'doc.author'"),
        ("doc.author", "author.seen", {"order": "doc.text"}, "'doc.part', 'doc.author', 'doc.text'"),
        ("doc.id", "doc.summary", {}, "'doc.part'"),
    ],
)  # fmt: skip
def test_a_fold_over_rows_with_pages_is_refused_with_what_to_do_instead(
    open_store: OpenStore, by: str, sets: str, options: dict[str, Any], watched: str
) -> None:
    with pytest.raises(motion.TriggerError) as refused:
        open_store(schemas=SCHEMAS, triggers=[over("doc.part", by, sets, **options)])
    told = str(refused.value)
    assert "rows of 'doc', which has page keys (page)" in told
    assert f"@motion.trigger(on=({watched}), sets='piece')" in told
    assert "[Piece(id=f'{id}/{page}', ...)]" in told


@motion.trigger(on="doc.text", sets="doc.part", page="page")
def cut(text: str) -> list[str]:
    return text.split()


@motion.trigger(on=("doc.part", "doc.author"), sets="piece")
def piece_of(id: int, page: int, author: int, part: str) -> list[Piece]:
    return [Piece(f"{id}/{page}", id, author, page, part)]


class World:
    """Documents in a store, and what is to be in it: of each its author and its parts by page."""

    def __init__(self, store: motion.Store, seed: int) -> None:
        self.store, self.random = store, random.Random(seed)
        self.docs: dict[int, tuple[int, dict[int, str]]] = {}

    def step(self) -> None:
        doc = self.random.randrange(4)
        ways: list[Callable[[int], None]] = [self.write, self.write]
        if doc in self.docs:
            ways += [self.move, self.edit_page, self.delete]
        self.random.choice(ways)(doc)

    def write(self, doc: int) -> None:
        """Replace its pages by others, more or fewer."""
        author = self.docs[doc][0] if doc in self.docs else self.random.randrange(3)
        words = [self.random.choice("abc") for _ in range(self.random.randrange(1, 5))]
        self.store.set("doc", id=doc, author=author, text=" ".join(words)).wait(timeout=60)
        self.docs[doc] = author, dict(enumerate(words))

    def move(self, doc: int) -> None:
        """Give it to another author: its pages show that, and do not store it."""
        author = self.random.randrange(3)
        self.store.set("doc", id=doc, author=author)
        self.docs[doc] = author, self.docs[doc][1]

    def edit_page(self, doc: int) -> None:
        page = self.random.choice(list(self.docs[doc][1]))
        self.store.set("doc", id=doc, page=page, part="edited")
        self.docs[doc][1][page] = "edited"

    def delete(self, doc: int) -> None:
        self.store.delete("doc", doc)
        del self.docs[doc]

    def check(self) -> None:
        self.store.wait(timeout=60)
        assert self.store.errors() == []
        seen: dict[int, list[tuple[int, str, str]]] = {}
        for doc, (author, parts) in self.docs.items():
            row = self.store.get(Doc, doc, page=0)
            assert row is not None
            assert row.summary == "".join(f"[{parts[page]}]" for page in sorted(parts))
            seen.setdefault(author, []).extend((p, f"{doc}/{p}", parts[p]) for p in parts)
        found = {row.id: row.seen for row in self.store.rows(Author) if row.seen is not None}
        assert found == {
            author: "".join(f"[{part}]" for _, _, part in sorted(each))
            for author, each in seen.items()
        }


@pytest.mark.parametrize("seed", range(4))
def test_rows_made_of_pages_are_folded_as_their_pages_are(open_store: OpenStore, seed: int) -> None:
    folds = [
        over("piece.part", "piece.doc", "doc.summary", order="piece.place"),
        over("piece.part", "piece.author", "author.seen", order="piece.place"),
    ]
    world = World(open_store(schemas=SCHEMAS, triggers=[cut, piece_of, *folds]), seed)
    for _ in range(25):
        world.step()
        if world.random.random() < 0.4:
            world.check()
    world.check()
