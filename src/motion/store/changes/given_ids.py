"""Given ids: those of the rows that a change wrote, in little memory: runs of numbers as their two ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

IDS_KEPT = 250_000
"""Ids that are kept beside those in runs of numbers; of a change of more rows it is not known which these are."""


class GivenIds:
    """Ids in the order given."""

    def __init__(self, ids: Sequence[Any] = ()) -> None:
        self._parts: list[range | list[Any]] = []
        self._count = 0
        self.is_whole = True
        self.add(ids)

    def add(self, ids: Sequence[Any]) -> None:
        """Add ids, unless there are too many to be kept: then none is known any more."""
        if not ids or not self.is_whole:
            return
        last = self._parts[-1] if self._parts else None
        run = _run_of(ids)
        if run is None:
            self._count += len(ids)
            if isinstance(last, list):
                last += ids
            else:
                self._parts.append(list(ids))
        elif isinstance(last, range) and last.stop == run.start:
            self._parts[-1] = range(last.start, run.stop)
        else:
            self._count += 1
            self._parts.append(run)
        if self._count > IDS_KEPT:
            self.is_whole, self._parts = False, []

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def __getitem__(self, place: int) -> Any:
        """Return the id at a place, counted from the first."""
        for part in self._parts:
            if place < len(part):
                return part[place]
            place -= len(part)
        raise IndexError(place)

    def in_parts(self, size: int) -> Iterator[list[Any]]:
        """Give the ids in lists of at most so many."""
        for part in self._parts:
            for start in range(0, len(part), size):
                yield list(part[start : start + size])


def _run_of(ids: Sequence[Any]) -> range | None:
    """Return ids that are numbers, each larger by one than the one before, as a range."""
    first, last = ids[0], ids[-1]
    if (
        len(ids) < 3
        or type(first) is not int
        or type(last) is not int
        or last - first != len(ids) - 1
    ):
        return None
    run = range(first, last + 1)
    return run if all(map(int.__eq__, ids, run)) else None
