"""What an executor must offer: somewhere to run one call, and to stop waiting for it."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import cloudpickle

from motion.definitions.tables.schema import resolve_types
from motion.definitions.triggers.options import AWAY, NOTHING, Place, Resources
from motion.definitions.triggers.specs import TriggerSpec
from motion.errors import Unpicklable

is_worker = False
"""Whether this very process is one that runs calls for another: a store opened here leaves all work to that one."""


is_far = False
"""Whether it may be on another machine than the store."""


def become_worker(*, far: bool = False) -> None:
    global is_worker, is_far
    is_worker, is_far = True, far


Prepare = Callable[..., Callable[[], Any]]
"""Gives what is to be called. A time-out does not count what this takes, such as loading a model."""


class Constant:
    """A value that many calls share: another process receives it once.

    Args:
        name: what it is; a process that has met another version under this name is replaced, as modules that it has
            imported may be those of the older version.
        version: tells versions apart that pickle alike, such as a function of a module that was loaded again.
    """

    is_kept = False
    """Whether it is worth keeping a process for, such as a model's state; another version of it makes none outdated."""

    def __init__(self, name: str, version: str, value: Any) -> None:
        self.name, self.version, self.value = name, version, value

    @cached_property
    def pickled(self) -> bytes:
        return pickled(self.value, self.name)

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(self.version.encode() + self.pickled).hexdigest()


class KeptConstant(Constant):
    """What is large and worth keeping a process for. It is read when it is sent, and not held here.

    Args:
        version: says which content it is, whole.
        read: gives it.
    """

    is_kept = True

    def __init__(self, name: str, version: str, read: Callable[[], Any]) -> None:
        self.name, self.version, self._read = name, version, read

    @property
    def value(self) -> Any:
        return self._read()

    @property
    def digest(self) -> str:
        return hashlib.sha256(f"{self.name} {self.version}".encode()).hexdigest()


class Executor(Protocol):
    """Where calls run. Every method may be called from any thread."""

    @property
    def room(self) -> float:
        """How many more calls may time out before none is to be begun: without end where such a call is ended."""

    def run(
        self,
        prepare: Prepare,
        /,
        *arguments: Any,
        constants: Sequence[Constant] = (),
        timeout_s: float | None = None,
        takes: Resources = NOTHING,
    ) -> Any:
        """Call what `prepare(*constants, *arguments)` gives, and return what that returns.

        Args:
            constants: their values are the first arguments.
            timeout_s: how long the call may take; None is without end. `prepare` may take any time.
            takes: what it takes of where it runs, for an executor with machines of its own; of this one, who asks has
                seen to it.

        Raises:
            CallTimeout: the call took longer. Its result, should there be one, goes nowhere.
            ProcessLost: the process that ran it has ended.
            Unpicklable: it cannot be sent to another process; it was not called.
            StoreClosed: the executor was closed meanwhile.

        What the call raises is raised here.
        """

    def close(self) -> None:
        """Wait for nothing any more: calls under way raise `StoreClosed` where they are waited for."""


def pickled(value: Any, what: str) -> bytes:
    """Return a value in the form that another process understands; code of scripts and notebooks goes along."""
    try:
        return bytes(cloudpickle.dumps(value))
    except Exception as exc:
        raise Unpicklable(what, f"{type(exc).__name__}: {exc}") from exc


class Elsewhere(Executor, Protocol):
    """An executor whose calls are made in other processes."""

    def beside(self) -> Executor:
        """Return one of the same kind for few and long calls, which is closed by itself."""


class Cluster(Elsewhere, Protocol):
    """An executor with machines of its own."""

    @property
    def offers(self) -> Resources:
        """What its calls may take together, as far as is known now."""


@dataclass(frozen=True)
class Executors:
    """One executor of each kind."""

    inline: Executor
    threads: Executor
    processes: Elsewhere
    ray: Cluster
    default: Place | None = None
    """Where those triggers run that do not say so, and can run anywhere."""

    def place_of(self, spec: TriggerSpec) -> Place:
        if spec.executor is None and not (spec.is_async or spec.is_generator):
            return self.default or "thread"
        return spec.executor or "thread"

    def of(self, spec: TriggerSpec) -> Executor:
        """Return where a trigger's calls run. A worker has threads of its own: one more is needed only to stop
        waiting."""
        place = self.place_of(spec)
        if place == "process":
            return self.processes
        if place == "ray":
            return self.ray
        return self.threads if spec.may_be_abandoned else self.inline

    def takes(self, spec: TriggerSpec) -> Resources:
        """Return what one call of a trigger takes where it runs."""
        if spec.executor is not None or self.place_of(spec) not in AWAY:
            return spec.resources
        return Resources() if spec.resources == NOTHING else spec.resources

    def jobs_take(self, infers: Iterable[TriggerSpec]) -> Resources | None:
        """Return what a job of a component takes of the cluster: as much as a call of its infers there. None: its jobs run on
        this machine, as its infers do."""
        infers = list(infers)
        there = [self.takes(each) for each in infers if self.place_of(each) == "ray"]
        if there:
            return Resources(max(each.cpus for each in there), max(each.gpus for each in there))
        return Resources() if self.default == "ray" and not infers else None

    def close(self) -> None:
        for executor in (self.inline, self.threads, self.processes, self.ray):
            executor.close()


def send_along(given: Iterable[Any]) -> None:
    """Let functions, classes and instances be sent with their code where another process could not import it, as from
    a script that `runpy` runs. Those of `__main__` are sent so anyhow."""
    for each in given:
        resolve_types(each, _is_sent_whole)
        name = getattr(each, "__module__", None) or type(each).__module__
        module = sys.modules.get(name)
        if module is not None and name != "__main__" and module.__spec__ is None:
            cloudpickle.register_pickle_by_value(module)


def _is_sent_whole(cls: type) -> bool:
    """Whether another process gets a class itself, as it could not import it."""
    module = sys.modules.get(cls.__module__)
    return cls.__module__ == "__main__" or module is None or module.__spec__ is None
