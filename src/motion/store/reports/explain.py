"""Explanations: where a value came from, and what it was derived from, back to what was given from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from html import escape
from typing import Any

import numpy as np

from motion.backends.base import Transaction
from motion.definitions.fits import FitSpec
from motion.definitions.tables.addresses import KeyAddress
from motion.definitions.tables.lookups import Lookup
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.codecs import Stored
from motion.definitions.versions import Label
from motion.notebook import cell
from motion.persistence.changes import reads
from motion.persistence.changes.cascade import folds_of
from motion.persistence.database import Database, id_of
from motion.persistence.inputs.outside import is_held
from motion.persistence.inputs.taken import id_found_by
from motion.persistence.layout import Layout
from motion.persistence.rows import makers, provenance
from motion.persistence.rows.used import used_value
from motion.persistence.states import labels, versions
from motion.persistence.tasks import once, timeline
from motion.store.reports.held_rows import HeldRows, rows_folded, rows_held

SHOWN = 60

LABELS_KEPT, LABELS_NAMED = 100, 5

READ_NAMED = 5


@dataclass(frozen=True)
class Effect:
    """What a trigger with `once=` has done about a row.

    Attributes:
        is_done: whether it has succeeded; False: a call was begun, and its end is not known.
        change: the number of the change that notes it; None where it is not done.
        at: when that was, as an explanation tells it.
        fingerprint, version: of the code, and the state version, that did it.
    """

    trigger: str
    is_done: bool
    change: int | None = None
    at: datetime | None = None
    fingerprint: str | None = None
    version: int | None = None

    def __str__(self) -> str:
        if not self.is_done:
            return f"{self.trigger} was called about it, and its end is not known"
        at = "" if self.at is None else f", {self.at:%Y-%m-%d %H:%M:%S} UTC"
        return f"{self.trigger} has acted on it once and for all{at}"


@dataclass(frozen=True)
class FollowedRow:
    """A row that a run has read by hand, and follows, as its trigger says `follow=True`.

    Attributes:
        id: of the row, whether there is one or not.
        pages: its page keys; None: all pages of the id.
        keys: that were read; None: all; none of them: only whether there is such a row.
    """

    table: str
    id: Any
    pages: Mapping[str, int] | None
    keys: tuple[str, ...] | None

    def __str__(self) -> str:
        pages = "".join(
            f", {page}={number}" for page, number in (self.pages or {}).items() if number
        )
        keys = "" if self.keys is None else f" ({', '.join(self.keys) or 'whether it is there'})"
        return f"{self.table} id={self.id!r}{pages}{keys}"


@dataclass(frozen=True)
class Explanation:
    """Where a value came from. Its text, `str(explanation)`, is made to be read.

    Attributes:
        id, pages: name the row that was asked about.
        is_row: whether there is such a row.
        value: the value, inherited where it is.
        made_by: the trigger, or None for a value from outside, and for none at all.
        fingerprint: of the code that made it.
        is_current: whether that is the trigger's present code, and it has missed nothing since; True for a value from outside.
        was_away: whether the store was open without the trigger since, and rows were written meanwhile.
        is_due: whether what it was made from has changed since, or it is being made again, and its trigger has not run
            yet, or could not; not where it has made nothing and lacks what it could make something of.
        version: the state version that the trigger ran with, None for one without a state.
        labels: what that version, and those it was made from, learned from; the latest, at most 100.
        change: the number of the change that wrote it; None where it is not known, as for a key that nothing runs on,
            and for a value that is being made again.
        at: when that was, at most 100 ms early (10 s, for a value an hour old); None where the change is not known.
        seconds: what a call of that code takes on average, None where it was never measured.
        inputs: the same of the keys that it was derived from, with the values that it was made from.
        has_changed: of an input, whether it has become another since the value was made from it. Where outputs are kept for
            each state version, this is told of `on` keys only.
        now: of an input that has changed, the same of what it is today; None where what it was is not kept, and `value` is
            today's: of texts and bytes over 10,000 long, of other rows (looked up, or of another page), and of values that are
            kept for each state version themselves.
        effects: what triggers with `once=` that run on the key have done about the row.
        follows: what the trigger has read by hand for it, and follows; of a batch, what any of its rows has.
        held: the rows that the trigger's windows hold, or that a fold goes over, as they are now.
    """

    table: str
    key: str
    id: Any
    pages: Mapping[str, int]
    value: Any
    made_by: str | None = None
    fingerprint: str | None = None
    is_current: bool = True
    is_due: bool = False
    version: int | None = None
    labels: tuple[Label, ...] = ()
    change: int | None = None
    at: datetime | None = None
    seconds: float | None = None
    inputs: tuple[Explanation, ...] = ()
    is_row: bool = True
    has_changed: bool = False
    now: Explanation | None = None
    effects: tuple[Effect, ...] = ()
    was_away: bool = False
    follows: tuple[FollowedRow, ...] = ()
    held: tuple[HeldRows, ...] = ()

    def __str__(self) -> str:
        return "\n".join(self._lines(0))

    def __repr__(self) -> str:
        return f"<explanation: {'; '.join(self.told(is_top=True))}>"

    def _repr_html_(self) -> str:
        return f'<ul class="motion">{self._item(is_top=True)}</ul>'

    def _item(self, *, is_top: bool = False) -> str:
        value, facts = map(escape, self.told(is_top=is_top))
        picture = f" {cell(self.value)}" if isinstance(self.value, bytes | np.ndarray) else ""
        inner = "".join(each._item() for each in self.beneath())
        return f"<li><code>{value}</code>{picture}<br><small>{facts}</small>{f'<ul>{inner}</ul>' if inner else ''}</li>"

    def _lines(self, depth: int) -> list[str]:
        value, facts = self.told(is_top=depth == 0)
        indent = "    " * depth
        lines = [f"{indent}{value}", f"{indent}  {facts}"]
        return lines + [line for each in self.beneath() for line in each._lines(depth + 1)]

    def beneath(self) -> tuple[Explanation, ...]:
        """Return what is told beneath it: its inputs, or, of one that has changed, what it is now."""
        return self.inputs if self.now is None else (self.now,)

    def told(self, *, is_top: bool) -> tuple[str, str]:
        """Return what the value is, and where it came from, without its inputs; each a line.

        Args:
            is_top: it is not told as an input of another one, and so names its row.
        """
        pages = "".join(f", {page}={number}" for page, number in self.pages.items() if number)
        name = f"{self.table}.{self.key} of id={self.id!r}{pages}" if is_top else self.key
        return f"{name} = {_shown(self.value)}", ", ".join(self._facts())

    def _facts(self) -> list[str]:
        if self.now is not None:
            return ["as it was when the value was made: CHANGED SINCE, and now it is"]
        changed = ["CHANGED SINCE: it was made from another"] if self.has_changed else []
        beside = [*map(str, self.effects), *self._followed(), *map(str, self.held)]
        return [*self._origin(), *changed, *beside]

    def _followed(self) -> list[str]:
        if not self.follows:
            return []
        more = ", ..." if len(self.follows) > READ_NAMED else ""
        return [f"follows {', '.join(map(str, self.follows[:READ_NAMED]))}{more}"]

    def _origin(self) -> list[str]:
        if not self.is_row:
            return ["there is no such row"]
        if self.made_by is None and self.value is None:
            return ["not set"]
        facts = ["given from outside" if self.made_by is None else f"made by {self.made_by}"]
        if self.version is not None:
            facts.append(f"with state version {self.version}{self._lessons()}")
        if self.at is not None:
            facts.append(f"{self.at:%Y-%m-%d %H:%M:%S} UTC")
        if self.seconds is not None:
            facts.append(f"{duration(self.seconds)} a call")
        if self.fingerprint is not None:
            facts.append(f"code {self.fingerprint[:8]}")
        if not self.is_current:
            facts.append(f"STALE: {self._why_stale()}")
        if self.is_due:
            facts.append("to be made again")
        return facts

    def _why_stale(self) -> str:
        if self.was_away:
            return "rows were written while the store was open without this code"
        return "its code is another now"

    def _lessons(self) -> str:
        if not self.labels:
            return ""
        ids = ", ".join(f"id={each.id!r}" for each in self.labels[:LABELS_NAMED])
        more = ", ..." if len(self.labels) > LABELS_NAMED else ""
        return f" (learned from {ids}{more})"


def fits_of(database: Database, component: str) -> list[FitSpec]:
    """Return the fits of a component, also where this process has not its code."""
    return [fit for fit in database.graph.fits.values() if fit.component == component]


def labels_of(
    database: Database, tx: Transaction, component: str, number: int, limit: int
) -> list[Label]:
    """Return the labels that a version, and those it was made from, learned from; the latest first of each fit."""
    lineage = versions.lineage(tx, component, number)
    return [
        label
        for fit in fits_of(database, component)
        for label in labels.learned(tx, database.layouts[fit.table], fit, lineage, limit)
    ][:limit]


def explain(database: Database, name: KeyAddress) -> Explanation:
    """Return where a value came from, recursively; all of it from one snapshot.

    Raises:
        UnknownTable, UnknownKey, SchemaError: there is no such key.
    """
    layout = database.layout(name.table)
    layout.table.key(name.key)
    with database.backend.read() as tx:
        return _Explainer(database, tx, layout).explain(name.id, name.key, name.pages)


class _Explainer:
    """Explains values of one table, as one snapshot has them."""

    def __init__(self, database: Database, tx: Transaction, layout: Layout) -> None:
        self._database, self._tx, self._layout = database, tx, layout
        self._table = layout.table.name

    def explain(self, row_id: Any, key: str, pages: Mapping[str, int]) -> Explanation:
        row = self._database.get(self._table, row_id, pages, {}, True)
        value = None if row is None else getattr(row, key)
        plain = Explanation(self._table, key, row_id, dict(pages), value)
        if row is None:
            return replace(plain, is_row=False)
        return self._of_row(replace(plain, effects=self._effects(key, row_id, pages)))

    def _of_row(self, plain: Explanation) -> Explanation:
        key, row_id, pages = plain.key, plain.id, plain.pages
        producer = self._database.graph.producers.get((self._table, key))
        if producer is not None:
            return self._derived(plain, self._database.graph.triggers[producer])
        stored, numbers = self._name(row_id, pages)
        owner = makers.giver_of(self._tx, self._layout, (stored, *numbers), key)
        spec = self._database.graph.triggers.get(owner[0]) if owner else None
        if owner is not None and spec is not None and spec.sets_table is not None:
            return self._owned(plain, spec, owner[1])
        return self._given(plain)

    def _effects(self, key: str, row_id: Any, pages: Mapping[str, int]) -> tuple[Effect, ...]:
        """Return what triggers that act once have done about a row, of those that run on a key."""
        listeners = self._database.graph.listeners.get((self._table, key), ())
        noted = ((spec, self._noted(spec, row_id, pages)) for spec in listeners if spec.once)
        return tuple(self._effect(spec, note) for spec, note in noted if note)

    def _noted(self, spec: TriggerSpec, row_id: Any, pages: Mapping[str, int]) -> int:
        stored, numbers = self._name(row_id, pages)
        return once.note_of(self._tx, self._layout, spec, stored, numbers)

    def _effect(self, spec: TriggerSpec, note: int) -> Effect:
        if note < 0:
            return Effect(spec.name, is_done=False)
        origin = provenance.origin_of_mark(self._tx, note)
        at = timeline.time_of(self._tx, origin.number)
        version = origin.version or None
        return Effect(spec.name, True, origin.number, at, origin.fingerprint, version)

    def _given(self, plain: Explanation) -> Explanation:
        """Explain a value from outside."""
        number = self._changed(plain)
        return replace(plain, change=number or None, at=timeline.time_of(self._tx, number))

    def _derived(self, plain: Explanation, spec: TriggerSpec) -> Explanation:
        """Explain a key that a trigger sets on its row, unless a user has given it."""
        stored, numbers = self._name(plain.id, plain.pages)
        if spec.fold is not None:
            return self._folded(plain, spec)
        origin = provenance.origin_of_row(self._tx, self._layout, spec, stored, numbers)
        own = provenance.users_page(self._tx, self._layout, spec, stored, numbers)
        if own:
            return replace(plain, change=own, at=timeline.time_of(self._tx, own))
        if origin is None or origin.fingerprint is None:
            number = (origin.number if origin else 0) or self._changed(plain)
            return replace(plain, change=number or None, at=timeline.time_of(self._tx, number))
        # Marks of outputs kept by version are as of their input; the value itself has the number of its write.
        number = self._changed(plain) if spec.is_versioned else origin.number
        level = self._database.graph.row_level(spec)
        source = {page: number for page, number in plain.pages.items() if page in level}
        made = self._made(plain, spec, origin, number, self._inputs(spec, plain.id, source))
        named = self._name(plain.id, source)
        held = self._held(spec, *named, origin)
        return replace(made, follows=self._read(spec, *named), held=held)

    def _held(
        self, spec: TriggerSpec, row_id: Stored, pages: Sequence[int], origin: provenance.Origin
    ) -> tuple[HeldRows, ...]:
        """Return what the windows of a trigger hold as of a row of this table."""
        row = provenance.number_of_row(self._tx, self._layout, row_id, pages)
        if row is None or not spec.windows:
            return ()
        return rows_held(self._tx, self._database.layouts, spec, row, origin)

    def _read(
        self, spec: TriggerSpec, row_id: Stored, pages: Sequence[int]
    ) -> tuple[FollowedRow, ...]:
        """Return what the last run of a trigger on a row of this table follows."""
        if not spec.follow:
            return ()
        row = provenance.number_of_row(self._tx, self._layout, row_id, pages)
        found: dict[tuple[str, str, str], list[str]] = {}
        version = versions.live_version(self._tx, spec.component or "") or 1
        for table, *of_row, key in reads.read_by(self._tx, spec, row or 0, version):
            found.setdefault((table, of_row[0], of_row[1]), []).append(key)
        return tuple(self._followed_row(*place, keys) for place, keys in found.items())

    def _followed_row(self, name: str, row_id: str, page: str, keys: list[str]) -> FollowedRow:
        table = self._database.graph.tables.get(name)
        decoded = table.keys["id"].decode(int(row_id) if table.has_int_id else row_id)
        numbers = dict(zip(table.page_keys, map(int, page.split(",")), strict=True)) if page else {}
        known = None if reads.ALL in keys else tuple(k for k in keys if k != "id")
        return FollowedRow(name, decoded, numbers if page or not table.page_keys else None, known)

    def _folded(self, plain: Explanation, spec: TriggerSpec) -> Explanation:
        """Explain the value of a fold, unless a user has given it."""
        folds = folds_of(self._database.layouts, spec)
        row_id, pages = self._name(plain.id, plain.pages)
        name = (row_id, *pages)
        origin = folds.origin_of(self._tx, name)
        if origin is None or origin.fingerprint is None:
            number = (origin.number if origin else 0) or self._changed(plain)
            return replace(plain, change=number or None, at=timeline.time_of(self._tx, number))
        if is_held(self._tx, self._database.layouts, spec, name):
            origin = replace(origin, is_due=True)
        source = self._database.layouts[spec.source]
        held = rows_folded(self._tx, source, spec, name, origin)
        made = self._made(plain, spec, origin, origin.number, ())
        return made if held is None else replace(made, held=(held,))

    def _inputs(
        self, spec: TriggerSpec, row_id: Any, pages: Mapping[str, int]
    ) -> tuple[Explanation, ...]:
        """Explain what a trigger took from a row, and what it looked up for it in others."""
        own = tuple(self.explain(row_id, each, pages) for each in spec.inputs)
        return own + tuple(
            taken for each in spec.lookups for taken in self._looked_up(each, row_id, pages)
        )

    def _looked_up(
        self, lookup: Lookup, row_id: Any, pages: Mapping[str, int]
    ) -> Sequence[Explanation]:
        """Explain what a trigger looks up for a row: of a list each row that it names, once."""
        row = self._database.get(self._table, row_id, pages, {}, True)
        where, *numbers = (None if row is None else getattr(row, key) for key in lookup.bys)
        if lookup.is_of_list:
            return [self._in_other(lookup, each, {}) for each in dict.fromkeys(where or ())]
        if None in numbers:
            where = None
        page_keys = self._database.layouts[lookup.table].table.page_keys
        return [self._in_other(lookup, where, dict(zip(page_keys, numbers, strict=False)))]

    def _in_other(self, lookup: Lookup, where: Any, pages: Mapping[str, Any]) -> Explanation:
        """Explain what is looked up in the row that something names; in none, where that is None."""
        layout = self._database.layouts[lookup.table]
        if where is not None and lookup.to is not None:
            by = layout.table.keys[lookup.to_key].encode(where)
            where = id_found_by(self._tx, self._database.layouts, lookup, by)
        if where is None:
            return Explanation(lookup.table, lookup.name, None, {}, None, is_row=False)
        return _Explainer(self._database, self._tx, layout).explain(where, lookup.name, pages)

    def _owned(self, plain: Explanation, spec: TriggerSpec, source: int) -> Explanation:
        """Explain a key of a row that a trigger made from a row of another table."""
        layout = self._database.layouts[spec.table]
        name = provenance.name_of_row(self._tx, layout, source)
        if name is None:
            return self._given(plain)
        origin = provenance.origin_of_row(self._tx, layout, spec, name[0], name[1:])
        if origin is None or origin.fingerprint is None:
            return self._given(plain)
        other = _Explainer(self._database, self._tx, layout)
        row_id = layout.table.keys["id"].decode(name[0])
        pages = dict(zip(layout.table.page_keys, name[1:], strict=True))
        inputs = other._inputs(spec, row_id, pages)
        made = self._made(plain, spec, origin, origin.number, inputs)
        held = other._held(spec, name[0], name[1:], origin)
        return replace(made, follows=other._read(spec, name[0], name[1:]), held=held)

    def _made(
        self,
        plain: Explanation,
        spec: TriggerSpec,
        origin: provenance.Origin,
        number: int,
        inputs: tuple[Explanation, ...],
    ) -> Explanation:
        code = (spec.name, origin.fingerprint or "", origin.version)
        cost = timeline.cost_of(self._tx, code) + self._database.costs.unkept(code)
        return replace(
            plain,
            made_by=spec.name,
            fingerprint=origin.fingerprint,
            is_current=origin.is_current(spec),
            was_away=origin.was_away,
            is_due=origin.is_due,
            version=origin.version or None,
            labels=self._labels(spec, origin.version),
            change=number or None,
            at=timeline.time_of(self._tx, number),
            seconds=cost.mean,
            inputs=tuple(
                self._as_used(each, spec, origin.number, is_own=i < len(spec.inputs))
                for i, each in enumerate(inputs)
            ),
        )

    def _as_used(
        self, used: Explanation, spec: TriggerSpec, number: int, *, is_own: bool
    ) -> Explanation:
        """Return an input as it was when the value was made, as of a change.

        Args:
            is_own: it is of the row that the trigger ran on.
        """
        if not used.is_row or (spec.is_versioned and used.key not in spec.on):
            return used
        other = _Explainer(self._database, self._tx, self._database.layouts[used.table])
        has_changed = 0 < number < other._changed(used)
        # Of one that changed during the call only what is kept tells.
        is_kept = is_own and (has_changed or not number or not spec.is_versioned)
        kept = other._kept(used, spec, number) if is_kept else None
        if kept is None:
            return replace(used, has_changed=has_changed)
        was = other._layout.table.keys[used.key].decode(kept[0])
        return Explanation(
            used.table, used.key, used.id, used.pages, was, has_changed=True, now=used
        )

    def _kept(self, used: Explanation, spec: TriggerSpec, number: int) -> tuple[Stored] | None:
        stored, numbers = self._name(used.id, used.pages)
        row = provenance.number_of_row(self._tx, self._layout, stored, numbers)
        if row is None:
            return None
        return used_value(self._tx, self._layout, spec, row, used.key, number)

    def _labels(self, spec: TriggerSpec, version: int) -> tuple[Label, ...]:
        if not version or not spec.components:
            return ()
        component = spec.component or spec.components[0]
        return tuple(labels_of(self._database, self._tx, component, version, LABELS_KEPT))

    def _changed(self, plain: Explanation) -> int:
        stored, numbers = self._name(plain.id, plain.pages)
        return provenance.changed_number(self._tx, self._layout, plain.key, stored, numbers)

    def _name(self, row_id: Any, pages: Mapping[str, int]) -> tuple[Any, list[int]]:
        table = self._layout.table
        return id_of(table, row_id), [pages.get(page, 0) for page in table.page_keys]


def duration(seconds: float) -> str:
    """Return a duration as people read it: "12 ms"."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def _shown(value: Any) -> str:
    text = repr(value).replace("\n", " ")
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
