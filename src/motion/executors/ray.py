"""Ray: a call runs in a process of a cluster, an actor's, which makes one call at a time and is used again.

Ray is only hands: it tries nothing again and keeps nothing. What a lost process, node or cluster had under way is called
again by who asked, as the store's queue says.

All calls are made by actors, none as Ray's tasks: a task can only be ended by a forced cancellation, which ends this
process instead where the task ends at that moment (Ray 2.60), and a task takes three times as long to begin.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import Any

from motion import clock
from motion.background.tracebacks import reason_of, text_of
from motion.definitions.triggers.options import NOTHING, Resources
from motion.errors import CallTimeout, ProcessLost, RemoteError, StoreClosed
from motion.executors.answers import Answer
from motion.executors.base import Constant, Prepare, pickled
from motion.executors.ray_hands import LOOK_S, Hand, Hands


class RayExecutor:
    """Runs calls on a Ray cluster.

    Args:
        name: the store's, for its errors.
        address: of the cluster's head; None leaves it to Ray.
        hands: those that it shares with another one.
    """

    room = math.inf
    _is_for_few = False

    def __init__(self, name: str, address: str | None = None, hands: Hands | None = None) -> None:
        self._name, self._hands = name, hands or Hands(name, address)
        self._lock = threading.Lock()
        self._busy: set[Hand] = set()
        self._is_closed = False

    def beside(self) -> RayExecutor:
        return _Beside(self._name, hands=self._hands)

    @property
    def offers(self) -> Resources:
        return self._hands.offers

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
        self._hands.join()
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
        self._hands.close()

    @property
    def _is_over(self) -> bool:
        return self._is_closed or self._hands.is_closed

    def _taken(self, constants: Sequence[Constant], takes: Resources) -> Hand:
        with self._lock:
            if self._is_over:
                raise StoreClosed(self._name)
            hand = self._hands.taken(constants, takes, is_for_one=self._is_for_few)
            self._busy.add(hand)
            return hand

    def _give_back(self, hand: Hand) -> None:
        with self._lock:
            self._busy.discard(hand)
        self._hands.give_back(hand)

    # -- a call --

    def _asked(
        self,
        hand: Hand,
        constants: Sequence[Constant],
        request: bytes,
        timeout_s: float | None,
    ) -> bytes:
        """Have a call made, and return what came back."""
        from motion.executors.ray_calls import BEGUN, MISSING

        named = [
            (each.name, each.digest, None if hand.knows(each) else [self._hands.reference(each)])
            for each in constants
        ]
        hand.begin(named, request, is_timed=timeout_s is not None)
        knows_all, answer = self._awaited(hand, None)
        if knows_all:
            hand.learn(constants)
        if answer == BEGUN:
            _, answer = self._awaited(hand, timeout_s)
        if answer == MISSING:
            self._hands.forget(constants)
            raise ProcessLost("the loss of the node that held what it needed")
        return answer

    def _awaited(self, hand: Hand, timeout_s: float | None) -> tuple[bool, bytes]:
        """Wait for the next thing that a hand says."""
        import ray

        ends_s = math.inf if timeout_s is None else clock.monotonic_s() + timeout_s
        try:
            while not hand.has_said(min(LOOK_S, ends_s - clock.monotonic_s())):
                if self._is_over:
                    raise StoreClosed(self._name)
                if clock.monotonic_s() >= ends_s:
                    raise CallTimeout(timeout_s or 0)
            return hand.said()
        except ray.exceptions.RayTaskError as exc:  # before it began: there is no Motion on a node
            raise RemoteError(reason_of(exc.cause or exc), text_of(exc)) from None
        except (ray.exceptions.RayError, StopIteration) as exc:
            if self._is_over:
                raise StoreClosed(self._name) from None
            raise ProcessLost(_first_line(exc)) from exc


class _Beside(RayExecutor):
    """The same for few and long calls: each is made by an actor of its own, which gives back with its end what it holds of
    the cluster, memory of a GPU too, and has met no other code."""

    _is_for_few = True

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            hands = list(self._busy)
        for hand in hands:
            hand.end()


def _first_line(error: BaseException) -> str:
    said = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = f"{type(error).__name__}: {said[0]}" if said else type(error).__name__
    return told.rstrip(".")
