"""Every error Motion raises on purpose. One root, and beside it the builtin a caller would guess.

An error's `args` are its facts, so it pickles across processes; its text is made from them when it is shown.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def nearest(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the name closest to `name`, or an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


def listed(names: Iterable[str]) -> str:
    """Return names as a readable list, or "none"."""
    return ", ".join(names) or "none"


def shortened(value: object, limit: int = 80) -> str:
    """Return `repr(value)` cut to `limit` characters: errors quote values, not whole images."""
    if isinstance(value, str | bytes | bytearray) and len(value) > limit:
        value = value[:limit]  # its repr would be as long as it is
    try:
        text = repr(value)
    except Exception as exc:  # noqa: BLE001 - it may be the user's, as the value is
        text = f"<a {type(value).__name__} whose repr raises {type(exc).__name__}>"
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


class MotionError(Exception):
    """The root of Motion's errors."""


class MissingPackage(MotionError, ImportError):
    """Something was asked for that needs a package which is optional and not installed."""

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(what, package, extra)
        self.what, self.package, self.extra = what, package, extra

    def __str__(self) -> str:
        return (
            f"{self.what} needs the package {self.package}, which is not installed; "
            f"get it with: pip install 'motion-ml[{self.extra}]'"
        )


class SchemaError(MotionError, TypeError):
    """A schema, or a name used with it, is not one that a store can have."""


class UnknownTable(SchemaError, LookupError):
    """A store was asked for a table it does not have."""

    def __init__(self, table: str, known: Sequence[str], is_stored: bool = False) -> None:
        super().__init__(table, known, is_stored)
        self.table, self.known, self.is_stored = table, known, is_stored

    def __str__(self) -> str:
        if self.is_stored:
            return (
                f"table {self.table!r} is in the store, but the store was opened without its schema: pass its dataclass "
                f"in schemas={{{self.table!r}: ...}}. Opened are {listed(self.known)}; rows, get and sql read any table."
            )
        return (
            f"the store has no table {self.table!r}; it has {listed(self.known)}."
            f"{nearest(self.table, self.known)}"
        )


class UnknownKey(SchemaError, LookupError):
    """A table was asked for a key that its schema does not have."""

    def __init__(self, table: str, key: str, known: Sequence[str]) -> None:
        super().__init__(table, key, known)
        self.table, self.key, self.known = table, key, known

    def __str__(self) -> str:
        return (
            f"table {self.table!r} has no key {self.key!r}; it has {listed(self.known)}."
            f"{nearest(self.key, self.known)}"
        )


class SchemaMismatch(SchemaError):
    """The stored table and the schema given now differ in a way that would lose or reinterpret data."""

    def __init__(
        self,
        table: str,
        differences: Sequence[str],
        remedies: Sequence[str] = (),
        has_own_name: bool = True,
    ) -> None:
        super().__init__(table, differences, remedies, has_own_name)
        self.table, self.differences = table, differences
        self._remedies, self._has_own_name = remedies, has_own_name

    def __str__(self) -> str:
        remedies = "".join(f"{each} " for each in self._remedies)
        own_name = (
            "give what has changed a name of its own (a new key beside the old one, a default for a new field), or "
            if self._has_own_name
            else ""
        )
        return (
            f"table {self.table!r} on disk does not fit the schema given: {'; '.join(self.differences)}. "
            f"Nothing was changed. {remedies}Open it with the schema it was made with, or {own_name}copy the rows to a new store: "
            f"read them with rows(inherit=False) where the old schema is, and write them with set_many(), as dicts where names "
            f"have changed, into a store with the new one."
        )


class InvalidValue(MotionError, ValueError, TypeError):
    """A value does not fit its key. Nothing of the call was written."""

    def __init__(self, table: str, key: str, given: str, expected: str) -> None:
        super().__init__(table, key, given, expected)
        self.table, self.key, self.given, self.expected = table, key, given, expected

    def __str__(self) -> str:
        end = "" if self.given.endswith("?") else "."
        return f"{self.table}.{self.key} takes {self.expected}, but was given {self.given}{end}"


class UnreadableValue(MotionError, ValueError):
    """A stored value is none of its key's type: the type has changed since, or something else wrote it."""

    def __init__(self, expected: str, stored: str, reason: str) -> None:
        super().__init__(expected, stored, reason)
        self.expected, self.stored, self.reason = expected, stored, reason

    def __str__(self) -> str:
        return (
            f"a stored value cannot be read as {self.expected}: {self.reason}. It is {self.stored}. Give the type what it "
            f"had when this was written, or mend the value in the database."
        )


class InvalidArgument(MotionError, ValueError, TypeError):
    """An argument of a call is not one that it takes. Nothing was done."""

    def __init__(self, argument: str, given: str, expected: str) -> None:
        super().__init__(argument, given, expected)
        self.argument, self.given, self.expected = argument, given, expected

    def __str__(self) -> str:
        return f"{self.argument} takes {self.expected}, but was given {self.given}."


class NotFound(MotionError, LookupError):
    """What a request names is not there."""


class NotAllowed(MotionError, PermissionError):
    """A request is of somebody who may not make it."""


class Unreachable(MotionError, ConnectionError):
    """A server does not answer, or what answers is none of Motion's."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(url, reason)
        self.url, self.reason = url, reason

    def __str__(self) -> str:
        return f"the store at {self.url} cannot be reached: {self.reason}. Is 'motion serve' running there?"


class BadRows(MotionError, ValueError):
    """`set_many` met a bad row. Chunks before it are in; the row's own error is the cause."""

    def __init__(self, position: int, written: int, reason: str) -> None:
        super().__init__(position, written, reason)
        self.position, self.written, self.reason = position, written, reason

    def __str__(self) -> str:
        return (
            f"row {self.position} (counted from 0) of set_many is bad: {self.reason} "
            f"{self.written} rows before it are in the store. Mend the row and go on from there, "
            f"or pass errors='collect' to write the good rows and get the bad ones back."
        )


class TriggerError(MotionError, ValueError):
    """A trigger or component is declared in a way that cannot run."""


class TriggerCycle(TriggerError):
    """Triggers feed each other in a loop."""

    def __init__(self, loop: Sequence[str]) -> None:
        super().__init__(loop)
        self.loop = loop

    def __str__(self) -> str:
        return (
            f"these triggers feed each other in a loop: {' -> '.join(self.loop)}. A key cannot be "
            f"derived from itself; set one of these keys from outside, or split it in two."
        )


class CascadeTooDeep(TriggerError):
    """Writes made inside triggers went on firing triggers beyond the allowed depth, or rows that follow one another have
    made each other due in a circle."""

    def __init__(self, chain: Sequence[str], limit: int, *, is_followed: bool = False) -> None:
        super().__init__(chain, limit)
        self.chain, self.limit, self.is_followed = chain, limit, is_followed

    def __str__(self) -> str:
        if self.is_followed:
            return (
                f"a row of trigger {' -> '.join(self.chain)} came round {self.limit} times by what it follows (follow=True), with "
                f"another value each time, and was stopped. Let it read nothing that derives from it, or a value that comes to "
                f"rest."
            )
        return (
            f"writes inside triggers fired each other {self.limit} times in a row and were stopped, "
            f"the last: {' -> '.join(self.chain)}. Make the write conditional (when=), or derive the "
            f"key with sets=, where loops are found before anything runs."
        )


class TaskFailed(MotionError, RuntimeError):
    """A change's cascade ended with a dead letter."""

    def __init__(self, trigger: str, table: str, row: str, attempts: int, error: str) -> None:
        super().__init__(trigger, table, row, attempts, error)
        self.trigger, self.table, self.row = trigger, table, row
        self.attempts, self.error = attempts, error

    def __str__(self) -> str:
        last = self.error.strip().splitlines()[-1] if self.error.strip() else "no message"
        told = (
            f"trigger {self.trigger!r} failed on {self.table} {self.row} after {self.attempts} "
            f"attempt(s): {last}\nThe row is kept; store.errors() has the traceback and the inputs, "
            f"store.retry() tries again."
        )
        return told if last == self.error.strip() else f"{told}\n\n{self.error}"


class WaitTimeout(MotionError, TimeoutError):
    """The work that was waited for is not done in the time given. It goes on."""

    def __init__(self, what: str, timeout_s: float, remaining: int) -> None:
        super().__init__(what, timeout_s, remaining)
        self.args = what, timeout_s, remaining  # an OSError keeps two of them as such
        self.what, self.timeout_s, self.remaining = what, timeout_s, remaining

    def __str__(self) -> str:
        return (
            f"{self.what} is not done after {self.timeout_s:g} s: {self.remaining} task(s) are left. "
            f"They go on where a process has their triggers' code; wait longer with timeout=, pass the triggers to "
            f"create_store if this process is to run them, or look at store.status()."
        )


class QueueFull(MotionError, TimeoutError):
    """A write waited for room in the queue, and nobody made any. Nothing was written."""

    def __init__(self, store: str, tasks: int, limit: int, waited_s: float) -> None:
        super().__init__(store, tasks, limit, waited_s)
        self.args = store, tasks, limit, waited_s  # an OSError keeps two of them as such
        self.store, self.tasks, self.limit, self.waited_s = store, tasks, limit, waited_s

    def __str__(self) -> str:
        return (
            f"the queue of store {self.store!r} holds {self.tasks} tasks (limit: {self.limit}), and for "
            f"{self.waited_s:g} s none was done; nothing of this write was kept. Look at store.status() for triggers that "
            f"no process runs, or that are too slow; create_store(queue_limit=) allows more."
        )


class AlwaysChanged(MotionError, RuntimeError):
    """A run was called again and again, as what it had read had changed each time before it could commit."""

    def __init__(self, trigger: str, read: str, times: int) -> None:
        super().__init__(trigger, read, times)
        self.trigger, self.read, self.times = trigger, read, times

    def __str__(self) -> str:
        return (
            f"trigger {self.trigger!r} was called {self.times} times, and each time something else had written what it had "
            f"read before it could commit, the last time {self.read}. store.retry() calls it again; keys= narrows what a "
            f"read depends on, and isolated=False on the trigger lets it commit what it made of old values."
        )


class RowChanged(MotionError, RuntimeError):
    """A row was to be set only if it was as it was read, and it was not. Nothing of the write was made.

    Attributes:
        row: its id and page keys, by name.
        keys: those that have changed; none where the row is gone.
    """

    def __init__(self, table: str, row: Mapping[str, Any], keys: Sequence[str]) -> None:
        super().__init__(table, row, keys)
        self.table, self.row, self.keys = table, row, keys

    def __str__(self) -> str:
        what = f"{', '.join(self.keys)} changed" if self.keys else "it was deleted"
        named = ", ".join(f"{key}={value!r}" for key, value in self.row.items())
        return (
            f"row {named} of table {self.table!r} is not as it was read: {what}. Nothing of this write was made; read the "
            f"row again, and decide anew."
        )


class WaitInsideRun(MotionError, RuntimeError):
    """A trigger tried to wait for work, which could be its own."""

    def __str__(self) -> str:
        return (
            "a trigger cannot wait for a change: its own writes are only made when it returns. "
            "Return the value, or let another trigger run on the key."
        )


class ReadOnlyView(MotionError, RuntimeError):
    """Something was to be written through a view that only reads: of a fit, an evaluation or a version. Nothing was written."""

    def __init__(self, call: str) -> None:
        super().__init__(call)
        self.call = call

    def __str__(self) -> str:
        return (
            f"{self.call}: the store that a fit or evaluate gets, and that of model.live() and model.at(), only reads, as no run is "
            f"there that could commit what it writes. Nothing was written. Give it back with the state or the metrics, set it in a "
            f"trigger, or set it through the store itself."
        )


class TransactionEnded(MotionError, RuntimeError):
    """Something was to be written through a transaction whose block has ended. Nothing was written."""

    def __str__(self) -> str:
        return (
            "the block of this transaction has ended, so nothing would commit what is written through it, and nothing was "
            "written. Write inside of 'with store.transaction() as tx:', or through the store itself."
        )


class CloseInsideRun(MotionError, RuntimeError):
    """A trigger tried to close its store, which waits until no trigger runs."""

    def __str__(self) -> str:
        return (
            "a trigger cannot close its store: closing waits until its run has ended. "
            "Close it where it was opened, or let the trigger set a key that your program waits for."
        )


WHOLE_STORE = "the store"


class StoreClosed(MotionError, RuntimeError):
    """The store was used after `close`."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"store {self.name!r} is closed; open it again with motion.create_store({self.name!r}, ...)."


class StoreForked(StoreClosed):
    """Something of the process that forked was used in its child, where it cannot work."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(name)
        self.args = name, what
        self.what = what

    def __str__(self) -> str:
        return (
            f"{self.what} of store {self.name!r} was made before this process was forked, and is the parent's. Take it from "
            f"the store again here: store.get(...), store.change(key)."
            if self.what != WHOLE_STORE
            else f"store {self.name!r} cannot be used in this process: the one that it was forked from was in the midst of "
            f"using it in other threads. Fork before the store is opened, or while it rests, or start the process by "
            f"multiprocessing.get_context('spawn')."
        )


class StoreUnavailable(MotionError, OSError):
    """The store's files cannot be opened, read or written."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(place, reason)
        self.place, self.reason = place, reason

    def __str__(self) -> str:
        return f"the store in {self.place} cannot be used: {self.reason}"


class StoreOutOfReach(MotionError, FileNotFoundError):
    """A call runs on a machine that does not have the store's folder."""

    def __init__(self, name: str, folder: str, machine: str) -> None:
        super().__init__(name, folder, machine)
        self.args = name, folder, machine  # an OSError keeps two of them as such
        self.name, self.folder, self.machine = name, folder, machine

    def __str__(self) -> str:
        return (
            f"store {self.name!r} is in {self.folder}, which machine {self.machine} does not have, and a call was to run "
            f"there. A store in a folder is for one machine; on several it lives in PostgreSQL (url='postgresql://...')."
        )


class ClusterUnavailable(StoreUnavailable):
    """The Ray cluster that calls are to run on cannot be reached; they wait, and nothing is lost."""

    def __str__(self) -> str:
        return f"the Ray cluster at {self.place} cannot be used: {self.reason}"


class StoreDeleted(StoreUnavailable):
    """The store's folder was deleted, or another put in its place, while the store was open."""

    def __init__(self, place: str) -> None:
        super().__init__(
            place,
            "the folder or its file was deleted, moved or replaced while the store was open, and nothing can be kept "
            "there. Put it back with the store closed, or call motion.create_store again, which begins anew.",
        )
        self.args = (place,)


class NotOnPostgres(MotionError, NotImplementedError):
    """Something that a store in PostgreSQL cannot do yet; nothing was done."""

    def __init__(self, what: str, instead: str) -> None:
        super().__init__(what, instead)
        self.what, self.instead = what, instead

    def __str__(self) -> str:
        return f"a store in PostgreSQL does not take {self.what} yet: {self.instead}"


class StoreNameTaken(MotionError, ValueError):
    """A store would live where another one does."""

    def __init__(self, name: str, place: str, owner: str) -> None:
        super().__init__(name, place, owner)
        self.name, self.place, self.owner = name, place, owner

    def __str__(self) -> str:
        return (
            f"store {self.name!r} cannot live in {self.place}, where MOTION_URL puts it: store {self.owner!r} does, and "
            f"each would replace the other's triggers. Give one of them a folder of its own with create_store(url=), or "
            f"its name if they are one."
        )


class FolderNotEmpty(MotionError, FileExistsError):
    """A copy of a store was to go where something is already."""

    def __init__(self, place: str) -> None:
        super().__init__(place)
        self.place = place

    def __str__(self) -> str:
        return (
            f"nothing was copied: {self.place} is there and not empty. Give a place that is new or empty; a date in its "
            f"name keeps several apart."
        )


class SqlError(MotionError, ValueError):
    """A query given to `sql` or `where` is not one the store can answer."""

    def __init__(self, query: str, reason: str) -> None:
        super().__init__(query, reason)
        self.query, self.reason = query, reason

    def __str__(self) -> str:
        return f"the query {shortened(self.query, 200)} cannot be answered: {self.reason}"


class SqlTimeout(SqlError, TimeoutError):
    """A query took longer than its `timeout=` and was stopped."""

    def __init__(self, query: str, seconds: float) -> None:
        super().__init__(query, f"it was stopped after {seconds:g} s, its timeout=")
        self.args = query, seconds
        self.seconds = seconds


class SearchError(MotionError, ValueError):
    """A search asks for something the key cannot answer."""


class DimensionMismatch(SearchError):
    """A vector's length is not the length of the vectors it is compared with."""

    def __init__(self, key: str, given: int, expected: int) -> None:
        super().__init__(key, given, expected)
        self.key, self.given, self.expected = key, given, expected

    def __str__(self) -> str:
        return (
            f"{self.key} holds vectors of {self.expected} numbers, but the query has {self.given}. "
            f"Make the query with the model that made the stored vectors."
        )


class StateError(MotionError, RuntimeError):
    """A component's state cannot be made, kept or loaded."""


class UnsavableState(StateError, TypeError):
    """A state has a part with no safe form on disk."""

    def __init__(self, component: str, part: str, kind: str) -> None:
        super().__init__(component, part, kind)
        self.component, self.part, self.kind = component, part, kind

    def __str__(self) -> str:
        return (
            f"the state of {self.component} holds a {self.kind} at {self.part}, which has no safe form "
            f"on disk, so that it would come back as it is. States may hold plain data, dataclasses, NumPy arrays, "
            f"torch tensors and modules, and scikit-learn estimators; for anything else give the component "
            f"save(self, state) -> dict and load(self, saved), or, if you trust all who can write the store's folder, "
            f"pickle=True."
        )


class FitFailed(StateError):
    """A component's code raised in the process of a fit or an evaluation."""

    def __init__(self, method: str, reason: str, trace: str) -> None:
        super().__init__(method, reason, trace)
        self.method, self.reason, self.trace = method, reason, trace

    def __str__(self) -> str:
        return f"{self.method} raised {self.reason}"


class PromotionFailed(StateError):
    """A version that was asked for cannot be made live."""

    def __init__(self, component: str, number: int, reason: str) -> None:
        super().__init__(component, number, reason)
        self.component, self.number, self.reason = component, number, reason

    def __str__(self) -> str:
        return f"version {self.number} of {self.component} cannot be made live: {self.reason}"


class UnknownVersion(StateError, LookupError):
    """A component was asked for a state version that it does not have."""

    def __init__(self, component: str, version: object, known: Sequence[int]) -> None:
        super().__init__(component, version, known)
        self.component, self.version, self.known = component, version, known

    def __str__(self) -> str:
        return (
            f"{self.component} has no state version {self.version}; it has "
            f"{listed(str(number) for number in self.known)}."
        )


class CallTimeout(MotionError, TimeoutError):
    """A call of a trigger's function took longer than its `timeout=`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds

    def __str__(self) -> str:
        return f"the call did not return within {self.seconds:g} s, its timeout=, and is not waited for any more."


class ProcessLost(MotionError, RuntimeError):
    """The process that ran a call has ended, by the call or from outside."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how

    def __str__(self) -> str:
        return f"the process that ran the call has ended, by {self.how}."


class RemoteError(MotionError, RuntimeError):
    """A call in another process raised an error that cannot be handed over as it is."""

    def __init__(self, error: str, trace: str) -> None:
        super().__init__(error, trace)
        self.error, self.trace = error, trace

    def __str__(self) -> str:
        return f"{self.error}\n{self.trace}"


class Unpicklable(MotionError, TypeError):
    """Something cannot be sent to another process."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(what, reason)
        self.what, self.reason = what, reason

    def __str__(self) -> str:
        return (
            f"{self.what} cannot be sent to another process: {self.reason}. With executor='process' a function, what "
            f"it closes over and its arguments are pickled; open connections, locks and the like inside the function."
        )
