"""Specs: what a trigger does, as the store keeps it; and a trigger, which is a spec with its function."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from motion.definitions.tables.lookups import Lookup
from motion.definitions.tables.windows import Window
from motion.definitions.triggers.events import Deleted, Event
from motion.definitions.triggers.folds import Fold
from motion.definitions.triggers.options import (
    AWAY,
    NOTHING,
    REFRESHES,
    Once,
    OnChange,
    Place,
    Refresh,
    Refusal,
    Resources,
    Value,
    is_one_of,
    is_priority,
    is_word_of,
    number,
    of_kind,
    one_place,
    option,
    some_resources,
    words_needed,
)
from motion.definitions.triggers.parameters import VALUES, Parameter
from motion.definitions.triggers.rates import Rate, Turns, rate_of
from motion.definitions.triggers.schedules import Schedule


@dataclass(frozen=True)
class Failed:
    """An item of a batch's result that says: this row failed, with this error."""

    error: BaseException | str


ASYNC_CONCURRENCY = 32
"""Calls of an async trigger that may be under way at once, where `concurrency=` says nothing."""

MOST_KEYS = 100
"""A trigger's `on` keys: SQLite's functions take 127 values."""


def refused(
    holds: Callable[[TriggerSpec], object], reason: str | Callable[[TriggerSpec], str]
) -> Refusal:
    """Return what a field does not go with, as a question to the spec, and why not."""
    return Refusal(holds, reason)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a trigger may say beside what it runs on and what it sets: each option, with what it may be and what it does not go
    with. `motion.trigger` tells what they mean.

    This is the one place of an option but for the signatures of the decorators that take it, and the rule that acts on it.
    """

    page: str | None = field(
        default=None,
        metadata=option(
            of_kind("the name of a page key", lambda given: isinstance(given, str)),
            refused(
                lambda spec: not spec.sets,
                "page= lays out the result over pages, so sets= must name the key it goes to.",
            ),
        ),
    )
    batch: int | None = field(
        default=None,
        metadata=option(
            number(least=1),
            refused(
                lambda spec: spec.reads_row,
                "batch= hands over columns, so 'row' and when= do not go with it.",
            ),
        ),
    )
    retries: int = field(default=0, metadata=option(number(least=0)))
    discard_after_s: float | None = field(default=None, metadata=option(number(least=0)))
    discard_beyond: int | None = field(default=None, metadata=option(number(least=1)))
    timeout_s: float | None = field(default=None, metadata=option(number(least=0, is_above=True)))
    concurrency: int | None = field(default=None, metadata=option(number(least=1)))
    priority: int | str | None = field(
        default=None,
        metadata=option(of_kind("an int of at most 32 bits or the name of a key", is_priority)),
    )
    refresh: Refresh | None = field(
        default=None,
        metadata=option(
            of_kind(f"one of {', '.join(REFRESHES)}", is_word_of(*REFRESHES)),
            refused(
                lambda spec: spec.event and spec.refresh != "never",
                "it runs on an event, which is over: refresh= has nothing to refresh.",
            ),
            refused(
                lambda spec: spec.is_versioned and spec.after_ms is not None,
                "what runs a while after a row's time cannot be made beside it: no refresh='before'.",
            ),
            refused(
                lambda spec: spec.is_versioned and not spec.is_columnar,
                "refresh='before' needs sets= with keys of the same row, without page=.",
            ),
            refused(
                lambda spec: (
                    spec.is_versioned and (spec.discard_after_s is not None or spec.discard_beyond)
                ),
                "refresh='before' needs every row's output, so none may be discarded.",
            ),
            refused(
                lambda spec: spec.is_versioned and "slot" in map(str.lower, spec.sets),
                "refresh='before' keeps outputs by a number called slot; give that key another name.",
            ),
        ),
    )
    inline: bool | None = field(
        default=None,
        metadata=option(
            of_kind("True, False or None", is_one_of(True, False)),
            refused(
                lambda spec: not spec.may_be_inline,
                "inline=True needs a plain function of keys, lookups and windows that sets keys of its own row: no store, row, when=, "
                "page=, batch=, async, retries, timeout, rate=, memo=, serial_by=, follow=, executor=, resources=, needs= or state.",
            ),
        ),
    )
    on_change: OnChange | None = field(
        default=None,
        metadata=option(
            of_kind("'backfill' or None", is_word_of("backfill")),
            refused(
                lambda spec: spec.event,
                "on_change= goes with keys: what ran on a schedule or a deletion is not run again.",
            ),
        ),
    )
    rate: Rate | None = field(
        default=None, metadata=option(Value(lambda field, given: rate_of(given)))
    )
    batch_wait_s: float | None = field(
        default=None,
        metadata=option(
            number(least=0),
            refused(
                lambda spec: not spec.batch,
                "batch_wait= is how long a batch may take to fill, so it needs batch=.",
            ),
        ),
    )
    memo: bool = field(
        default=False,
        metadata=option(
            of_kind("True or False", is_one_of(True)),
            refused(
                lambda spec: not (spec.sets or spec.sets_table),
                "memo=True keeps results, so sets= must say where they go.",
            ),
            refused(
                lambda spec: any(each.kind in ("row", "store") for each in spec.parameters),
                "memo=True takes a result for equal parameters, which 'row' and 'store' are not; take the keys that it needs.",
            ),
            refused(
                lambda spec: spec.is_generator,
                "memo=True does not go with a generator, whose items go out as they come.",
            ),
        ),
    )
    isolated: bool | None = field(
        default=None,
        metadata=option(of_kind("True, False or None", is_one_of(True, False))),
    )
    follow: bool = field(
        default=False,
        metadata=option(
            of_kind("True or False", is_one_of(True)),
            refused(
                lambda spec: spec.event,
                "it runs on an event, which is over: there is no row that could be due again, so follow= does not go with it.",
            ),
            refused(
                lambda spec: spec.memo,
                "memo=True takes a result without a call, which then has read nothing that follow=True could follow.",
            ),
            refused(
                lambda spec: spec.once,
                "once= runs never again where it has succeeded, so follow=True has nothing to do.",
            ),
        ),
    )
    """Whether what its runs read by hand, by `get` and `rows(id=)`, makes them due again when it changes."""
    once: Once = field(
        default=False,
        metadata=option(
            of_kind(
                "True, False or 'at_most'",
                lambda given: given is True or is_word_of("at_most")(given),
            ),
            refused(
                lambda spec: spec.sets or spec.sets_table,
                "once= is for what is done outside of the store, so sets= does not go with it: a derived value follows what it "
                "is made from. To keep what the other side answered, write it through 'store: motion.View'.",
            ),
            refused(
                lambda spec: spec.event,
                "it runs on an event, which comes once: once= is about a row that may change again.",
            ),
            refused(
                lambda spec: spec.on_change,
                "once= runs never again where it has succeeded, so on_change= has nothing to do.",
            ),
            refused(
                lambda spec: spec.once == "at_most" and (spec.retries or spec.batch),
                "once='at_most' calls once for each row, so retries= and batch=, which is halved where it raises, do not go "
                "with it. Where the other side takes an idempotency key, once=True goes with both.",
            ),
        ),
    )
    serial_by: str | None = field(
        default=None,
        metadata=option(
            of_kind("a key, such as 'message.user'", lambda given: isinstance(given, str))
        ),
    )
    """The key of its table: runs of rows with an equal value go one at a time."""
    executor: Place | None = field(
        default=None,
        metadata=option(
            Value(one_place),
            refused(
                lambda spec: spec.executor in AWAY and spec.is_async,
                lambda spec: (
                    f"executor={spec.executor!r} does not go with an async function, which waits beside others."
                ),
            ),
            refused(
                lambda spec: spec.executor in AWAY and spec.is_generator,
                lambda spec: (
                    f"executor={spec.executor!r} does not go with a generator, whose items are passed on as they come; "
                    "return a list."
                ),
            ),
        ),
    )
    resources: Resources | None = field(default=None, metadata=option(Value(some_resources)))
    needs: tuple[str, ...] = field(default=(), metadata=option(Value(words_needed)))
    """What a worker must have to run it."""

    def kept(self, *, is_async: bool) -> dict[str, Any]:
        """Return the options as a spec of a function keeps them: with what is meant where nothing was said."""
        alone = Resources() if self.executor in AWAY else NOTHING
        given = {each.name: getattr(self, each.name) for each in fields(Options)}
        return given | {
            "concurrency": self.concurrency or (ASYNC_CONCURRENCY if is_async else 1),
            "resources": self.resources or alone,
            "refresh": self.refresh or "never",
        }


@dataclass(frozen=True, kw_only=True)
class TriggerSpec(Options):
    """All of a trigger but its code: what the store keeps, so that any process can fire it."""

    name: str
    table: str
    on: tuple[str, ...] = field(
        metadata=option(
            refused(
                lambda spec: set(spec.on) & set(spec.sets),
                lambda spec: (
                    f"it would set {_listed({*spec.on} & {*spec.sets})}, which it runs on."
                ),
            ),
            refused(
                lambda spec: len(spec.on) > MOST_KEYS,
                lambda spec: f"on= names {len(spec.on)} keys, and takes at most {MOST_KEYS}.",
            ),
        )
    )
    parameters: tuple[Parameter, ...] = field(
        metadata=option(
            refused(
                lambda spec: (
                    spec.schedule and not all(p.kind in ("store", "state") for p in spec.parameters)
                ),
                "it runs on a schedule, so there is no row: its parameters are 'store: motion.View' and components.",
            ),
            refused(
                lambda spec: spec.event and spec.elsewhere,
                "it runs on an event, which has no row that lookups and windows could be followed for; take 'store'.",
            ),
            refused(
                lambda spec: set(spec.inputs) & set(spec.sets),
                lambda spec: (
                    f"it takes {_listed({*spec.inputs} & {*spec.sets})}, which it sets: what a run gives would depend on "
                    f"how often it ran. Keep what it starts from in a key of its own, or read it with 'store: motion.View'."
                ),
            ),
        )
    )
    sets: tuple[str, ...]
    sets_table: str | None
    fingerprint: str
    is_async: bool = False
    is_generator: bool = field(
        default=False,
        metadata=option(
            refused(
                lambda spec: spec.batch or spec.sets_table or not spec.sets,
                "a generator gives pages (page=) or the parts of one text; batch= and tables do not go with it.",
            )
        ),
    )
    concurrency: int = 1
    component: str | None = None
    refresh: Refresh = "never"
    has_when: bool = False
    schedule: Schedule | None = field(
        default=None,
        metadata=option(
            refused(
                lambda spec: spec.batch or spec.has_when,
                "it runs on a schedule, so there is no row: batch= and when= do not go with it.",
            )
        ),
    )
    after_ms: int | None = None
    deleted: str | None = None
    resources: Resources = NOTHING
    searches: tuple[str, ...] = ()
    fold: Fold | None = None
    """Of a fold, whose `table` is that of its entities: what it goes over, and where the value is kept."""

    @property
    def event(self) -> Event | None:
        """What it runs on where that is no key: `table` then is its own event table, and `on` that table's id."""
        return Deleted(self.deleted) if self.deleted else self.schedule

    @property
    def source(self) -> str:
        """Where it runs, as people are told: its table, for a deletion the table of the rows that go."""
        if self.fold is not None:
            return self.fold.source
        return self.deleted or ("schedule" if self.schedule else self.table)

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """The keys that are parameters, in the order of the parameters."""
        return tuple(parameter.name for parameter in self.parameters if parameter.kind == "key")

    @cached_property
    def required(self) -> tuple[str, ...]:
        """The keys that must have values before it runs."""
        optional = {parameter.name for parameter in self.parameters if parameter.is_optional}
        return tuple(
            dict.fromkeys(name for name in (*self.on, *self.inputs) if name not in optional)
        )

    @cached_property
    def lookups(self) -> tuple[Lookup, ...]:
        """What is looked up in other rows, in the order of the parameters."""
        return tuple(dict.fromkeys(p.lookup for p in self.parameters if p.lookup))

    @cached_property
    def lookups_of_one(self) -> tuple[Lookup, ...]:
        """What is looked up in one row each."""
        return tuple(each for each in self.lookups if not each.is_of_list)

    @cached_property
    def lookups_of_lists(self) -> tuple[Lookup, ...]:
        """What is looked up in as many rows as a list names."""
        return tuple(each for each in self.lookups if each.is_of_list)

    @cached_property
    def windows(self) -> tuple[Window, ...]:
        """What is held by windows over other rows, in the order of the parameters."""
        return tuple(dict.fromkeys(p.window for p in self.parameters if p.window))

    @cached_property
    def elsewhere(self) -> tuple[Lookup | Window, ...]:
        """All that it takes of other rows."""
        return (*self.lookups, *self.windows)

    def runs_wherever(self, other: TriggerSpec) -> bool:
        """Whether each change that makes another trigger due makes this one due, too."""
        mine = [self.table, self.follow, *self.on, *self.looked_up_by, *self.elsewhere]
        its = [other.table, other.follow, *other.on, *other.looked_up_by, *other.elsewhere]
        return all(each in mine for each in its)

    @cached_property
    def looked_up_by(self) -> tuple[str, ...]:
        """The keys whose change runs it, beside those of `on`: they say which other rows it takes values of."""
        elsewhere = [
            *(each.bys for each in self.lookups),
            *(each.own_keys for each in self.windows),
        ]
        keys = [key for keys in elsewhere for key in keys]
        return tuple(dict.fromkeys(key for key in keys if key not in self.on))

    @cached_property
    def arguments(self) -> tuple[str, ...]:
        """The columns of inputs that its parameters take, keys, lookups and windows, in the order of the parameters."""
        return tuple(p.column for p in self.parameters if p.kind in VALUES)

    @cached_property
    def needed_lookups(self) -> tuple[str, ...]:
        """The columns of lookups and windows that must have values before it runs."""
        found = [p for p in self.parameters if p.lookup or p.window]
        return tuple(p.column for p in found if not p.is_optional)

    @cached_property
    def awaited_lookups(self) -> tuple[Lookup, ...]:
        """What is looked up and needed, but not followed: a run waits for it as for a key that it does not run on."""
        found = [p.lookup for p in self.parameters if p.lookup and not p.is_optional]
        return tuple(each for each in dict.fromkeys(found) if not each.is_followed)

    @cached_property
    def components(self) -> tuple[str, ...]:
        """The components whose states are parameters, its own first."""
        return tuple(dict.fromkeys(p.component for p in self.parameters if p.component))

    @cached_property
    def reads_row(self) -> bool:
        return self.has_when or any(parameter.kind == "row" for parameter in self.parameters)

    @cached_property
    def uses_store(self) -> bool:
        return any(parameter.kind == "store" for parameter in self.parameters)

    @cached_property
    def writes_freely(self) -> bool:
        """Whether it may write through a store: by its view, or, as nobody can tell, by one that it reaches otherwise."""
        return self.uses_store or not (self.sets or self.sets_table or self.fold)

    @property
    def makes_rows_in(self) -> str | None:
        """The table in which it makes rows: pages of its own one, or rows of another; None: it makes none."""
        return self.sets_table or (self.table if self.page else None)

    @cached_property
    def is_columnar(self) -> bool:
        """Whether it gives one value per output key of its own row: such triggers fuse and commit by column."""
        return self.page is None and self.sets_table is None and bool(self.sets)

    @cached_property
    def is_fusable(self) -> bool:
        """Whether it may run at once behind another trigger on the same rows, before anything is committed: what runs there
        reads nothing."""
        return self.may_be_inline and not self.elsewhere

    @cached_property
    def may_be_inline(self) -> bool:
        """Whether it may run in memory before the write that it follows from: a plain function of keys, lookups and windows."""
        plain = not (
            self.batch or self.is_async or self.is_generator or self.reads_row or self.uses_store
        )
        alone = self.retries == 0 and self.timeout_s is None and self.component is None
        alone = alone and self.rate is None and not self.memo and self.after_ms is None
        alone = alone and self.executor is None and self.resources == NOTHING and not self.needs
        alone = alone and self.serial_by is None and not self.follow
        return (
            self.is_columnar
            and plain
            and alone
            and all(p.kind in ("key", "lookup", "window") for p in self.parameters)
        )

    @property
    def may_be_abandoned(self) -> bool:
        """Whether a call of it runs in a thread that is not waited for after a time-out."""
        return self.timeout_s is not None and not self.is_async and self.executor not in AWAY

    @cached_property
    def grows_text(self) -> bool:
        """Whether it is a generator whose parts make one text."""
        return self.is_generator and self.page is None

    @cached_property
    def is_versioned(self) -> bool:
        """Whether its outputs are kept once for each state version, side by side."""
        return self.refresh == "before"


@dataclass(frozen=True)
class Trigger:
    """A trigger that this process can run."""

    spec: TriggerSpec
    function: Callable[..., Any] = field(compare=False)
    when: Callable[[Any], Any] | None = field(default=None, compare=False)
    turns: Turns | None = field(default=None, compare=False)
    """In a claim, where it has a rate: when its calls may begin."""


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
