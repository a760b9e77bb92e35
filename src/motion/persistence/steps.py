"""Steps of a migration: what is to be called otherwise, or dropped, and whether the names are such as the store can have.

It is asked before anything is done. The rules for names stand where schemas, triggers and components are declared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from motion.backends.base import Transaction
from motion.definitions.code import check_told_apart
from motion.definitions.components import check_name as check_component_name
from motion.definitions.tables.schema import (
    check_key_name,
    check_name,
    check_names_of_keys,
    check_names_of_tables,
)
from motion.definitions.triggers.options import check_trigger_name
from motion.errors import MotionError
from motion.persistence.stored_graph import known_triggers, signatures

What = Literal["component", "trigger", "key", "table"]


@dataclass(frozen=True)
class Step:
    """One change of names.

    Attributes:
        name: a key is written "table.key".
        new: its new name, of a key without the table; empty: it is dropped.
    """

    what: What
    name: str
    new: str = ""


def check_new_names(tx: Transaction, steps: Sequence[Step]) -> None:
    """Refuse steps whose new names no code could declare beside what the store has, or that hang on their order.

    Raises:
        MotionError: says which, and why. Whether what they name is there is not asked here.
    """
    for step in steps:
        if step.new:
            _CHECKS[step.what](tx, step)
    _check_apart(steps)


def _check_key(tx: Transaction, step: Step) -> None:
    table = _table_of(step)
    keys = signatures(tx).get(table, {})
    check_key_name(table, step.new)
    _check_free(f"key in table {table!r} called", step.new, keys)
    check_names_of_keys(table, [*keys, step.new])


def _check_table(tx: Transaction, step: Step) -> None:
    known = signatures(tx)
    check_name(step.new)
    _check_free("table", step.new, known)
    for each in known:
        check_names_of_tables([each, step.new])


def _check_trigger(tx: Transaction, step: Step) -> None:
    """Refuse a name as well that a component, or a key of a schema, has for a trigger of its own."""
    known = known_triggers(tx)
    check_trigger_name(step.new)
    owned = [name for name, spec in known.items() if spec.component or _is_of_key(tx, name)]
    _check_free("trigger", step.new, owned)
    for each in known:
        check_told_apart("triggers", [each, step.new])


def _is_of_key(tx: Transaction, trigger: str) -> bool:
    table, _, key = trigger.partition(".")
    return key in signatures(tx).get(table, {})


def _check_component(tx: Transaction, step: Step) -> None:
    check_component_name(step.new)
    for (known,) in tx.execute("SELECT name FROM motion_components").fetchall():
        check_told_apart("components", [known, step.new])


def _check_free(what: str, name: str, known: Iterable[str]) -> None:
    if name in known:
        raise MotionError(
            f"there is a {what} {name!r} already; drop it first, or choose another name."
        )


def _check_apart(steps: Sequence[Step]) -> None:
    """Refuse a name that stands in two places: all steps are of the names that the store has now, at once."""
    named = Counter(each for step in steps for each in _named(step))
    dropped = {step.name for step in steps if step.what == "table" and not step.new}
    twice = [f"{what} {name!r}" for (what, name), count in named.items() if count > 1]
    twice += [f"table {_table_of(step)!r}" for step in steps if _table_of(step) in dropped]
    if twice:
        raise MotionError(
            f"{twice[0]} is named more than once, and the steps of one command are not done one after another, but at once. "
            f"Give each a command of its own, in the order in which they are to be done; two names change places by way of a third."
        )


def _named(step: Step) -> Iterator[tuple[What, str]]:
    """Give what a step names, as a database tells it apart."""
    yield step.what, step.name.lower()
    if step.new:
        new = f"{_table_of(step)}.{step.new}" if step.what == "key" else step.new
        yield step.what, new.lower()


def _table_of(step: Step) -> str:
    """Return the table of a key; nothing of what is none."""
    return step.name.partition(".")[0] if step.what == "key" else ""


_CHECKS: Mapping[What, Callable[[Transaction, Step], None]] = {
    "component": _check_component, "trigger": _check_trigger, "key": _check_key, "table": _check_table,
}  # fmt: skip
