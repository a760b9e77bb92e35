"""Ray: a call runs in a process of a cluster, an actor's, which makes one call at a time and is used again.

Ray is only hands: it tries nothing again and keeps nothing. What a lost process, node or cluster had under way is called
again by who asked, as the store's queue says.

All calls are made by actors, none as Ray's tasks: a task can only be ended by a forced cancellation, which ends this
process instead where the task ends at that moment (Ray 2.60), and a task takes three times as long to begin.
"""

from __future__ import annotations

import math
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from motion import clock
from motion.definitions.triggers.options import NOTHING, Resources
from motion.errors import (
    CallTimeout,
    ClusterUnavailable,
    MissingPackage,
    ProcessLost,
    RemoteError,
    StoreClosed,
)
from motion.executors import ray_link
from motion.executors.answers import Answer
from motion.executors.base import Constant, Prepare, pickled
from motion.tracebacks import reason_of, text_of

IDLE_S = 30.0
"""An actor without a call for so long is ended: it holds what it takes of the cluster."""

LOOK_S = 0.5
"""How often a wait for a call looks whether it is still wanted."""

SENT_KNOWN = 64
"""Constants that are held in Ray's object store."""


class RayExecutor:
    """Runs calls on a Ray cluster.

    Args:
        name: the store's, for its errors.
        address: of the cluster's head; None leaves it to Ray.
    """

    room = math.inf

    def __init__(self, name: str, address: str | None = None) -> None:
        self._name, self._address = name, address
        self._lock = threading.Lock()
        self._link: ray_link.Link | None = None
        self._idle: list[_Hand] = []
        self._busy: set[_Hand] = set()
        self._sent: OrderedDict[str, Any] = OrderedDict()
        self._is_closed = False

    @property
    def offers(self) -> Resources:
        return self._link.offers if self._link is not None else NOTHING

    def run(
        self,
        prepare: Prepare,
        /,
        *arguments: Any,
        constants: Sequence[Constant] = (),
        timeout_s: float | None = None,
        takes: Resources = NOTHING,
    ) -> Any:
        request = pickled((prepare, arguments), "what a call is given")
        for each in constants:
            if not each.is_kept:
                _ = each.pickled  # what cannot be sent is refused before there is a cluster
        self._join()
        hand = self._taken(constants, takes)
        try:
            answer = self._asked(hand, constants, request, timeout_s)
        except BaseException:
            hand.end()
            raise
        finally:
            self._give_back(hand)
        return Answer(answer)()

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            hands = [*self._idle, *self._busy]
            self._idle.clear()
        for hand in hands:
            hand.end()
        if self._link is not None:
            self._link.watchers.remove(self._sweep)
            self._link = None
            ray_link.leave(self)

    # -- the cluster --

    def _join(self) -> None:
        """Be connected, however long that takes.

        Raises:
            ClusterUnavailable: the cluster cannot be reached.
        """
        with self._lock:
            if self._is_closed:
                raise StoreClosed(self._name)
            link = self._link
            if link is None or link.error is not None:
                link = self._link = ray_link.join(self, self._address)
                link.watchers.append(self._sweep)
                self._sent.clear()  # what a cluster before held
                self._idle.clear()
        while not link.is_ready.wait(LOOK_S):
            if self._is_closed:
                raise StoreClosed(self._name)
        if isinstance(link.error, MissingPackage):
            raise link.error
        if link.error is not None:
            place = self._address or "the address that Ray finds"
            raise ClusterUnavailable(place, reason_of(link.error)) from link.error

    def _reference(self, constant: Constant) -> Any:
        """Return where a constant is in Ray's object store, put there once."""
        import ray

        with self._lock:
            if constant.digest not in self._sent:
                value = constant.value if constant.is_kept else constant.pickled
                self._sent[constant.digest] = ray.put(value)
            self._sent.move_to_end(constant.digest)
            while len(self._sent) > SENT_KNOWN:
                self._sent.popitem(last=False)
            return self._sent[constant.digest]

    # -- hands --

    def _taken(self, constants: Sequence[Constant], takes: Resources) -> _Hand:
        """Return a hand for a call: one that is idle, or a new one, for which others may have to go."""
        kept = tuple(each.name for each in constants if each.is_kept)
        with self._lock:
            if self._is_closed:
                raise StoreClosed(self._name)
            fits = [each for each in self._idle if (each.kept, each.takes) == (kept, takes)]
            ended = [each for each in fits if each.is_outdated(constants)]
            fits = [each for each in fits if each not in ended]
            hand = fits[-1] if fits else _Hand(kept, takes)
            self._idle = [each for each in self._idle if each is not hand and each not in ended]
            ended += [] if fits else self._surplus(takes)
            self._busy.add(hand)
        for each in ended:
            each.end()
        return hand

    def _surplus(self, takes: Resources) -> list[_Hand]:
        """Take out the idle hands that hold what a new one needs, those idle for longest first."""
        offers = self.offers
        used = [takes, *(each.takes for each in (*self._busy, *self._idle))]
        cpus = sum(each.cpus for each in used) - offers.cpus
        gpus = sum(each.gpus for each in used) - offers.gpus
        ended = []
        for each in list(self._idle):
            if (cpus > 0 and each.takes.cpus) or (gpus > 0 and each.takes.gpus):
                self._idle.remove(each)
                ended.append(each)
                cpus, gpus = cpus - each.takes.cpus, gpus - each.takes.gpus
        return ended

    def _give_back(self, hand: _Hand) -> None:
        with self._lock:
            self._busy.discard(hand)
            if not hand.is_ended and not self._is_closed:
                hand.idle_since_s = clock.monotonic_s()
                self._idle.append(hand)
                return
        hand.end()

    def _sweep(self) -> None:
        """End the hands that have been idle for long."""
        since_s = clock.monotonic_s() - IDLE_S
        with self._lock:
            ended = [each for each in self._idle if each.idle_since_s < since_s]
            self._idle = [each for each in self._idle if each not in ended]
        for each in ended:
            each.end()

    # -- a call --

    def _asked(
        self,
        hand: _Hand,
        constants: Sequence[Constant],
        request: bytes,
        timeout_s: float | None,
    ) -> bytes:
        """Have a call made, and return what came back."""
        from motion.executors.ray_calls import BEGUN, MISSING

        named = [
            (each.name, each.digest, None if hand.knows(each) else [self._reference(each)])
            for each in constants
        ]
        hand.begin(named, request, is_timed=timeout_s is not None)
        knows_all, answer = self._awaited(hand, None)
        if knows_all:
            hand.learn(constants)
        if answer == BEGUN:
            _, answer = self._awaited(hand, timeout_s)
        if answer == MISSING:
            self._forget(each.digest for each in constants)
            raise ProcessLost("the loss of the node that held what it needed")
        return answer

    def _awaited(self, hand: _Hand, timeout_s: float | None) -> tuple[bool, bytes]:
        """Wait for the next thing that a hand says."""
        import ray

        ends_s = math.inf if timeout_s is None else clock.monotonic_s() + timeout_s
        try:
            while not hand.has_said(min(LOOK_S, ends_s - clock.monotonic_s())):
                if self._is_closed:
                    raise StoreClosed(self._name)
                if clock.monotonic_s() >= ends_s:
                    raise CallTimeout(timeout_s or 0)
            return hand.said()
        except ray.exceptions.RayTaskError as exc:  # before it began: there is no Motion on a node
            raise RemoteError(reason_of(exc.cause or exc), text_of(exc)) from None
        except (ray.exceptions.RayError, StopIteration) as exc:
            if self._is_closed:
                raise StoreClosed(self._name) from None
            raise ProcessLost(_first_line(exc)) from exc

    def _forget(self, digests: Iterable[str]) -> None:
        with self._lock:
            for digest in digests:
                self._sent.pop(digest, None)


class _Hand:
    """An actor, from the side that asks.

    Attributes:
        kept: the names of what it is worth keeping for.
        takes: what it holds of the cluster, as long as it is there.
    """

    def __init__(self, kept: tuple[str, ...], takes: Resources) -> None:
        self.kept, self.takes = kept, takes
        self.is_ended, self.idle_since_s = False, 0.0
        self._known: dict[str, str] = {}
        self._actor: Any = None
        self._said: Any = None
        self._is_timed = False

    def is_outdated(self, constants: Sequence[Constant]) -> bool:
        """Whether it has met other code: modules that it has imported may be the older ones."""
        others = [each for each in constants if not each.is_kept]
        return any(self._known.get(each.name, each.digest) != each.digest for each in others)

    def knows(self, constant: Constant) -> bool:
        return self._known.get(constant.name) == constant.digest

    def learn(self, constants: Sequence[Constant]) -> None:
        self._known |= {each.name: each.digest for each in constants}

    def begin(self, named: Sequence[Any], request: bytes, *, is_timed: bool) -> None:
        if self._actor is None:
            self._actor = _actor_class().options(
                num_cpus=self.takes.cpus, num_gpus=self.takes.gpus, max_restarts=0, max_task_retries=0
            ).remote(os.getcwd())  # fmt: skip
        self._is_timed = is_timed
        if is_timed:
            method = self._actor.answer_in_time.options(num_returns="streaming")
        else:
            method = self._actor.answer
        self._said = method.remote(named, request)

    def has_said(self, timeout_s: float) -> bool:
        """Wait for the next thing that it says, and return whether it came."""
        import ray

        return bool(ray.wait([self._said], timeout=max(timeout_s, 0))[0])

    def said(self) -> tuple[bool, bytes]:
        import ray

        found: tuple[bool, bytes] = ray.get(next(self._said) if self._is_timed else self._said)
        return found

    def end(self) -> None:
        """End its process."""
        self.is_ended = True
        if self._actor is not None:
            import ray

            with suppress(Exception):  # it has ended, and so may the cluster have
                ray.kill(self._actor)


def _actor_class() -> Any:
    import ray

    from motion.executors.ray_calls import Hand

    return ray.remote(Hand)


def _first_line(error: BaseException) -> str:
    said = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = f"{type(error).__name__}: {said[0]}" if said else type(error).__name__
    return told.rstrip(".")
