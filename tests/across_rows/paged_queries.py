"""Queries with pages, as windows and folds over them are tried: what is written at random, and a trigger that makes pages."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st

import motion

IDS = st.integers(1, 4)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "ts": st.one_of(st.integers(1, 6), st.none()),
    "user": st.sampled_from(["a", "a", "b", None]),
    "kind": st.sampled_from(["x", "y", None]),
    "brand": st.sampled_from(["a", "a", "b", None]),
    "score": st.one_of(st.integers(0, 9), st.none()),
    "make": st.lists(st.integers(0, 9), max_size=4),
}
PAGES = st.sampled_from([0, 0, 1, 2])
CHANGES = st.lists(
    st.one_of(
        st.fixed_dictionaries({"id": IDS, "page": PAGES}, optional=VALUES),
        st.fixed_dictionaries({"id": IDS}, optional=VALUES),
        st.fixed_dictionaries({"id": IDS, "make": VALUES["make"]}),
        IDS,
    ),
    min_size=4,
    max_size=16,
)


@motion.trigger(on="query.make", sets=("query.brand", "query.score"), page="page")
def fan_out(make: list[int]) -> list[tuple[str, int]]:
    return [("ab"[n % 2], n) for n in make]


def change(store: motion.Store, done: Any) -> motion.Change:
    return store.delete("query", done) if isinstance(done, int) else store.set("query", **done)
