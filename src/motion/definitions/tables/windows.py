"""Windows: what earlier rows of the same entity hold, as of each row. What is declared; the graph and the rows do the rest."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from motion.definitions.tables.lookups import OfOtherRows
from motion.definitions.values.plain import LARGEST_COUNT
from motion.errors import TriggerError, shortened

Aggregate = Literal["list", "count", "sum", "mean", "min", "max", "std", "last", "distinct"]

AGGREGATES: tuple[Aggregate, ...] = (
    "list", "count", "sum", "mean", "min", "max", "std", "last", "distinct",
)  # fmt: skip

OF_SEVERAL_KEYS: tuple[Aggregate, ...] = ("list", "last")


@dataclass(frozen=True)
class Window(OfOtherRows):
    """`Annotated[float, motion.Window("payment.amount", by="card", within=timedelta(hours=1), agg="sum")]` as a trigger's
    parameter, or as a key of a schema: what the rows with the same `by` hold as of this row: an SQL `OVER` frame.

    In it are the rows whose order lies in (this row's − `within`, this row's], never later ones, and this row itself only
    with `itself=True`. Rows are ordered by `order`, else by `ts`, else by id, and rows of one order by id. Rows whose key,
    `by` or order is unset are in no window. A row that comes late, changes, moves or goes makes those due that hold, or held, it.

    Args:
        key: "table.key": what is held; of the row's own table, or of another one. Several keys of one table are held as
            tuples, by "list" and "last".
        by: the key that tells entities apart; for another table the row's own key and that table's, ("buyer", "click.user").
        within: how far back; where the order is a time: a datetime, a date, or an int or a float of milliseconds.
        rows: how many rows at most, the last ones. Neither: all earlier rows.
        agg: "list" of the values in order, or of the "distinct" ones, each where it stands first; "count", "sum" (0 of none);
            "mean", "min", "max", "last" (unset of none); "std", of the rows as a sample (unset of fewer than two).
        itself: the row itself is in its window, too.
        order: the key by which rows are ordered, a number, a text or a time; for another table the row's own key and that
            table's, ("ts", "click.seen_at").
        where: it holds only the rows with these values, {"kind": "sale"}, of keys of their own; None: where it is unset.

    Raises:
        TriggerError: an argument is not of this form.
    """

    key: str | tuple[str, ...]
    by: str | tuple[str, str]
    within: timedelta | None = None
    rows: int | None = None
    agg: Aggregate = "list"
    itself: bool = False
    order: str | tuple[str, str] | None = None
    """The keys by which rows are ordered; once it is held against the tables, names within the row's own and the other
    table."""
    where: Mapping[str, Any] | tuple[tuple[str, str | int | float | None], ...] = field(
        default=(), repr=False
    )
    """Pairs of key and value, sorted; stored values once it is held against the tables."""
    is_of_arrays: bool = field(default=False, repr=False)
    """Whether it holds arrays; found when it is held against the tables."""

    def __post_init__(self) -> None:
        def refuse(what: str) -> None:
            raise TriggerError(f"motion.Window({self.key!r}): {what}")

        for each in self.keys:
            self._check_key(each, "motion.Window takes the key that is held")
        if not self.keys or len({each.partition(".")[0] for each in self.keys}) > 1:
            refuse("several keys are of one table, whose rows are held.")
        if not isinstance(self.by, str) and not (_is_pair(self.by) and "." in self.by[1]):
            refuse(
                f"by= takes a key, or the row's own and the other table's, such as ('buyer', 'click.user'), not {shortened(self.by)}."
            )
        if not isinstance(self.order, str | None) and not _is_pair(self.order):
            refuse(
                f"order= takes a key, or the row's own and the other table's, such as ('ts', 'click.seen_at'), not "
                f"{shortened(self.order)}."
            )
        if self.within is not None and not (
            isinstance(self.within, timedelta) and self.within > timedelta(0)
        ):
            refuse(f"within= takes a timedelta above 0, not {shortened(self.within)}.")
        if self.rows is not None and (
            isinstance(self.rows, bool)
            or not isinstance(self.rows, int)
            or not 1 <= self.rows <= LARGEST_COUNT
        ):
            refuse(
                f"rows= takes an int of at least 1 and at most {LARGEST_COUNT}, not {shortened(self.rows)}."
            )
        if not isinstance(self.itself, bool):
            refuse(f"itself= takes True or False, not {shortened(self.itself)}.")
        if not isinstance(self.agg, str) or self.agg not in AGGREGATES:
            refuse(f"agg= is one of {', '.join(AGGREGATES)}, not {shortened(self.agg)}.")
        if len(self.keys) > 1 and self.agg not in OF_SEVERAL_KEYS:
            refuse(
                f"agg={shortened(self.agg)} is of one key; of several there are tuples, with agg='list' or 'last'."
            )
        if isinstance(self.where, Mapping):
            values = self.where.values()
            if not all(isinstance(key, str) for key in self.where) or not all(map(_is_one, values)):
                refuse(
                    f"where= takes keys with the value that they must have, not {shortened(self.where)}."
                )
            object.__setattr__(self, "where", tuple(sorted(self.where.items())))
        elif not (isinstance(self.where, tuple) and all(map(_is_narrowing, self.where))):
            refuse(f"where= takes a dict such as {{'kind': 'sale'}}, not {shortened(self.where)}.")

    def __repr__(self) -> str:
        shown = [f"{each}={getattr(self, each)!r}" for each in SHOWN]
        shown += [f"where={dict(self.narrowed)!r}"] if self.narrowed else []
        return f"Window({', '.join(shown)})"

    @property
    def narrowed(self) -> tuple[tuple[str, Any], ...]:
        """The keys whose values the rows that it holds must have, with these."""
        return self.where if isinstance(self.where, tuple) else tuple(self.where.items())

    @property
    def keys(self) -> tuple[str, ...]:
        """What is held, each as "table.key"."""
        return self.key if isinstance(self.key, tuple) else (self.key,)

    @property
    def names(self) -> tuple[str, ...]:
        """What is held, within its table."""
        return tuple(each.partition(".")[2] for each in self.keys)

    @property
    def own_by(self) -> str:
        """The key of the row's own that tells entities apart."""
        return _own(self.by)

    @property
    def other_by(self) -> str:
        """The key of the rows that are held which tells entities apart."""
        return _others(self.by)

    @property
    def own_order(self) -> str:
        return "id" if self.order is None else _own(self.order)

    @property
    def other_order(self) -> str:
        return "id" if self.order is None else _others(self.order)

    @property
    def own_keys(self) -> tuple[str, ...]:
        """The keys of the row's own that say which window it has."""
        return tuple(key for key in (self.own_by, self.own_order) if key != "id")

    @property
    def held_keys(self) -> tuple[str, ...]:
        """The keys of the rows that are held whose change changes windows."""
        where = (key for key, _ in self.narrowed)
        keys = (*self.names, self.other_by, self.other_order, *where)
        return tuple(key for key in dict.fromkeys(keys) if key != "id")

    def check_levels(self, trigger: str, levels: Mapping[str, frozenset[str]]) -> None:
        """Refuse it where it would hold one row for several pages which it goes by.

        Args:
            levels: key of its table -> the page keys that tell it apart.
        """
        if len({levels[name] for name in self.names}) > 1:
            raise TriggerError(
                f"trigger {trigger!r}: {', '.join(self.keys)} are told apart by different page keys; a window holds keys of "
                f"one row as a tuple, so name keys of one page level."
            )
        for key in self.held_keys:
            if not levels[key] <= levels[self.names[0]]:
                apart = ", ".join(sorted(levels[key] - levels[self.names[0]]))
                table = self.keys[0].partition(".")[0]
                raise TriggerError(
                    f"trigger {trigger!r}: {self.keys[0]} is not told apart by {apart}, but {table}.{key} is, by which "
                    f"the window goes. Hold a key that these pages have themselves."
                )

    @property
    def within_ms(self) -> int | None:
        """How far back it goes among whole milliseconds: a part of one reaches no other."""
        if self.within is None:
            return None
        whole, part = divmod(self.within, timedelta(milliseconds=1))
        return whole + bool(part)

    @property
    def may_be_unset(self) -> bool:
        """Whether an empty window has no value."""
        return self.agg not in ("list", "distinct", "count", "sum")

    @property
    def column(self) -> str:
        """What its values are found under among the inputs of a run; no key has such a name."""
        bounds = f"order {self.order} within {self.within} rows {self.rows} itself {self.itself}"
        where = f" where {self.narrowed}" if self.narrowed else ""
        return f"{self.agg} of {self.key} by {self.by} {bounds}{where}"


SHOWN = ("key", "by", "within", "rows", "agg", "itself", "order")
"""What the text of any window says; what else is given comes behind it. The text is part of what a trigger's code is known by."""


def _is_pair(keys: Any) -> bool:
    """Whether it is a key of the row's own and one of the other table."""
    return isinstance(keys, tuple) and len(keys) == 2 and all(isinstance(key, str) for key in keys)


def _is_narrowing(pair: Any) -> bool:
    """Whether it is a key with its value, as `where=` is kept."""
    return isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str)


def _own(keys: str | tuple[str, str]) -> str:
    return keys if isinstance(keys, str) else keys[0]


def _others(keys: str | tuple[str, str]) -> str:
    return keys if isinstance(keys, str) else keys[1].rpartition(".")[2]


def _is_one(value: Any) -> bool:
    """Whether it is a value that another one can be equal to."""
    is_odd = isinstance(value, bytes) or (isinstance(value, float) and not math.isfinite(value))
    return isinstance(value, Hashable) and not is_odd
