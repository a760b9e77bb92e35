"""Fault points: the places between a write and its end at which a test stops the process, to see what is left.

Each is a name in `POINTS`, passed by `reach` where it lies in the code. Nothing happens there until a test arms one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

POINTS: Mapping[str, str] = {
    # a write, whoever makes it
    "write.begun": "a transaction is open and nothing is written",
    "write.applied": "all is written and nothing is committed",
    "write.committed": "the commit is made and nobody has been told",
    "group.applied": "one of several callers who share a commit has written",
    # what users do
    "set.derived": "cheap triggers have run in memory, before the write's transaction",
    "set.written": "the row is written, and not yet what it causes",
    "set.fired": "the row and the tasks that it causes are written",
    "delete.made": "rows and what was made from them are deleted",
    "load.chunk": "one chunk of several is committed",
    "load.pruned": "a part of the rows that were not given is deleted, and others are left",
    "backfill.chosen": "the rows of a part of a backfill are chosen, and no transaction is open",
    "backfill.marked": "rows are due again, and their tasks are not there yet",
    "backfill.enqueued": "a part of a backfill is tasks, and not committed",
    # a task's life
    "task.claimed": "the claim is committed and nothing is read",
    "task.read": "the inputs are read",
    "once.begun": "it is noted that a call which acts once is begun, and it is not made",
    "task.called": "the function has returned, and no transaction is open",
    "task.fenced": "it is known which results still hold",
    "task.written": "the results are written, and not what the code left with its view",
    "task.effects": "all writes are made and the task is still there",
    "task.completed": "the task has ended, in the same transaction",
    "task.failed": "a failed row waits for its next attempt, or is set aside",
    "task.blocked": "a task is about to wait for others upstream",
    "task.split": "a claim whose results cannot be committed is about to be halved",
    "task.taken": "the tasks of a process that ended are given back",
    "item.written": "an item of a generator is written and not committed",
    "item.committed": "an item of a generator is committed, and more are to come",
    # forgetting
    "forget.erased": "rows are erased and nothing is committed",
    "forget.noted": "rows are erased, and what they left in free space is there",
    "forget.rewritten": "the file is rewritten, and its log is as it was",
    # a state version's life
    "state.drafted": "a state's file is written under another name",
    "state.saved": "a state's file is there, and no version names it",
    "fit.claimed": "a fit is claimed and has not begun",
    "fit.learned": "a fit has given its state, and no version names it",
    "fit.noted": "the new version, its lessons and the end of the fit are written",
    "candidate.begun": "a version is the candidate, and that its outputs are to be built is noted",
    "candidate.enqueued": "a part of a candidate's outputs is tasks, and not committed",
    "candidate.measured": "the gate has decided, and nothing is switched",
    "switch.made": "the new version is live, and what follows from it is noted",
    "switch.committed": "the switch is committed, and it is not known which outputs it has changed",
    "switch.numbered": "a part of the outputs that differ is numbered, and not committed",
}

_action: Callable[[str], None] | None = None


def reach(point: str) -> None:
    """Say that the process has come to a point. While nothing is armed this costs one look."""
    if _action is not None:
        _action(point)


def arm(action: Callable[[str], None] | None) -> None:
    """Call `action` with the name of each point that is reached from now on, on whichever thread; None: no more."""
    global _action
    _action = action
