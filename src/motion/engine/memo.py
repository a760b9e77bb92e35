"""Memo: which rows of a claim need a call, where equal inputs give equal results, and what the others get."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.outcomes import Outcomes
from motion.persistence.changes.isolation import Left

WROTE = (
    "the function wrote through the store, which a kept result would not do again: memo=True is for functions of their "
    "parameters alone."
)


@dataclass(frozen=True)
class Recall:
    """What is known of the rows of one run before it is made.

    Attributes:
        digests: for each row, what names its result.
        known: digest -> its result, as far as results are kept.
        elsewhere: digests of calls that another claim makes.
    """

    spec: TriggerSpec
    digests: Sequence[bytes]
    known: Mapping[bytes, Any]
    elsewhere: Set[bytes] = frozenset()

    @cached_property
    def places(self) -> Mapping[bytes, int]:
        """Digest -> its place among the calls, for those that are not known, nor called elsewhere."""
        others = self.known.keys() | self.elsewhere
        unknown = dict.fromkeys(digest for digest in self.digests if digest not in others)
        return {digest: place for place, digest in enumerate(unknown)}

    @cached_property
    def awaited(self) -> list[int]:
        """The rows that have their result by calls of another claim."""
        return [i for i, digest in enumerate(self.digests) if digest in self.elsewhere]

    @cached_property
    def asked(self) -> list[int]:
        """The rows to call the function on: of equal ones the first."""
        first: dict[bytes, int] = {}
        for i, digest in enumerate(self.digests):
            if digest in self.places:
                first.setdefault(digest, i)
        return list(first.values())

    def part(self, rows: Sequence[int]) -> Recall:
        """Return what is known of some of the rows: of each call either all rows that share it, or none."""
        return Recall(self.spec, [self.digests[i] for i in rows], self.known, self.elsewhere)

    def sharing(self, asked: Set[int]) -> list[int]:
        """Return the rows that get what some of the calls, by their places, gave."""
        return [i for i, digest in enumerate(self.digests) if self.places.get(digest) in asked]

    def fresh(self, given: Outcomes) -> dict[bytes, Any]:
        """Return the results of the calls, by what they are kept under. What failed is not kept."""
        return {
            digest: _result(given, place)
            for digest, place in self.places.items()
            if place not in given.errors
        }

    def whole(self, given: Outcomes, writes: Sequence[Left]) -> Outcomes:
        """Return the outcomes of all rows, from those of the calls: rows with equal inputs share one, errors too.

        Args:
            writes: what the calls left with the store. Those that did have failed.
        """
        given.errors |= {place: WROTE for left in writes if left.operations for place in left.rows}
        results, whole = {**self.known, **self.fresh(given)}, Outcomes()
        found = [results.get(digest) for digest in self.digests]
        whole.errors = {
            i: given.errors[self.places[digest]]
            for i, digest in enumerate(self.digests)
            if self.places.get(digest) in given.errors
        }
        if self.spec.is_columnar:
            count = len(self.spec.sets)
            rows = [result or (None,) * count for result in found]
            whole.columns = [[row[position] for row in rows] for position in range(count)]
        else:
            whole.items = [[_item(item) for item in result or ()] for result in found]
        return whole


class SharedCalls:
    """The inputs that this process calls functions with memos on: a claim that meets one of these waits for its result.
    Thread-safe. Who makes a call is said by the claim, whatever stands for it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._makers: dict[tuple[str, bytes], object] = {}
        self._calls: dict[object, set[tuple[str, bytes]]] = {}

    def begin(self, maker: object, trigger: str, digests: Iterable[bytes]) -> set[bytes]:
        """Take in that a claim makes the calls on inputs, and return those of them that another makes already."""
        with self._lock:
            elsewhere = {
                digest
                for digest in digests
                if self._makers.setdefault((trigger, digest), maker) is not maker
            }
            mine = {(trigger, digest) for digest in digests if digest not in elsewhere}
            self._calls.setdefault(maker, set()).update(mine)
        return elsewhere

    def end(self, maker: object, but_for: Set[bytes] = frozenset()) -> None:
        """Take in that a claim makes its calls no more, but for some: what they gave is kept, or they have failed."""
        with self._lock:
            calls = self._calls.pop(maker, set())
            still = {call for call in calls if call[1] in but_for}
            for call in calls - still:
                del self._makers[call]
            if still:
                self._calls[maker] = still

    def is_made(self, trigger: str, digest: bytes) -> bool:
        """Whether a claim makes the call on an input now."""
        return (trigger, digest) in self._makers


def _result(given: Outcomes, place: int) -> Any:
    if given.columns:
        return [column[place] for column in given.columns]
    return given.items[place]


def _item(item: Any) -> Any:
    """Return a page's values or a row of another table; what was kept has lists for tuples."""
    return item if isinstance(item, dict) else tuple(item)
