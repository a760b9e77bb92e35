"""Hands: the actors of one store on a Ray cluster, and what its object store holds for them."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from motion import clock
from motion.background.tracebacks import reason_of
from motion.definitions.triggers.options import NOTHING, Resources
from motion.errors import ClusterUnavailable, MissingPackage, StoreClosed
from motion.executors import ray_link
from motion.executors.base import Constant

IDLE_S = 30.0
"""An actor without a call for so long is ended: it holds what it takes of the cluster."""

LOOK_S = 0.5
"""How often a wait looks whether it is still wanted."""

SENT_KNOWN = 64
"""Constants that are held in Ray's object store."""


class Hands:
    """The hands of one store's executors. Every method may be called from any thread.

    Args:
        name: the store's, for its errors.
        address: of the cluster's head; None leaves it to Ray.
    """

    def __init__(self, name: str, address: str | None) -> None:
        self._name, self._address = name, address
        self._lock = threading.Lock()
        self._link: ray_link.Link | None = None
        self._idle: list[Hand] = []
        self._busy: set[Hand] = set()
        self._sent: OrderedDict[str, Any] = OrderedDict()
        self.is_closed = False

    @property
    def offers(self) -> Resources:
        """What hands that are kept may take together: what the cluster has, but for what is held for one call."""
        with self._lock:
            link, held = self._link, [each.takes for each in self._busy if each.is_for_one]
        if link is None or not held:
            return NOTHING if link is None else link.offers
        cpus, gpus = sum(each.cpus for each in held), sum(each.gpus for each in held)
        return Resources(max(link.offers.cpus - cpus, 0), max(link.offers.gpus - gpus, 0))

    def close(self) -> None:
        """End all of them."""
        with self._lock:
            self.is_closed = True
            hands = [*self._idle, *self._busy]
            self._idle.clear()
        for hand in hands:
            hand.end()
        if self._link is not None:
            self._link.watchers.remove(self._sweep)
            self._link = None
            ray_link.leave(self)

    # -- the cluster --

    def join(self) -> None:
        """Be connected, however long that takes.

        Raises:
            ClusterUnavailable: the cluster cannot be reached.
        """
        with self._lock:
            if self.is_closed:
                raise StoreClosed(self._name)
            link = self._link
            if link is None or link.error is not None:
                link = self._link = ray_link.join(self, self._address)
                link.watchers.append(self._sweep)
                self._sent.clear()  # what a cluster before held
                self._idle.clear()
        while not link.is_ready.wait(LOOK_S):
            if self.is_closed:
                raise StoreClosed(self._name)
        if isinstance(link.error, MissingPackage):
            raise link.error
        if link.error is not None:
            place = self._address or "the address that Ray finds"
            raise ClusterUnavailable(place, reason_of(link.error)) from link.error

    def reference(self, constant: Constant) -> Any:
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

    def forget(self, constants: Iterable[Constant]) -> None:
        """Put these there anew when they are needed: what held them may be gone."""
        with self._lock:
            for each in constants:
                self._sent.pop(each.digest, None)

    # -- taking and giving back --

    def taken(self, constants: Sequence[Constant], takes: Resources, *, is_for_one: bool) -> Hand:
        """Return a hand for a call: one that is idle, or a new one, for which others may have to go.

        Args:
            is_for_one: it is a new one, and ends with the call.
        """
        kept = tuple(each.name for each in constants if each.is_kept)
        with self._lock:
            if self.is_closed:
                raise StoreClosed(self._name)
            idle = [] if is_for_one else self._idle
            fits = [each for each in idle if (each.kept, each.takes) == (kept, takes)]
            ended = [each for each in fits if each.is_outdated(constants)]
            fits = [each for each in fits if each not in ended]
            hand = fits[-1] if fits else Hand(kept, takes, is_for_one=is_for_one)
            self._idle = [each for each in self._idle if each is not hand and each not in ended]
            self._busy.add(hand)
            ended += [] if fits else self._surplus()
        for each in ended:
            each.end()
        return hand

    def give_back(self, hand: Hand) -> None:
        with self._lock:
            self._busy.discard(hand)
            if hand.is_ended or hand.is_for_one or self.is_closed:
                ended = [hand]
            else:
                hand.idle_since_s = clock.monotonic_s()
                self._idle.append(hand)
                ended = self._surplus()  # what it holds may be waited for
        for each in ended:
            each.end()

    def _surplus(self) -> list[Hand]:
        """Take out the idle hands that hold what busy ones need, those idle for longest first."""
        offers = self._link.offers if self._link is not None else NOTHING
        used = [each.takes for each in (*self._busy, *self._idle)]
        cpus = sum(each.cpus for each in used) - offers.cpus
        gpus = sum(each.gpus for each in used) - offers.gpus
        ended = []
        for each in list(self._idle):
            if (cpus > 0 and each.takes.cpus) or (gpus > 0 and each.takes.gpus):
                self._idle.remove(each)
                ended.append(each)
                cpus, gpus = cpus - each.takes.cpus, gpus - each.takes.gpus
        return ended

    def _sweep(self) -> None:
        """End the hands that have been idle for long."""
        since_s = clock.monotonic_s() - IDLE_S
        with self._lock:
            ended = [each for each in self._idle if each.idle_since_s < since_s]
            self._idle = [each for each in self._idle if each not in ended]
        for each in ended:
            each.end()


class Hand:
    """An actor, from the side that asks.

    Attributes:
        kept: the names of what it is worth keeping for.
        takes: what it holds of the cluster, as long as it is there.
        is_for_one: whether it is there for one call only.
    """

    def __init__(self, kept: tuple[str, ...], takes: Resources, *, is_for_one: bool) -> None:
        self.kept, self.takes, self.is_for_one = kept, takes, is_for_one
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

    from motion.executors.ray_calls import Hand as Actor

    return ray.remote(Actor)
