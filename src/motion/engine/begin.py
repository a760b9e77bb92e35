"""Beginning: what is between a claim and its calls. Finds the code, the state version and the rows of claimed tasks, and
sees to tasks that cannot run now.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from motion.backends.base import Transaction
from motion.background.tracebacks import text_of
from motion.definitions.tasks import Task, TaskStatus
from motion.definitions.triggers.folds import LONGEST_RUN_S
from motion.definitions.triggers.rates import Turns
from motion.definitions.triggers.specs import TriggerSpec
from motion.engine.chain import Asked, Runs
from motion.engine.dispatch import Dispatcher
from motion.engine.under_way import Claimed, UnderWay
from motion.errors import SchemaMismatch, StoreClosed, StoreUnavailable
from motion.faults import reach
from motion.persistence.changes.cascade import folds_of
from motion.persistence.changes.claims import Claim, Tasks
from motion.persistence.changes.failures import fail
from motion.persistence.changes.labelling import settle
from motion.persistence.database import Database
from motion.persistence.inputs.folded import ROWS_OF_ONE, ROWS_OF_SLOW
from motion.persistence.inputs.own import Chain, Inputs, read_fences, read_inputs
from motion.persistence.layout import Layout, Pins
from motion.persistence.numbers import last_number, next_tasks
from motion.persistence.states import versions
from motion.persistence.tasks import inherited, leases, once, owed, queue
from motion.states.gate import why_of
from motion.states.lifecycle import ensure_live

BEGUN = (
    "CallBegun: a call for this row was begun, and its end was never noted: the process ended meanwhile, or the call failed. "
    "Whether it had its effect is not known, and once='at_most' does not call it again by itself. Look on the other side; if "
    "it had none, store.retry() calls it."
)

CHAINS_KNOWN = 1_000
"""Chains of triggers that are kept: a store has a few for each trigger and for each state version that it runs with."""


class Beginner:
    """Begins the claims of one worker. Thread-safe."""

    def __init__(self, database: Database, runs: Runs, dispatcher: Dispatcher) -> None:
        self._database, self._runs, self._dispatcher = database, runs, dispatcher
        self._chains: dict[Hashable, Chain] = {}

    def begin(self, claimed: Claimed) -> UnderWay | None:
        """Return a claim with its rows and the calls that it needs; None where nothing is to be called."""
        claim = self._prepared(claimed)
        if claim is None:
            return None
        with self._database.backend.read() as tx:
            blocked, excluded = self._upstream(tx, claim)
            own = claim.tasks.without(blocked)
            read_at = last_number(tx)
            inputs = self._read(tx, claim, own)
            begun = self._begun(tx, claim, inputs)
            unsettled = self._unsettled(tx, claim, own)
            if claim.spec.once:
                tx.settle()  # else the call might be made for a row that a crash takes back
        reach("task.read")
        if blocked:
            reach("task.blocked")
            self._database.write(
                lambda tx: queue.block(tx, blocked, partial(self._has_work_upstream, tx, claim)),
                is_durable=False,
            )
        if inputs.unread is not None:
            own = self._without_unread(own, inputs.unread)
            self._dispatcher.note_heavy(claimed, len(inputs.rows))
        if not own:
            return None
        # a run of a fold goes over what newer changes have brought, too
        superseded = {} if claim.spec.fold is not None else own.superseded(inputs)
        # Nothing is called where a key that it runs on is unset: what it has made there goes.
        if excluded:
            excluded -= inputs.rows_without(
                key for key in claim.spec.required if key in claim.spec.on
            )
        left = excluded | superseded.keys()
        if left:
            inputs = inputs.chosen([i for i, row in enumerate(inputs.rows) if row not in left])
        bad = {i: BEGUN for i, row in enumerate(inputs.rows) if row in begun}
        own_claim = replace(claim, tasks=own, unsettled=unsettled)
        shared = self._runs.shared
        run = UnderWay(self._database, claimed, own_claim, inputs, read_at, superseded, shared)
        calls = run.ask(self._asked(run, inputs, bad))
        if claim.spec.once and not self._database.write(
            partial(self._begin_once, run, inputs), is_durable=claim.spec.once == "at_most"
        ):
            return None
        if claim.spec.once:
            reach("once.begun")
        if not claimed.is_quick:
            self._dispatcher.fewer_calls(claimed, calls)
        return run

    def _read(self, tx: Transaction, claim: Claim, tasks: Tasks) -> Inputs:
        spec = claim.spec
        if spec.fold is None:
            return read_inputs(tx, claim.chain, tasks.rows)
        each_s = self._database.costs.seconds_each(spec.name)
        of_one = ROWS_OF_ONE if each_s is None or each_s < LONGEST_RUN_S else ROWS_OF_SLOW
        if any(task.losses or task.attempts for task in tasks):
            of_one = 1  # one of the rows is to blame, and stands alone
        return folds_of(self._database.layouts, spec).read(tx, claim.chain, tasks, of_one=of_one)

    def _without_unread(self, tasks: Tasks, unread: int) -> Tasks:
        """Give back what was not read, and return the tasks of the rows that were."""
        rows = range(unread, tasks[-1].high + 1)
        mine: list[Task] = []

        def work(tx: Transaction) -> None:
            nonlocal mine
            mine, others = queue.part(tx, leases.held(tx, tasks), rows)
            queue.release(tx, others)

        self._database.write(work, is_durable=False)
        return Tasks(mine)

    def _begun(self, tx: Transaction, claim: Claim, inputs: Inputs) -> set[int]:
        """Return the rows that are not to be called, as a call was begun that may have had its effect."""
        if claim.spec.once != "at_most":
            return set()
        return once.begun(tx, claim.chain.layout, claim.spec, inputs.rows)

    def _begin_once(self, run: UnderWay, inputs: Inputs, tx: Transaction) -> bool:
        """Note that a run that acts once is about to be called on its rows. Where another one is under way on one of them,
        this one waits for it; where one is not as it was read, all is read again.

        Returns:
            Whether it may be called; otherwise its tasks are given back.
        """
        tasks, spec, layout = run.claim.tasks, run.spec, run.claim.chain.layout
        if not leases.still_claimed(tx, tasks):
            return False
        begun = once.begun(tx, layout, spec, inputs.rows)
        waiting = once.held_by_others(tx, spec, tasks, begun)
        called = [inputs.rows[i] for i in run.asked.asked]
        now = read_fences(tx, run.claim.chain, called)
        is_same = all(now.get(inputs.rows[i]) == inputs.fences[i] for i in run.asked.asked)
        if spec.once == "at_most" and not begun.isdisjoint(called):
            is_same = False
        if waiting or not is_same:
            queue.release(tx, waiting, TaskStatus.BLOCKED)
            queue.release(tx, tasks.without(waiting))
            return False
        run.once = next_tasks(tx)
        once.begin(tx, layout, spec, called, run.once)
        return True

    def _asked(self, run: UnderWay, inputs: Inputs, begun: Mapping[int, str]) -> Asked:
        """Return the calls that rows need. Those that cannot be read fail alone: what is stored may be damaged, or a
        user's `load` raise."""
        try:
            return self._asked_of(run, inputs, begun)
        except (StoreClosed, StoreUnavailable, SchemaMismatch):
            raise
        except BaseException:  # noqa: BLE001 - of some rows, whatever its class
            bad = dict(begun)
            for i in range(len(inputs.rows)):
                try:
                    self._asked_of(run, inputs.chosen([i]), {})
                except (StoreClosed, StoreUnavailable, SchemaMismatch):
                    raise
                except BaseException as exc:  # noqa: BLE001 - the row's, of whatever class
                    bad[i] = text_of(exc)
            return self._asked_of(run, inputs, bad)

    def _asked_of(self, run: UnderWay, inputs: Inputs, bad: Mapping[int, str]) -> Asked:
        on_item = self._runs.on_item(run.claim, inputs, run.cause_of)
        return self._runs.asked(run.claim, inputs, on_item, bad, maker=run.claimed)

    def _prepared(self, claimed: Claimed) -> Claim | None:
        """Find the code, the state version and the chain of a claim; None where it cannot run now."""
        tasks = Tasks(claimed.tasks)
        layouts, code = self._database.layouts, self._database.code.triggers
        known = code.get(tasks[0].trigger)
        if known is None or not layouts.graph.still_has(known.spec):  # since it was claimed
            self._leave_to_others(tasks)
            return None
        spec = known.spec
        pins: dict[str, int] = {}
        for component in spec.components:
            built = tasks[0].version if component == spec.component else None
            version = built or self._live(tasks, component)
            if version is None:
                return None
            pins[component] = version
        further = [name for name in layouts.graph.sees(spec) if name not in pins]
        pins |= self._database.live_versions(further) if further else {}
        specs = [spec, *self._dispatcher.fuse(claimed, spec)]
        if not all(each.name in code and layouts.graph.still_has(each) for each in specs):
            self._leave_to_others(tasks)
            return None
        chain = self._chain(layouts[spec.table], specs, pins)
        triggers = [code[each.name] for each in specs]
        if spec.rate is not None:
            triggers[0] = replace(triggers[0], turns=claimed.turns or Turns(spec.rate, ()))
        return Claim(tasks, triggers, chain, next(iter(pins.values()), 0), pins)

    def _chain(self, layout: Layout, specs: Sequence[TriggerSpec], pins: Pins) -> Chain:
        """Return a chain, the same one as before where nothing of it has changed: it keeps the texts of its statements."""
        named = id(layout), *map(id, specs), *pins.items()  # which are there as long as the chain
        known = self._chains.get(named)
        if known is None:
            if len(self._chains) >= CHAINS_KNOWN:
                self._chains.clear()
            known = self._chains[named] = Chain(layout, tuple(specs), pins)
        return known

    def _leave_to_others(self, tasks: Tasks) -> None:
        """Give tasks back: their trigger was replaced since they were claimed."""
        self._database.write_plainly(lambda tx: queue.release(tx, tasks))

    def _live(self, tasks: Tasks, component: str) -> int | None:
        """Return the live version, made now if there is none. A `setup` that raises fails the tasks."""
        try:
            version = ensure_live(self._database, component, partial(self._runs.jobs_of, component))
        except (StoreClosed, StoreUnavailable, SchemaMismatch):
            raise
        except BaseException as exc:  # noqa: BLE001 - what comes out of the user's setup, of whatever class
            self._fail_all(tasks, why_of(exc)["traceback"])
            return None
        if version is None:
            self._database.write(lambda tx: self._leave_to_first_fit(tx, tasks, component))
        return version

    def _leave_to_first_fit(self, tx: Transaction, tasks: Tasks, component: str) -> None:
        """End tasks that have no state to run with: their rows stay due, and run when the first version goes live."""
        if versions.live_version(tx, component) is not None:
            queue.release(tx, tasks)
        elif leases.still_claimed(tx, tasks):
            graph, name = self._database.graph, tasks[0].trigger
            queue.complete(tx, tasks, graph.woken_by(name))
            queue.wake_triggers(tx, graph.woken_elsewhere(name))
            settle(tx, self._database.layouts, graph.triggers[name], tasks, last_number(tx))

    def _upstream(self, tx: Transaction, claim: Claim) -> tuple[list[Task], set[int]]:
        """Return the tasks that must wait for triggers upstream, and the rows on which one of those gave up."""
        names = claim.graph.upstream(claim.spec)
        if not names or not queue.has_any(tx, names):
            return [], set()
        layout, spec = claim.chain.layout, claim.spec
        blocked = [task for task in claim.tasks if self._has_work_upstream(tx, claim, task)]
        whole, made = claim.graph.upstream_at_once(spec), claim.graph.upstream_by_items(spec)
        dead = [queue.dead_rows(tx, whole, task.low, task.high) for task in claim.tasks]
        dead += [
            owed.rows(tx, layout, each, task, is_dead=True) for each in made for task in claim.tasks
        ]
        dead += [inherited.dead_rows(tx, layout, spec, task) for task in claim.tasks]
        return blocked, set().union(*dead)

    def _has_work_upstream(self, tx: Transaction, claim: Claim, task: Task) -> bool:
        spec, layout = claim.spec, claim.chain.layout
        names = claim.graph.upstream_at_once(spec)
        if queue.has_work_on(tx, names, task.low, task.high, task.version):
            return True
        makers = claim.graph.upstream_by_items(spec)
        if any(owed.rows(tx, layout, maker, task, is_dead=False) for maker in makers):
            return True
        return inherited.has_work(tx, layout, spec, task)

    def _unsettled(self, tx: Transaction, claim: Claim, tasks: Tasks) -> dict[str, set[int]]:
        """Return where triggers that run in memory behind the first have tasks of their own, or have given up: what runs
        behind them there must wait, as it would for them."""
        names = [spec.name for spec in claim.chain.specs[1:]]
        if not names or not queue.has_any(tx, names):
            return {}
        return {
            name: set().union(*(queue.rows_of(tx, name, task.low, task.high) for task in tasks))
            for name in names
        }

    def _fail_all(self, tasks: Tasks, error: str) -> None:
        def work(tx: Transaction) -> None:
            graph = self._database.graph
            spec = graph.triggers.get(tasks[0].trigger)
            if spec is None:
                queue.release(tx, tasks)
            elif leases.still_claimed(tx, tasks):
                for task in tasks:
                    fail(
                        tx,
                        spec,
                        task.task,
                        task.attempts,
                        error,
                        "",
                        f"rows {task.low} to {task.high}",
                    )
                queue.wake(tx, tasks, graph.woken_by(spec.name))
                queue.wake_triggers(tx, graph.woken_elsewhere(spec.name))
                settle(tx, self._database.layouts, spec, tasks, last_number(tx))

        self._database.write(work)
