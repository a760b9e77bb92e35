"""Specs: what a trigger does, as the store keeps it; and a trigger, which is a spec with its function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from motion.definitions.events import Deleted, Event
from motion.definitions.folds import Fold
from motion.definitions.lookups import Lookup
from motion.definitions.rates import Rate, Turns
from motion.definitions.schedules import Schedule
from motion.definitions.windows import Window
from motion.errors import TriggerError

Refresh = Literal["never", "before", "after"]

OnChange = Literal["backfill"]

REFRESHES: tuple[Refresh, ...] = ("never", "before", "after")

Once = bool | Literal["at_most"]

Place = Literal["thread", "process"]

PLACES: tuple[Place, ...] = ("thread", "process")


@dataclass(frozen=True)
class Failed:
    """An item of a batch's result that says: this row failed, with this error."""

    error: BaseException | str


@dataclass(frozen=True)
class Resources:
    """What one run of a trigger takes of the machine: runs that together take more wait for each other.

    Args:
        cpus: processor cores. A run that asks for more than there are runs alone.
        gpus: graphics processors; a share of one may be asked for.
    """

    cpus: float = 1
    gpus: float = 0

    def __post_init__(self) -> None:
        for name, value in (("cpus", self.cpus), ("gpus", self.gpus)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                raise TriggerError(
                    f"motion.Resources takes {name}= as a number of at least 0, not {value!r}."
                )


NOTHING = Resources(cpus=0)


VALUES = ("key", "lookup", "window", "rows")
"""Kinds of parameters that have a value for each row."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a trigger: a key of the row, or something else that the worker supplies."""

    name: str
    kind: Literal["key", "row", "store", "state", "lookup", "window", "rows"]
    is_optional: bool = False
    component: str | None = None
    lookup: Lookup | None = None
    window: Window | None = None

    @classmethod
    def of(cls, name: str, elsewhere: Lookup | Window, *, is_optional: bool) -> Parameter:
        """Return the parameter that receives what is taken of other rows."""
        if isinstance(elsewhere, Lookup):
            return cls(name, "lookup", is_optional, lookup=elsewhere)
        return cls(name, "window", is_optional, window=elsewhere)

    @property
    def column(self) -> str:
        """What its values are found under among the inputs of a run."""
        elsewhere = self.lookup or self.window
        return self.name if elsewhere is None else elsewhere.column


@dataclass(frozen=True)
class TriggerSpec:
    """All of a trigger but its code: what the store keeps, so that any process can fire it."""

    name: str
    table: str
    on: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    sets: tuple[str, ...]
    sets_table: str | None
    page: str | None
    fingerprint: str
    batch: int | None = None
    is_async: bool = False
    is_generator: bool = False
    retries: int = 0
    discard_after_s: float | None = None
    discard_beyond: int | None = None
    timeout_s: float | None = None
    concurrency: int = 1
    priority: int | str | None = None
    component: str | None = None
    refresh: Refresh = "never"
    has_when: bool = False
    inline: bool | None = None
    schedule: Schedule | None = None
    after_ms: int | None = None
    deleted: str | None = None
    on_change: OnChange | None = None
    rate: Rate | None = None
    batch_wait_s: float | None = None
    memo: bool = False
    isolated: bool | None = None
    once: Once = False
    executor: Place | None = None
    resources: Resources = NOTHING
    searches: tuple[str, ...] = ()
    serial_by: str | None = None
    """The key of its table: runs of rows with an equal value go one at a time."""
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
    def windows(self) -> tuple[Window, ...]:
        """What is held by windows over other rows, in the order of the parameters."""
        return tuple(dict.fromkeys(p.window for p in self.parameters if p.window))

    @cached_property
    def elsewhere(self) -> tuple[Lookup | Window, ...]:
        """All that it takes of other rows."""
        return (*self.lookups, *self.windows)

    @cached_property
    def looked_up_by(self) -> tuple[str, ...]:
        """The keys whose change runs it, beside those of `on`: they say which other rows it takes values of."""
        keys = [*(each.by for each in self.lookups), *(k for w in self.windows for k in w.own_keys)]
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

    @cached_property
    def is_columnar(self) -> bool:
        """Whether it gives one value per output key of its own row: such triggers fuse and commit by column."""
        return self.page is None and self.sets_table is None and bool(self.sets)

    @cached_property
    def is_fusable(self) -> bool:
        """Whether it may run at once behind another trigger on the same rows, before anything is committed."""
        plain = not (
            self.batch or self.is_async or self.is_generator or self.reads_row or self.uses_store
        )
        alone = self.retries == 0 and self.timeout_s is None and self.component is None
        alone = alone and self.rate is None and not self.memo and self.after_ms is None
        alone = alone and self.executor is None and self.resources == NOTHING
        alone = alone and self.serial_by is None
        return (
            self.is_columnar and plain and alone and all(p.kind == "key" for p in self.parameters)
        )  # a lookup reads, and what runs before the write reads nothing

    @property
    def may_be_abandoned(self) -> bool:
        """Whether a call of it runs in a thread that is not waited for after a time-out."""
        return self.timeout_s is not None and not self.is_async and self.executor != "process"

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


def elsewhere_of(parameters: Sequence[Parameter]) -> tuple[Lookup | Window, ...]:
    found = (parameter.lookup or parameter.window for parameter in parameters)
    return tuple(each for each in found if each is not None)
