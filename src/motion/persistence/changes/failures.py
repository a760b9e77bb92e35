"""Failures: what becomes of a run's rows where it failed, or where its process was lost."""

from __future__ import annotations

import logging

from motion import clock
from motion.backends.base import Transaction
from motion.background.tracebacks import headline
from motion.definitions.tasks import LOSSES_ALLOWED, Task, pause_ms
from motion.definitions.triggers.specs import TriggerSpec
from motion.faults import reach
from motion.persistence.tasks import queue

logger = logging.getLogger(__name__)


def fail(
    tx: Transaction, spec: TriggerSpec, task: int, attempts: int, error: str, inputs: str, row: str
) -> bool:
    """Let a failed task wait for its next attempt, or set it aside as a dead letter; return whether it was.

    Args:
        row: what it was about, as logs name it.
    """
    attempts += 1
    message = "task %d of trigger %s failed on %s in attempt %d of %d: %s"
    tried = (task, spec.name, row, attempts, spec.retries + 1, headline(error))
    if attempts <= spec.retries:
        pause = pause_ms(attempts)
        logger.info(f"{message}; it is tried again in %.1f s", *tried, pause / 1000)
        queue.postpone(tx, task, attempts, error, clock.now_ms() + pause)
    else:
        logger.info(message, *tried)
        queue.bury(tx, task, attempts, error, inputs)
    reach("task.failed")
    return attempts > spec.retries


def lose(tx: Transaction, alone: int, task: Task | None, error: str, inputs: str) -> bool:
    """Let a task whose process ended be run again, which uses up no attempt; return whether it was set aside, having
    been lost too often."""
    losses, attempts = (task.losses, task.attempts) if task else (0, 0)
    losses += 1
    if losses < LOSSES_ALLOWED:
        queue.lose(tx, alone, losses, attempts, error, clock.now_ms() + pause_ms(1))
    else:
        reason = f"{losses} processes ended while they ran this task. The last: {error}"
        queue.bury(tx, alone, attempts, reason, inputs)
    return losses >= LOSSES_ALLOWED
