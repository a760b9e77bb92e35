"""The database of one store, as its parts see it: tables, graph, layouts, indexes and states over one backend.

Owns no rule of its own beyond keeping these together: the store, a view and a worker all read and write through here.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence, Set, Sized
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from motion import clock, tracing
from motion.backends.base import Backend, First, Sight, Transaction
from motion.background.locks import SharedWork
from motion.background.loops import is_new
from motion.definitions.code import NO_CODE, Code
from motion.definitions.components import Component, setup_fingerprint
from motion.definitions.graph import Graph
from motion.definitions.rules import checked
from motion.definitions.tables.schema import Table, TableName, Tables
from motion.definitions.tasks import Cause, Task
from motion.definitions.triggers.kept_keys import keepers
from motion.definitions.triggers.specs import TriggerSpec
from motion.definitions.values.arguments import check_count, check_keys
from motion.definitions.values.codecs import Stored, encode_parameter
from motion.definitions.values.plain import is_number
from motion.errors import (
    InvalidArgument,
    InvalidValue,
    MotionError,
    SchemaError,
    SchemaMismatch,
    SqlError,
    StoreNameTaken,
    StoreUnavailable,
    UnknownVersion,
    listed,
    shortened,
)
from motion.history import History
from motion.persistence import catalog, ddl, migration, numbers, stored_graph
from motion.persistence.changes import departures, labelling
from motion.persistence.changes.operations import (
    Applied,
    DeleteOperation,
    Operation,
    SetOperation,
    apply_operations,
)
from motion.persistence.inputs.exact import Found, Question, ask
from motion.persistence.layout import Layout, Pins, quoted
from motion.persistence.layouts import Layouts
from motion.persistence.many import columns_of
from motion.persistence.recompute import backfills, relocation
from motion.persistence.rows import noted, reading
from motion.persistence.search.filters import FilterLists
from motion.persistence.search.indexes import MakeIndex, VectorIndexes
from motion.persistence.states import fit_requests, format, versions
from motion.persistence.states.files import Source
from motion.persistence.tasks import backlog, timeline, traces
from motion.persistence.tasks.awaiting import Awaiting
from motion.persistence.tasks.costs import CodeName, Cost, Costs
from motion.persistence.tasks.growing_texts import GrowingTexts

if TYPE_CHECKING:
    import pyarrow as pa  # at run time where it is used: 20 ms and 25 MB that few calls need

logger = logging.getLogger(__name__)


T = TypeVar("T")

Where = str | Mapping[str, Any] | None


InFolder = Callable[[str, Path], Backend]
"""Makes the database of a store, by its name, in a folder that is new."""

MISSING = object()

HAS_WORK = f"SELECT 1 FROM ({backlog.READY}) ready UNION ALL {backfills.WAITING} LIMIT 1"
"""Asks whether anybody is to be called."""


class Offering(Protocol):
    """Claims what a write has made for this process's own worker, if that has nothing to do."""

    def make(self, tx: Transaction) -> Task | None:
        """Claim it, at the end of the write, and return it; None where there is nothing to offer."""

    def keep(self, task: Task) -> None:
        """Take in that the write is committed."""


class Database:
    """One store's data. Thread-safe."""

    def __init__(
        self,
        name: str,
        backend: Backend,
        make_index: MakeIndex,
        in_folder: InFolder,
        *,
        tends_indexes: bool = True,
        is_named: bool = True,
    ) -> None:
        self.runs_code = False
        """Whether this process runs triggers and fits."""

        self.has: frozenset[str] = frozenset()
        """What triggers may need that this process has."""

        self._is_named = is_named
        self.name, self.backend, self.in_folder = name, backend, in_folder
        self.tables = Tables({})
        self.code = NO_CODE
        self._given: Sequence[Any] = ()
        self.costs, self.history = Costs(), History()
        self.offers: Offering | None = None

        self.rewriting = SharedWork()
        self.growing, self.awaiting = GrowingTexts(backend), Awaiting(backend)
        self.indexes = VectorIndexes(backend, make_index, tends=tends_indexes)
        self.filter_lists = FilterLists()
        self._graph_number = -1
        self._unavailable_since_s: float | None = None
        self._noted_ms = 0  # when this process last noted the time beside a change
        self.layouts = Layouts(Graph(self.tables, ()))
        self._states: dict[tuple[str, int], Any] = {}
        self.classes: Mapping[str, type] = {}  # of another process's script, that its states name
        self._states_lock = threading.Lock()
        self._opening = (
            threading.RLock()
        )  # held while a store is opened, until all here go by what was opened
        self._taking_in = threading.Lock()

    # -- opening --

    def open(self, schemas: Mapping[str, type], given: Sequence[Any] | None) -> None:
        """Make the stored tables and triggers fit what is given; `given=None` keeps the stored triggers, and the
        code that this process has for them."""
        with self._opening:
            self._open(schemas, given)
        self.backend.call()  # there may be code now for tasks that waited for it

    def _open(self, schemas: Mapping[str, type], given: Sequence[Any] | None) -> None:
        replaces = given is not None
        tables = Tables(schemas)
        kept = self._given if given is None else given
        code = Code.of(kept, tables)
        specs = [trigger.spec for trigger in code.triggers.values()]
        graph = checked(Graph(tables, specs, [fit.spec for fit in code.fits.values()]))
        looked_up = [trigger.spec for trigger in keepers(tables)]

        def work(tx: Transaction) -> tuple[Graph, int]:
            self._check_name(tx, [spec.name for spec in specs] if replaces else None)
            migration.take_over_code(tx, code, tables)
            before, fits = stored_graph.known_triggers(tx), stored_graph.known_fits(tx)
            opened = catalog.open_catalog(tx, tables, graph, looked_up, replace_graph=replaces)
            found = opened.graph
            tables.stored = stored_graph.table_names(tx)
            timeline.thin(tx, clock.now_ms())
            relocation.move_outputs(tx, Layouts(found), before)
            catalog.open_folds(tx, found, before, opened.before, opened.back)
            backfills.end_void_sweeps(tx, found)
            backfills.begin_where_code_changed(tx, Layouts(found), before, opened.back)
            backfills.begin_builds_of_returned(tx, Layouts(found), opened.before)
            labelling.begin_fits(tx, Layouts(found), fits)
            labelling.settle_all(tx, Layouts(found))
            self.indexes.forget_files_ahead(tx)
            if self.runs_code and replaces:
                setups = {name: setup_fingerprint(c) for name, c in code.components.items()}
                fit_requests.request_setups(tx, setups, numbers.last_number(tx))
            gone = [before[name] for name in opened.before if name not in found.triggers]
            departures.go_on_without(tx, Layouts(found), gone, opened.before)
            stored_graph.note_away(tx, opened.before)
            return found, numbers.graph_number(tx)

        found, number = self.backend.write(work)
        for name, trigger in code.triggers.items():
            before = self.code.triggers.get(name)
            if before is not None and before.spec.fingerprint != trigger.spec.fingerprint:
                self.costs.forget(name)
        self._forget_states_of(code)
        with self._taking_in:
            self.layouts = Layouts(found)
            self.tables, self.code, self._graph_number = tables, code, number
            self._given = kept

    def _check_name(self, tx: Transaction, triggers: Sequence[str] | None) -> None:
        """A folder holds one store: what another one of other code has there is not replaced unsaid.

        Raises:
            StoreNameTaken: it was put there by what the environment says, which may be said to several.
        """
        owner = catalog.take_name(tx, self.name)
        if owner in (None, self.name):
            return
        if not self._is_named:
            raise StoreNameTaken(self.name, str(self.backend.folder), str(owner))
        replaced = sorted(set(stored_graph.active_triggers(tx)) - set(triggers or ()))
        if triggers is None:
            return
        if replaced:
            logger.warning(
                "store %r is opened in the folder of store %r, %s, and replaces its triggers %s",
                self.name, owner, self.backend.folder, ", ".join(replaced),
            )  # fmt: skip

    def open_like(self, other: Database) -> None:
        """Open the store with the schemas and the code that another one of this process, or of its parent, has."""
        self.runs_code, self.has, self._given = other.runs_code, other.has, other._given
        self.open({table.name: table.cls for table in other.tables}, None)

    def open_noted(self) -> None:
        """Take a store that exists as it is, with the tables that it has noted and without code. Changes nothing."""
        with self.backend.read() as tx:
            self.name = ddl.check_format(tx, str(self.backend.folder)) or self.name
            self.tables = noted.noted_tables(tx)
        self.refresh()

    def open_reader(self, schemas: Mapping[str, type]) -> None:
        """Read a store that exists, without changing what it is."""
        self.tables = Tables(schemas)
        self.refresh()

    def close(self) -> None:
        """Keep what is worth keeping, and release all files."""
        self.indexes.close()
        self.backend.close()

    def is_same(self, other: Database) -> bool:
        """Whether both are of the same store, which may be open twice."""
        return self.backend.folder == other.backend.folder

    def _refresh(self, tx: Transaction, number: int) -> None:
        """Notice by the graph's number that another process has replaced the triggers."""
        if number == self._graph_number:
            return
        tables = self.tables
        stored_graph.check_kinds(tx, tables)
        layouts = Layouts(stored_graph.read_graph(tx, noted.with_noted(tx, tables)))
        catalog.take_sizes(tx, tables, layouts.graph.triggers.values())
        with self._taking_in:
            if (
                tables is self.tables
            ):  # else the store was opened again here meanwhile, which has taken it in
                self.layouts, self._graph_number = layouts, number

    def refresh(self) -> None:
        """Notice what other processes have changed. For one that only reads: `write` does it by itself."""
        with self.backend.read() as tx:
            self._refresh(tx, numbers.graph_number(tx))

    def components(self, tx: Transaction) -> Set[str]:
        """Return the components that the store has: those of triggers and fits in force, and those without any that this process
        has the code of. What is on its way for another one waits for its return."""
        there, known = stored_graph.components_there(tx)
        return there | (self.code.components.keys() - known)

    @property
    def graph(self) -> Graph:
        return self.layouts.graph

    def layout(self, table: TableName) -> Layout:
        return self.layouts[self.tables.get(table).name]

    def has_code(self, spec: TriggerSpec) -> bool:
        """Whether this process has a trigger's code, by its fingerprint."""
        return self.code.has(spec)

    def may_run(self, spec: TriggerSpec) -> bool:
        """Whether this process may run a trigger: it has the code, and all that is needed."""
        return self.code.has(spec) and self.has.issuperset(spec.needs)

    def may_fit(self, component: str) -> bool:
        """Whether this process brings a component's fits and versions on: it has all that the component's triggers need."""
        specs = (each.spec for each in self.code.triggers.values())
        return all(self.has.issuperset(s.needs) for s in specs if s.component == component)

    # -- writing --

    def write(
        self,
        work: Callable[[Transaction], T],
        *,
        is_durable: bool = True,
        is_patient: bool = False,
        calls: bool = True,
        first: First | None = None,
    ) -> T:
        """Run `work` in a write transaction, under the graph now in force.

        Args:
            is_patient: others go before it.
            calls: call who works if there is work.
            first: returns what `work` reads before it writes anything: see `Backend.write`.
        """

        def refreshed(tx: Transaction) -> tuple[T, Callable[[], bool]]:
            self._refresh(tx, numbers.graph_number(tx))
            result = work(tx)
            return result, tx.is_found_last(HAS_WORK) if calls else lambda: False

        result, has_work = self._write_noted(
            refreshed,
            is_durable=is_durable,
            is_patient=is_patient,
            first=None if first is None else lambda: (numbers.FIRST, *first()),
        )
        if has_work():
            self.backend.call()
        return result

    def write_plainly(self, work: Callable[[Transaction], Any]) -> None:
        """Run `work` in a write transaction under whatever graph: who holds a claim has nothing to do with it, and a
        process whose schemas are too old to write rows must not keep what it holds."""
        self.backend.write(work, is_durable=False)
        self.backend.call()

    def _write_noted(self, work: Callable[[Transaction], T], **how: Any) -> T:
        """Run `work` in a write transaction. Where it meets triggers on keys that this process is just being told of, as
        the store is opened again in it, that is waited for, and `work` is run once more."""
        while True:
            tables = self.tables
            try:
                result = self._write_once(work, **how)
                self._tell_whether_available(is_available=True)
                return result
            except StoreUnavailable:
                self._tell_whether_available(is_available=False)
                raise
            except SchemaMismatch:
                with self._opening:
                    if tables is self.tables:
                        raise

    def _tell_whether_available(self, *, is_available: bool) -> None:
        """Say when what made writes fail, such as a full disk, is over. That it is there is said by those it holds up."""
        since_s = self._unavailable_since_s
        if not is_available and since_s is None:
            self._unavailable_since_s = clock.monotonic_s()
        elif is_available and since_s is not None:
            self._unavailable_since_s = None
            if is_new(f"store {self.name!r}", "available"):
                seconds = clock.monotonic_s() - since_s
                logger.warning("store %r can be written again, after %.1f s", self.name, seconds)

    def _write_once(self, work: Callable[[Transaction], T], **how: Any) -> T:
        """Run `work` in a write transaction; now and then one that also notes when this is, and what calls have taken."""
        now = clock.now_ms()
        if abs(now - self._noted_ms) < timeline.RESOLUTION_MS:
            return self.backend.write(work, **how)
        unkept: Mapping[CodeName, Cost] = {}

        def noted(tx: Transaction) -> tuple[T, bool, Mapping[CodeName, Cost]]:
            before = numbers.last_number(tx)
            result = work(tx)
            left = timeline.add_costs(tx, unkept)
            return result, timeline.note(tx, before, numbers.last_number(tx), now), left

        try:
            unkept = self.costs.take_unkept()
            result, is_noted, left = self.backend.write(noted, **how)
            self.costs.put_back(left)
        except BaseException:
            self.costs.let_go()
            self.costs.put_back(unkept)
            raise
        if is_noted:
            self._noted_ms = now
        return result

    def keep_costs(self) -> None:
        """Keep what calls have taken in this process, where no write has done so: at rest, and at the end."""
        unkept = self.costs.take_unkept()
        if unkept:
            self.costs.put_back(
                self.backend.write(lambda tx: timeline.add_costs(tx, unkept), is_durable=False)
            )

    def apply(self, make: Callable[[Transaction], Sequence[Operation]]) -> Applied:
        """Do what `make` gives from what it sees in the transaction, and call who works if it made work."""

        def work(tx: Transaction) -> tuple[Applied, Task | None]:
            number, graph = numbers.begin_change(tx)
            self._refresh(tx, graph)
            applied = apply_operations(tx, self.layouts, make(tx), Cause(number, number))
            if line is not None and applied.tasks:
                traces.keep(tx, number, line)
            if not applied.tasks or self.offers is None:
                return applied, None
            return applied, self.offers.make(tx)

        line = tracing.current() if tracing.is_on() else None
        applied, offered = self._write_noted(work)
        if self.offers is not None and offered is not None:
            self.offers.keep(offered)
        if applied.tasks:
            self.backend.call()
        return applied

    # -- reading --

    def get(
        self, table: TableName, row_id: Any, pages: Mapping[str, int], pins: Pins, inherit: bool
    ) -> Any:
        known = self._noted(table)
        found = known or self.layout(table).table
        for page in pages:
            if page not in found.page_keys:
                found.key(page)
                raise SchemaError(f"{found.name}.{page} is no page key, so it does not name a row.")
        stored = id_of(found, row_id)
        values = [found.keys[page].encode(pages.get(page, 0)) for page in found.page_keys]
        if known is not None:
            name = dict(zip(known.primary_key, (stored, *values), strict=True))
            with self.backend.read() as tx:
                return next(iter(noted.read(tx, known, name, inherit=inherit)), None)
        layout = self.layout(table)
        with self.backend.read() as tx:
            return reading.read_one(tx, layout, stored, values, inherit=inherit, pins=pins)

    def ask(self, question: Question) -> list[Found]:
        """Answer a question about rows with what is committed."""
        with self.backend.read() as tx:
            return ask(tx, self.layout(question.table), question)

    def live_versions(self, components: Iterable[str]) -> Pins:
        """Return the live versions of components, for runs to be pinned to."""
        with self.backend.read() as tx:
            return versions.live_versions(tx, components)

    def rows(
        self,
        table: TableName,
        *,
        row_id: Any,
        where: Where,
        params: Sequence[Any],
        order_by: str | None,
        limit: int | None,
        inherit: bool,
        pins: Pins,
        keys: Sequence[str] | None = None,
    ) -> list[Any]:
        check_limit("rows(limit=)", limit)
        known = self._noted(table)
        if known is not None:
            named = {} if row_id is None else {"id": row_id}
            named |= dict(where) if isinstance(where, Mapping) else {}
            wanted = {name: known.key(name).encode(value) for name, value in named.items()}
            sql = where if isinstance(where, str) else None
            check_condition(where, params)
            with self.backend.read() as tx:
                return noted.read(
                    tx, known, wanted, sql, params, order_by, limit, inherit=inherit, keys=chosen_keys(known, keys)
                )  # fmt: skip
        layout = self.layout(table)
        condition, values = condition_of(layout, where, params)
        stored = layout.table.keys["id"].encode(row_id)
        with self.backend.read() as tx:
            return reading.read_rows(
                tx, layout, row_id=stored, where=condition, parameters=values, order_by=order_by, limit=limit,
                inherit=inherit, pins=pins, keys=chosen_keys(layout.table, keys),
            )  # fmt: skip

    def _noted(self, table: TableName) -> Table | None:
        """Return a table that the store has and this process no schema for, as the store has noted it."""
        if not isinstance(table, str) or table in self.tables:
            return None
        with self.backend.read() as tx:
            return noted.noted_table(tx, table)

    def sql(
        self,
        query: str,
        params: Sequence[Any],
        timeout: float | None,
        limit: int | None,
        sees: str = "all",
    ) -> pa.Table:
        check_query(query, params, timeout, limit)
        sights = [each.value for each in Sight]
        if not isinstance(sees, str) or sees not in sights:
            raise InvalidArgument("sql(sees=)", shortened(sees), f"one of {listed(sights)}")
        given = [encode_parameter(value, self.tables.enums) for value in params]
        names, found = self.backend.query(
            query, given, timeout_s=timeout, limit=limit, sight=Sight(sees)
        )
        import pyarrow as pa

        from motion.persistence.arrow import arrow

        columns = columns_of(found, len(names))
        return pa.Table.from_arrays([arrow(column) for column in columns], names=_unique(names))

    # -- states --

    def state(self, component: str, version: int) -> Any:
        """Return a state version's value; loaded once, and shared by all who use it."""
        found = self._states.get((component, version), MISSING)
        if found is not MISSING:  # so that loading a version never holds up who uses another
            return found
        with self._states_lock:
            if (component, version) not in self._states:
                manifest = self.manifest(component, version)
                self._load(component, version, manifest, self.backend.folder)
            return self._states[component, version]

    def manifest(self, component: str, version: int) -> str:
        """Return what says how a state version is kept."""
        with self.backend.read() as tx:
            manifest = versions.manifest_of(tx, component, version)
            known = [each.number for each in versions.versions(tx, component)]
            tx.settle()  # else another version might get its number after a crash, and this one be what is loaded
        if manifest is None:
            raise UnknownVersion(component, version, known)
        return manifest

    def take_state(self, sent: format.Sent) -> None:
        """Take in a state version as it was sent, in a process that the store's folder may be out of reach of."""
        with self._states_lock:
            if (sent.component, sent.version) not in self._states:
                self._load(sent.component, sent.version, sent.manifest, sent.contents)

    def _load(self, component: str, version: int, manifest: str, source: Source) -> None:
        self._states[component, version] = format.load_state(
            source, self._component(component), manifest, self.classes
        )
        self._forget_old_states(component)

    def classes_of(self, pins: Pins) -> Mapping[str, type]:
        """Return the classes that states name and that only this process can find: those of its script."""
        with self.backend.read() as tx:
            kept = {name: versions.manifest_of(tx, name, version) for name, version in pins.items()}
        found: dict[str, type] = {}
        for name, manifest in kept.items():
            if manifest is not None:
                found |= format.classes_of(manifest, self._component(name))
        return found

    def _component(self, name: str) -> Component:
        if name not in self.code.components:
            raise MotionError(
                f"this process was opened without component {name!r}; pass it in triggers=."
            )
        return self.code.components[name]

    def _forget_states_of(self, code: Code) -> None:
        """Forget the loaded states of components that are given anew: they are values of the classes that were."""
        with self._states_lock:
            for name, version in list(self._states):
                if code.components.get(name) is not self.code.components.get(name):
                    del self._states[name, version]

    def _forget_old_states(self, component: str) -> None:
        """Keep those that were loaded last: after a rollback that is an old version."""
        held = [version for name, version in self._states if name == component]
        for version in held[:-3]:
            del self._states[component, version]


# -- what users write, checked --


def set_operation(
    table: Table, values: Mapping[str, Any], *, force: bool = False, read: Any = None
) -> SetOperation:
    """Check one row's values and return the write of them.

    Args:
        read: the row as it was read, where it is written only if it still is so.

    Raises:
        UnknownKey, InvalidValue: naming the key, what was given, and what it takes.
    """
    columns = {name: (table.key(name).encode(value),) for name, value in values.items()}
    for page in table.page_keys:
        if page in columns and columns[page][0] is None:
            del columns[page]
    expected = None
    if read is not None:
        expected = {name: key.encode(getattr(read, name)) for name, key in table.keys.items()}
    return SetOperation(table.name, columns, 1, force, expected=expected)


def delete_operation(table: Table, row_id: Any) -> DeleteOperation:
    return DeleteOperation(table.name, (id_of(table, row_id),))


def id_of(table: Table, given: Any) -> Stored:
    """Return the stored form of an id that must be there."""
    key = table.keys["id"]
    if given is None:
        raise InvalidValue(table.name, "id", "None", key.codec.expected)
    return key.encode(given)


def page_values(table: Table, pages: Mapping[str, int]) -> list[Stored]:
    """Return the page keys' values that name a row, 0 where left out."""
    for page in pages:
        if page not in table.page_keys:
            table.key(page)
            raise SchemaError(f"{table.name}.{page} is no page key, so it does not name a row.")
    return [table.keys[page].encode(pages.get(page, 0)) for page in table.page_keys]


def chosen_keys(table: Table, keys: Sequence[str] | None) -> frozenset[str] | None:
    """Return the keys to read, id and page keys among them; None: all."""
    check_keys("keys=", keys)
    if keys is None:
        return None
    return frozenset((*table.primary_key, *(table.key(key).name for key in keys)))


def condition_of(
    layout: Layout, where: Where, params: Sequence[Any]
) -> tuple[str | None, Sequence[Any]]:
    """Return `where` as SQL with its parameters; a dict is a conjunction of equalities of what rows show."""
    check_condition(where, params)
    if where is None or isinstance(where, str):
        return where, params
    parts: list[str] = ["1 = 1"]
    values: list[Stored] = []
    for name, value in where.items():
        key = layout.table.key(name)
        stored = key.encode(value)
        condition, times = layout.shows(name, quoted(name), "id", is_set=stored is not None)
        alike = (None,) if stored is None else key.codec.equals(stored)
        parts.append("(" + " OR ".join([f"({condition})"] * len(alike)) + ")")
        values += [each for each in alike for _ in range(times)]
    return " AND ".join(parts), values


def check_condition(where: Any, params: Any) -> None:
    """Refuse what is no condition with its parameters.

    Raises:
        InvalidArgument: naming which.
    """
    check_params(params)
    if where is not None and not isinstance(where, str | Mapping):
        expected = "SQL with ? for values, or a dict of equalities"
        raise InvalidArgument("where=", shortened(where), expected)
    is_any = not isinstance(params, Sized) or len(params) > 0
    if is_any and isinstance(where, Mapping):
        expected = "values for the ? of SQL; where= is a dict, which has its values itself"
        raise InvalidArgument("params=", shortened(params), expected)
    if is_any and not where:
        raise InvalidArgument(
            "params=", shortened(params), "values for the ? of where=, and there is none"
        )


def check_query(query: Any, params: Any, timeout: Any, limit: Any) -> None:
    """Refuse what is no question in SQL.

    Raises:
        InvalidArgument: naming what.
    """
    if not isinstance(query, str):
        raise InvalidArgument("sql(query)", shortened(query), "SQL that reads, as a str")
    try:
        query.encode()
    except UnicodeEncodeError as exc:
        raise SqlError(query, f"it holds half a character: {exc}") from exc
    if timeout is not None and not (is_number(timeout) and timeout > 0):
        raise InvalidArgument("sql(timeout=)", shortened(timeout), "seconds above 0, or None")
    check_limit("sql(limit=)", limit)
    check_params(params)


def check_params(params: Any) -> None:
    """Refuse what is no list of values: of a dict SQL would get the keys, and of a text its letters."""
    if isinstance(params, str | bytes | Mapping | Set) or not _can_be_read(params):
        given = f"{shortened(params)} ({type(params).__name__})"
        raise InvalidArgument("params=", given, "a list with a value for each ?")


def _can_be_read(given: Any) -> bool:
    try:
        iter(given)
    except TypeError:
        return False
    return True


def check_limit(argument: str, limit: Any) -> None:
    check_count(argument, limit, may_be_none=True)


def _unique(names: Sequence[str]) -> list[str]:
    return [name if names.index(name) == i else f"{name}_{i}" for i, name in enumerate(names)]
