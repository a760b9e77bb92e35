"""What random worlds share: a store whose two workers step when told so, and what is told inside a call of a function."""

from __future__ import annotations

import contextvars
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import motion
from motion import faults
from motion.engine.leases import Leases
from motion.testing import Stepper
from tests.promises.worlds import Clock


class Stage(ABC):
    """A store and what happens to it, each an operation: ("step", 0) is `_do_step(0)`.

    Attributes:
        cuts: how often a worker was cut off.
    """

    def __init__(self, name: str, url: str) -> None:
        self._name, self._url = name, url
        self._hooks: list[tuple[str, Sequence[Any]]] = []
        self._stepping: list[int] = []
        self._here: tuple[Any, int] = None, 0
        self._is_hooked = False
        self.cuts = 0

    @abstractmethod
    def declared(self) -> tuple[dict[str, type], list[Any]]:
        """Return schemas and triggers."""

    @abstractmethod
    def check(self) -> None:
        """Hold an idle store against the model."""

    def open(self) -> None:
        schemas, triggers = self.declared()
        self.store = motion.create_store(
            self._name, schemas=schemas, triggers=triggers, url=self._url, run=False,
            durability="normal",
        )  # fmt: skip
        self.workers = [Stepper(self.store), Stepper(self.store)]

    def close(self) -> None:
        for worker in self.workers:
            worker.close()
        self.store.close()

    def end(self) -> None:
        """End, whatever else was begun."""
        self.close()

    def play(self, story: Sequence[tuple[Any, ...]], told: str) -> None:
        """Let a story happen, and hold the store against the model in between and at the end.

        Args:
            told: what a failure says of it.
        """
        try:
            for op in story:
                self.do(op)
            self.settle()
            self.check()
        except BaseException as exc:
            exc.add_note(told)
            raise
        finally:
            self.end()

    def do(self, op: tuple[Any, ...]) -> None:
        getattr(self, f"_do_{op[0]}")(*op[1:])

    def _do_all(self, ops: Sequence[Any]) -> None:
        for op in ops:
            self.do(op)

    def hook(self, name: str, of: Any, number: int) -> None:
        """Let happen what is to happen inside a call.

        Args:
            of: what is called, with its `style`.
            number: what its row is told by.
        """
        place = next((i for i, (hooked, _) in enumerate(self._hooks) if hooked == name), None)
        if place is not None:
            _, ops = self._hooks.pop(place)
            was = self._is_hooked, self._here
            self._is_hooked, self._here = True, (of, number)
            contextvars.Context().run(self._do_all, ops)
            self._is_hooked, self._here = was  # another worker's call may be inside this one

    def _do_hook(self, name: str, ops: Sequence[Any]) -> None:
        """Let things happen inside the next call of a function."""
        self._hooks.append((name, ops))

    # -- what workers do --

    def _do_step(self, worker: int = 0) -> None:
        if self._stepping and self._here[0].style == "async":
            worker = 1 - self._stepping[-1]  # a call on an event loop cannot wait for the same one
        if worker in self._stepping[:-1]:
            return
        self._stepped(worker)

    def _stepped(self, worker: int) -> bool:
        self._stepping.append(worker)
        has_worked = self.workers[worker].step()
        self._stepping.pop()
        return has_worked

    def _do_cut(self, worker: int, nth: int) -> None:
        """Let a worker step until it is cut off at the nth point that it reaches; another one takes its place."""
        if self._stepping:
            return
        left = nth

        def cut(point: str) -> None:
            nonlocal left
            left -= not self._is_hooked
            if not left:
                faults.arm(None)
                raise motion.StoreUnavailable(self._name, f"cut off at {point}")

        faults.arm(cut)
        try:
            self._do_step(worker)
        except motion.StoreUnavailable:
            self.cuts += 1
            self._stepping.clear()
            self.workers[worker].close()
            self.workers[worker] = Stepper(self.store)
            owner = self.workers[
                worker
            ]._owner  # as a process that finds out that another has ended
            Leases(self.store._database, owner)._take_over()
        finally:
            faults.arm(None)

    def _do_reopen(self) -> None:
        if not self._stepping:
            self.close()
            self.open()

    def _do_settle(self) -> None:
        if not self._stepping:
            self.settle()
            self.check()

    def settle(self) -> None:
        """Run all there is, also what waits for its next attempt."""
        for _ in range(3_000):
            if not sum([self._stepped(worker) for worker in range(2)]):
                states = {each for counts in self.store.status().tasks.values() for each in counts}
                if not states & {"ready", "postponed"}:
                    return
                Clock.advance(61)
        raise AssertionError(f"there is no end of work: {self.store.status()}")


def function(called: Callable[[tuple[Any, ...]], Any], style: str, hints: dict[str, Any]) -> Any:
    """Return a function with these parameters; all but the store in lists, where it takes a batch."""

    def plain(*values: Any) -> Any:
        return called(values)

    def batch(*columns: Any) -> list[Any]:
        lists = [column for column in columns if isinstance(column, list)]
        rows = [
            column if isinstance(column, list) else [column] * len(lists[0]) for column in columns
        ]
        return [called(row) for row in zip(*rows, strict=True)]

    async def later(*values: Any) -> Any:
        return called(values)

    found: Any = {"batch": batch, "async": later}.get(style, plain)
    found.__annotations__ = dict(hints)
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    found.__signature__ = inspect.Signature([inspect.Parameter(key, kind) for key in hints])
    return found
