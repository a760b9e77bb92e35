"""Hand-overs: keys that one trigger has set and another one sets by now, as code was split, merged or renamed.

Marks stand beside rows by trigger, so those of a key's new maker say nothing of what the former one made. The former one's do, up to the
change as of which the key went over, and so they are read for it as well: the latest mark about a key counts. A trigger that stays, and
sets fewer keys, goes on to write marks: before it writes over one that was about such a key, the database keeps that beside the key.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from motion.backends.base import RowTrigger, Transaction
from motion.definitions.graph import Graph, Span
from motion.definitions.triggers.specs import TriggerSpec
from motion.persistence.layout import (
    NOBODY,
    ORIGIN_BITS,
    ORIGIN_MASK,
    Layout,
    done_column,
    former_column,
    marks_rows,
    quoted,
)
from motion.persistence.numbers import graph_number
from motion.persistence.stored_graph import (
    away_since,
    former_triggers,
    handed_over,
    origins_of,
)

PREFIX = "motion_handed_"
"""What the names of the database's own triggers begin with that keep marks."""

LAST_NUMBER = (1 << (63 - ORIGIN_BITS)) - 1

MOST_SPANS = 4
"""Times that a trigger has set a key, which are told apart: older ones count as one, where code goes back and forth."""


# -- what has gone over --


def note_hand_overs(
    tx: Transaction,
    graph: Graph,
    known: Mapping[str, TriggerSpec],
    active: Mapping[str, TriggerSpec],
    last: int,
) -> None:
    """Note which keys other triggers of a graph set than before. Reads no rows.

    Args:
        known: the triggers as the store knew them, also those that were away.
        active: those that were in force until now.
        last: the last change until now.
    """
    _end_unwatched(tx, graph, known, last)
    noted, away = handed_over(tx), away_since(tx)
    for former in known.values():
        for key in former.sets if marks_rows(former) else ():
            place = former.table, key
            taker = graph.triggers.get(graph.producers.get(place, former.name))
            spans = noted.get(place, {})
            own = spans.get(former.name, ())
            has_gone = former.name not in active and bool(own)
            is_told = has_gone and own[-1].until >= away.get(former.name, 0)
            if taker is None or taker.name == former.name or is_told:
                continue
            if _is_new_maker(taker, key, active):
                ends = [span.until for each in spans.values() for span in each]
                own = (*own, Span(max(ends, default=0), last))
                _keep_spans(tx, former.name, place, own)
    graph.handed_over = handed_over(tx)


def _end_unwatched(
    tx: Transaction, graph: Graph, known: Mapping[str, TriggerSpec], last: int
) -> None:
    """Let no mark until now be about keys that no trigger sets, nor one that is gone: who gives such a key values is noted
    nowhere, so they may be a user's."""
    now = {**known, **graph.triggers}
    watched = [
        {(spec.table, key) for spec in specs.values() if spec.is_columnar for key in spec.sets}
        for specs in (known, now)
    ]
    for place in handed_over(tx):
        if not all(place in each for each in watched):
            tx.execute("DELETE FROM motion_handed_over WHERE name = ? AND key = ?", place)
            _keep_spans(tx, NOBODY, place, [Span(0, last)])


def _is_new_maker(taker: TriggerSpec, key: str, active: Mapping[str, TriggerSpec]) -> bool:
    before = active.get(taker.name)
    return before is None or before.table != taker.table or key not in before.sets


def _keep_spans(
    tx: Transaction, trigger: str, place: tuple[str, str], spans: Sequence[Span]
) -> None:
    found = [span for span in spans if span.since < span.until]
    while len(found) > MOST_SPANS:
        found[:2] = [Span(found[0].since, found[1].until)]
    sql = "DELETE FROM motion_handed_over WHERE trigger = ? AND name = ? AND key = ?"
    tx.execute(sql, (trigger, *place))
    tx.executemany(
        "INSERT INTO motion_handed_over (trigger, name, key, since, until) VALUES (?, ?, ?, ?, ?)",
        [(trigger, *place, *span) for span in found],
    )


# -- what marks say of keys --


def mark_or_former(tx: Transaction, layout: Layout, spec: TriggerSpec) -> str:
    """Return the expression of the latest mark about the keys that a trigger sets: its own, or that of a former maker of one. If it
    says that a user gave one of them, that is so whatever its trigger is called; if a run of another trigger made it, it is other
    code's."""
    own, groups = layout.mark(spec), _groups(tx, layout, spec)
    if not any(each.marks for each in groups):
        return own
    abouts = [each.about(own) for each in groups]
    users = [f"WHEN {each} > 0 AND {each} & {ORIGIN_MASK} = 0 THEN {each}" for each in abouts]
    is_cleared = f"{own} BETWEEN 1 AND {ORIGIN_MASK}"  # it is to run again, whoever ran before it
    return f"CASE WHEN {is_cleared} THEN {own} {' '.join(users)} ELSE {_latest(abouts)} END"


def is_users_of_former(tx: Transaction, layout: Layout, spec: TriggerSpec) -> str | None:
    """Return the condition that a user gave one of the keys that a trigger sets while another one set it, and no `on` key has
    changed since and since it went over: so it stays, whatever else changes. None: no key is noted to have gone over."""
    if not any((spec.table, key) in layout.graph.handed_over for key in spec.sets):
        return None
    groups = [each for each in _groups(tx, layout, spec) if each.marks]
    if not groups:
        return None
    mark = mark_or_former(tx, layout, spec)
    went_over = max(each.until or 0 for each in groups)
    number = f"MAX({mark} >> {ORIGIN_BITS}, {went_over})"
    return f"({mark} > {ORIGIN_MASK} AND {mark} & {ORIGIN_MASK} = 0 AND {layout.on_number_of_row(spec)} <= {number})"


def maker_mark(tx: Transaction, layout: Layout, spec: TriggerSpec, key: str) -> str:
    """Return the expression of the latest mark about one key that a trigger sets, also where its own has lost its number, as it is
    to run again: that is about the key if it is of code that was not there before the key went over."""
    own = layout.mark(spec)
    group = next((each for each in _groups(tx, layout, spec) if key in each.keys), None)
    if group is None or not group.marks:
        return own
    if group.before:
        return group.about(own)
    made_it = ", ".join(map(str, (-1, *origins_of(tx, spec))))
    return f"CASE WHEN {own} < {1 << ORIGIN_BITS} AND {own} IN ({made_it}) THEN {own} ELSE {group.about(own)} END"


def has_former(tx: Transaction, layout: Layout, spec: TriggerSpec) -> bool:
    """Whether a former maker of a trigger's keys may have left marks."""
    return any(each.marks for each in _groups(tx, layout, spec))


@dataclass(frozen=True, slots=True)
class _Group:
    """Keys of a trigger that the same others have set.

    Attributes:
        marks: the expressions of the others' marks, each 0 where it is not about these keys.
        until: the last change until the trigger set them; None: it has set them from the first, or that is not known.
        before: when it has set them before.
    """

    keys: tuple[str, ...]
    marks: tuple[str, ...]
    until: int | None
    before: tuple[Span, ...]

    def about(self, own: str) -> str:
        """Return the expression of the latest mark that is about the keys; 0: there is none."""
        if not self.marks:
            return own
        former = _latest(self.marks)
        is_there = " OR ".join(f"r.{quoted(key)} IS NOT NULL" for key in self.keys)
        is_told = f"{is_there} OR {own} > 0 OR {former} & {ORIGIN_MASK} = 0"
        former = f"(CASE WHEN {is_told} THEN {former} ELSE 0 END)"
        if self.until is None:
            return f"(CASE WHEN {own} = 0 THEN {former} ELSE {own} END)"
        is_about = " OR ".join(
            [f"{own} >> {ORIGIN_BITS} > {self.until}", *(_is_in(own, span) for span in self.before)]
        )
        return f"MAX({former}, (CASE WHEN {is_about} THEN {own} ELSE 0 END))"


def _groups(tx: Transaction, layout: Layout, spec: TriggerSpec) -> Sequence[_Group]:
    if not marks_rows(spec):
        return ()
    name = ("former makers", layout.table.name, spec.name, spec.sets, graph_number(tx))
    known: Sequence[_Group] | None = tx.lasting.get(name)
    if known is None:
        known = tx.lasting[name] = _read_groups(tx, layout, spec)
    return known


def _read_groups(tx: Transaction, layout: Layout, spec: TriggerSpec) -> Sequence[_Group]:
    former = former_triggers(tx, layout.table.name)
    gone = [each for each in former if marks_rows(each) and each.name != spec.name]
    there, noted_of = set(map(quoted, tx.columns(layout.base))), handed_over(tx)
    found: dict[tuple[tuple[str, ...], int | None, tuple[Span, ...]], list[str]] = {}
    for key in spec.sets:
        noted = dict(noted_of.get((layout.table.name, key), {}))
        before = noted.pop(spec.name, ())
        free = max((span.until for span in noted.get(NOBODY, ())), default=0)
        unnoted = [each.name for each in gone if key in each.sets and each.name not in noted]
        marks = [_mark(done_column(name)) for name in unnoted if done_column(name) in there]
        if former_column(key) in there:
            marks.append(_mark_within(former_column(key), [Span(free, LAST_NUMBER)]))
        marks += [
            _mark_within(done_column(name), spans)
            for name, spans in noted.items()
            if done_column(name) in there
        ]
        ends = [span.until for spans in noted.values() for span in spans]
        told = tuple(marks), max(ends, default=None), before
        found.setdefault(told, []).append(key)
    return [_Group(tuple(keys), *told) for told, keys in found.items()]


def _mark(column: str) -> str:
    return f"COALESCE(r.{column}, 0)"


def _mark_within(column: str, spans: Sequence[Span]) -> str:
    mark = _mark(column)
    within = " OR ".join(_is_in(mark, span) for span in spans)
    return f"(CASE WHEN {mark} <= {ORIGIN_MASK} OR {within} THEN {mark} ELSE 0 END)"


def _is_in(mark: str, span: Span) -> str:
    return f"{mark} >> {ORIGIN_BITS} BETWEEN {span.since + 1} AND {span.until}"


def _latest(marks: Sequence[str]) -> str:
    return marks[0] if len(marks) == 1 else f"MAX({', '.join(marks)})"


# -- marks that are written over --


def keepers(layout: Layout, columns: Container[str]) -> Mapping[str, RowTrigger]:
    """Return the database's own triggers that keep marks about keys which have gone over, by name.

    Args:
        columns: those that the table has.
    """
    made: dict[str, RowTrigger] = {}
    for former, key, spans in layout.handed_over:
        if done_column(former) not in columns:
            continue
        old, new = f"OLD.{done_column(former)}", f"NEW.{done_column(former)}"
        kept, row = former_column(key), layout.row_column
        condition = (
            f"({' OR '.join(_is_in(old, span) for span in spans)}) AND {new} IS DISTINCT FROM {old} "
            f"AND {old} > COALESCE(NEW.{kept}, 0)"
        )
        action = f"UPDATE {layout.base} SET {kept} = {old} WHERE {row} = NEW.{row};"
        event = f"UPDATE OF {done_column(former)}"
        text = repr((layout.table.name, event, condition, action)).encode()
        name = f"{PREFIX}{blake2b(text, digest_size=8).hexdigest()}"
        made[name] = RowTrigger(name, layout.base, event, condition, action)
    return made
