"""Triggers: what a user declares, checked against the tables and turned into data.

`@trigger` leaves the function as it is and notes a `Declaration` on it. `bind` checks a declaration against the
tables and gives a `Trigger`: a `TriggerSpec`, which is plain data kept with the store, and the code to call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from motion.definitions.triggers.delays import After
from motion.definitions.triggers.events import Deleted, Event
from motion.definitions.triggers.folds import FoldOptions
from motion.definitions.triggers.options import (
    NAME,
    Once,
    OnChange,
    Place,
    Resources,
    Value,
    in_brackets,
    is_name,
    is_text,
    of_kind,
    option,
    paths,
    read_options,
    takes_a_row,
)
from motion.definitions.triggers.schedules import Schedule
from motion.definitions.triggers.specs import Options
from motion.errors import TriggerError, shortened

DECLARATION = "__motion_trigger__"

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class Declaration(Options):
    """What was written in the decorator, not yet held against a schema."""

    on: tuple[str, ...] | Event | After = field(metadata=option(Value(lambda _, on: _runs_on(on))))
    sets: tuple[str, ...] = field(metadata=option(Value(paths)))
    name: str | None = field(
        default=None,
        metadata=option(of_kind(NAME, is_name)),
    )
    when: Callable[[Any], Any] | None = field(
        default=None,
        metadata=option(of_kind("a function of the row, and no async one", takes_a_row)),
    )
    version: str | None = field(
        default=None,
        metadata=option(of_kind("a str, such as version='{value}'", is_text)),
    )
    fold: FoldOptions | None = None


@in_brackets
def trigger(
    *,
    on: str | Sequence[str] | Event | After,
    sets: str | Sequence[str] = (),
    page: str | None = None,
    name: str | None = None,
    batch: int | None = None,
    when: Callable[[Any], Any] | None = None,
    retries: int = 0,
    discard_after: float | None = None,
    discard_beyond: int | None = None,
    timeout: float | None = None,
    concurrency: int | None = None,
    priority: int | str | None = None,
    version: str | None = None,
    inline: bool | None = None,
    on_change: OnChange | None = None,
    rate: str | None = None,
    batch_wait: float | None = None,
    memo: bool = False,
    isolated: bool | None = None,
    follow: bool = False,
    once: Once = False,
    serial_by: str | None = None,
    executor: Place | None = None,
    resources: Resources | None = None,
    needs: str | Sequence[str] = (),
) -> Callable[[Function], Function]:
    """Declare a function as a trigger; the function itself stays as it is.

    The function's parameters are keys of the row, by name: each receives that key's value, with `batch=` a list of
    them, one for each row. A parameter `row` receives the whole row, `store: motion.View` a view of the store for reads
    and further writes, and one annotated with a component's class that component's live state. It runs when all of
    them have values; one annotated `| None` may be unset. It returns the value for `sets`: for several keys a tuple or
    a dict, with `page=` a list with an item for each page, with `batch=` a list or array with one result for each row.

    Args:
        on: the key or keys ("table.key") whose change runs it; or a schedule, `motion.cron("0 * * * *")` or
            `motion.every(minutes=10)`; or `motion.deleted("table")`, which runs it after a row is deleted; or
            `motion.after("table.ts", minutes=30)`, which runs it so long after a row's time.
        sets: the key or keys of the same row that its result goes to, or the name of another table, whose
            rows it returns. Empty: it only acts through its `store` parameter.
        page: the page key along which a returned list is laid out, one page per item.
        name: its name in the store; the function's where left out.
        batch: hand over lists of up to this many rows at once.
        when: `when(row)` false: it does not run, and its outputs are unset.
        retries: how often a failed run is tried again, with growing pauses.
        discard_after: seconds after which a run that has not begun is dropped: its result would come too late.
        discard_beyond: rows that may wait; of more, those that have waited longest are dropped, at the latest when they
            are a tenth too many. What is dropped keeps its old outputs, is counted in `store.status()`, and runs again
            when an `on` key changes.
        timeout: seconds after which one call counts as failed, and is not waited for any more: an async function is
            cancelled, a process ended; a thread cannot be, and goes on with nobody looking at what it gives.
        concurrency: calls under way at once; 1 for plain functions and 32 for async ones where left out.
        priority: a number (larger goes first) or the name of a key of the row whose number or enum value is it.
            What follows in the cascade inherits it.
        version: names the code instead of its fingerprint.
        inline: True runs it in memory before the write that it follows from, so that both are one write; False never
            does. None: by itself, once it has been measured to be cheap. Both ways give the same end.
        on_change: "backfill" remakes what older code made, in the background, when the store is opened with other
            code. None leaves it until `store.backfill`.
        rate: how many calls may begin in a second, minute or hour, such as "600/min", over all processes of the store.
            Their turns are spread evenly, and none begins before its turn; turns of the last tenth of a second that
            nobody took are made up for. A call for a batch is one call; a retry is one too.
        batch_wait: seconds that a batch may take to fill before a smaller one is handed over.
        memo: keep results in the store, and take them for equal inputs, on whichever row, made by the same code and the
            same state versions. The last 100,000 results of the trigger are kept, or 256 MiB of them. It is for functions
            of their parameters alone.
        isolated: whether a run is called again where what it has read through `store` has changed by its commit: None,
            if it writes through `store`; True, also if it only gives its `sets`; False, never.
        follow: True: what it reads through `store` by `get` and `rows(id=)` is an input: when that changes, comes or goes,
            it runs again for the row, and a result made from what has changed meanwhile is dropped. What it writes itself
            does not run it again, and a user's value stays. `keys=` narrows what is read, and so what is followed; `where=`,
            `search` and `sql` are not followed. False: what is read is as of that moment.
        once: for effects outside of the store. True: after it has succeeded for a row it never runs there again, whatever
            changes, until the row is deleted; what ends its process before that is noted calls it again, so hand the
            row's id to the other side as idempotency key. "at_most": that a call begins is noted first, and what ends
            the process meanwhile leaves a dead letter, as does an error; only `store.retry` calls it again.
        serial_by: a key ("table.key") of its table: runs of rows with an equal value go one at a time, ordered by `ts`,
            where the table has one, or else by id, and each sees what the one before wrote. One that is tried again
            holds those behind it, until it is given up.
        executor: where it runs: "thread", in this process, as also where left out; "process", in another process of
            this machine, which leaves the interpreter of this one free and may crash; "ray", on a Ray cluster.
        resources: what one run takes of the machine, or of the cluster; one core in a process and on Ray, and nothing in a
            thread, where left out.
        needs: a word, or several, such as "gpu": only a process that has all of them (`has=` of `motion.create_store`,
            `motion run --has gpu`) runs it.

    Raises:
        TriggerError: an option is out of its range.
    """
    return marking(declare(**locals()))  # exactly the parameters: each is a field of `Declaration`


def marking(declaration: object, called: str = DECLARATION) -> Callable[[Function], Function]:
    """Return what notes a declaration on a function, under a name."""

    def mark(function: Function) -> Function:
        try:
            setattr(function, called, declaration)
        except (AttributeError, TypeError) as exc:
            raise TriggerError(
                f"a declaration marks a function, which {shortened(function)} is not: a method or a builtin takes no mark. Write a "
                f"function that calls it, or a motion.Component with @motion.infer."
            ) from exc
        return function

    return mark


def declare(**given: Any) -> Declaration:
    """Return a declaration with the options that were given, each as its field takes it, or raise `TriggerError`."""
    return Declaration(**read_options(Declaration, given))


def _runs_on(given: Any) -> tuple[str, ...] | Event | After:
    if isinstance(given, Schedule | Deleted | After):
        return given
    if not (keys := paths("on", given)):
        raise TriggerError("a trigger needs at least one key in on=, such as on='query.query'.")
    return keys
