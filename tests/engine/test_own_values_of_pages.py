"""Pages with values of their own: a trigger runs on such a page too, and what it gives there stays true as page 0 changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import motion


@dataclass
class Doc:
    id: int
    title: str | None = None
    brand: str | None = None
    shelf: str | None = None
    label: str | None = None
    sign: str | None = None
    page: int = 0
    text: str | None = None
    line: str | None = None


def triggers(*, inline: bool | None) -> list[Any]:
    @motion.trigger(on=["doc.title", "doc.brand"], sets="doc.label", inline=inline)
    def label(title: str, brand: str) -> str:
        return f"{title} by {brand}"

    @motion.trigger(on=["doc.label", "doc.shelf"], sets="doc.sign", inline=inline)
    def sign(label: str, shelf: str) -> str:
        return f"{label}, {shelf}"

    @motion.trigger(on=["doc.text", "doc.sign"], sets="doc.line", inline=inline)
    def line(text: str, sign: str | None) -> str:
        return f"{text} ({sign})"

    return [label, sign, line]


def opened(url: str, *, inline: bool | None = None) -> motion.Store:
    return motion.create_store(
        "docs", schemas={"doc": Doc}, triggers=triggers(inline=inline), url=url
    )


GIVEN = ("title", "brand", "shelf", "text")
ROOTS = {"label": ("title", "brand"), "sign": ("label", "shelf")}


class Model:
    """What rows are to show: worked out from what was given, and from which pages had something of their own."""

    def __init__(self) -> None:
        self.pages: dict[int, dict[str, str | None]] = {}
        self.own: dict[int, set[str]] = {}

    def set(self, page: int, values: dict[str, str | None]) -> None:
        row = self.pages.setdefault(page, {})
        changed = {key for key, value in values.items() if row.get(key) != value}
        row.update(values)
        self.own.setdefault(page, set()).update(changed)

    def shown(self, page: int) -> dict[str, str | None]:
        zero = self.shown(0) if page else {}
        row, own = self.pages.get(page, {}), self.own.get(page, set())
        found = {key: row.get(key) or (zero.get(key) if key != "text" else None) for key in GIVEN}
        for key, roots in ROOTS.items():
            needs = [found[each] for each in roots]
            runs = not page or bool(own & set(roots))
            value = (" by " if key == "label" else ", ").join(map(str, needs))
            found[key] = value if runs and None not in needs else zero.get(key)
            if runs and page:
                own = own | {key}
        found["line"] = f"{found['text']} ({found['sign']})" if found["text"] else None
        return found


steps = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.dictionaries(st.sampled_from(GIVEN), st.sampled_from(["a", "b", None]), min_size=1),
        st.booleans(),
    ),
    min_size=1,
    max_size=12,
)


def play(store: motion.Store, played: Sequence[tuple[int, dict[str, Any], bool]]) -> None:
    model = Model()
    for page, values, is_awaited in played:
        change = store.set("doc", id=1, page=page, **values)
        if is_awaited:
            change.wait(timeout=60)
        model.set(page, values)
    store.wait(timeout=60)
    for row in store.rows("doc", id=1):
        wanted = model.shown(row.page)
        assert {key: getattr(row, key) for key in wanted} == wanted, (row.page, played)
    assert {each.stale for each in store.status().triggers.values()} == {0}
    for name in ("label", "sign"):
        assert store.plan(name).stale == 0


@settings(max_examples=60, deadline=None)
@given(played=steps)
@pytest.mark.parametrize("inline", [True, False])
def test_what_pages_show_is_that_of_what_they_show(
    inline: bool, played: Sequence[tuple[int, dict[str, Any], bool]]
) -> None:
    with opened(":memory:", inline=inline) as store:
        play(store, played)


@pytest.mark.parametrize("inline", [True, False])
def test_a_page_whose_own_value_is_unset_again_follows_page_0(tmp_path: Path, inline: bool) -> None:
    with opened(f"sqlite:///{tmp_path}/docs", inline=inline) as store:
        store.set("doc", id=1, title="coat", brand="Ash", shelf="3").wait(timeout=60)
        store.set("doc", id=1, page=2, title="hat").wait(timeout=60)
        assert store.get("doc", 1, page=2).sign == "hat by Ash, 3"
        store.set("doc", id=1, page=2, title=None).wait(timeout=60)
        store.set("doc", id=1, title="scarf").wait(timeout=60)
        assert [row.sign for row in store.rows("doc", id=1)] == ["scarf by Ash, 3"] * 2


@pytest.mark.parametrize("inline", [True, False])
def test_what_a_page_inherits_beside_its_own_value_is_followed(
    tmp_path: Path, inline: bool
) -> None:
    with opened(f"sqlite:///{tmp_path}/docs", inline=inline) as store:
        store.set("doc", id=1, title="coat", shelf="3").wait(timeout=60)
        store.set("doc", id=1, page=2, title="hat").wait(timeout=60)
        assert store.get("doc", 1, page=2).label is None
        store.set("doc", id=1, brand="Ash").wait(timeout=60)
        assert store.get("doc", 1, page=2).label == "hat by Ash"
        store.set("doc", id=1, brand="Elm").wait(timeout=60)
        assert store.get("doc", 1, page=2).label == "hat by Elm"


def test_a_page_with_a_value_of_its_own_is_not_stale_as_page_0_changes(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path}/docs") as store:
        store.set("doc", id=1, title="coat", brand="Ash", shelf="3").wait(timeout=60)
        store.set("doc", id=1, page=2, title="hat", brand="Elm").wait(timeout=60)
        store.set("doc", id=1, title="scarf", brand="Oak").wait(timeout=60)
        plan = store.plan("label")
        assert (plan.stale, plan.missing, plan.current) == (0, 0, 2)
        assert store.explain("doc", 1, "label", page=2).is_due is False


def test_a_page_that_is_due_for_another_trigger_has_no_value_of_its_own_by_that(
    tmp_path: Path,
) -> None:
    @motion.trigger(on=["doc.title", "doc.text"], sets="doc.line")
    def line(title: str, text: str | None) -> str:
        return f"{title}: {text}"

    with motion.create_store(
        "docs",
        schemas={"doc": Doc},
        triggers=[*triggers(inline=None)[:1], line],
        url=f"sqlite:///{tmp_path}/docs",
    ) as store:
        store.set("doc", id=1, title="coat", brand="Ash").wait(timeout=60)
        store.set("doc", id=1, page=1, text="a").wait(timeout=60)
        store.backfill(line, force=True).wait(timeout=60)
        store.set("doc", id=1, brand="Elm").wait(timeout=60)
        assert store.get("doc", 1, page=1).label == "coat by Elm"
        assert store.rows("doc", id=1, inherit=False)[1].label is None
        assert store.plan("label").current == 1
