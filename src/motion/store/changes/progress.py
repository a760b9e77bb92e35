"""Progress: how much work is left, and showing it while somebody waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from motion.backends.base import Transaction
from motion.definitions.values.arguments import check_flag
from motion.persistence.database import Database
from motion.persistence.recompute import backfills
from motion.persistence.states import fit_requests, versions
from motion.persistence.tasks import backlog, delayed, schedules


def has_work(database: Database, tx: Transaction, due_ms: int) -> bool:
    """Whether a store has work left. Look-ups, however long the queue.

    Args:
        due_ms: what was due at this time, by a schedule, is work too; later occurrences are not.
    """
    return bool(
        backlog.has_live(tx)
        or schedules.any_due(tx, due_ms)
        or delayed.any_due(tx, due_ms)
        or backfills.remaining(tx)
        or models_left(database, tx)
    )


def work_left(database: Database, tx: Transaction, due_ms: int) -> int:
    """Return how many rows, fits and candidates a store has still to deal with."""
    rows = backlog.live_count(tx) + backfills.remaining(tx) + int(schedules.any_due(tx, due_ms))
    rows += int(delayed.any_due(tx, due_ms))
    return rows + models_left(database, tx)


def models_left(database: Database, tx: Transaction) -> int:
    """Return how many fits, setups and candidates are left of the components that the store has."""
    found = [*fit_requests.pending(tx), *versions.with_candidates(tx)]
    there = database.components(tx) if found else ()
    return sum(component in there for component in found)


@contextmanager
def shown_progress(
    what: str, is_wanted: bool, total: int = 0
) -> Iterator[Callable[[int], None] | None]:
    """Give what shows, told how much remains, how much is done; None where nothing is to be shown.

    Args:
        what: stands before the bar.
        total: how much there is, where that is known; otherwise the most that ever remained.
    """
    check_flag("wait(progress=)", is_wanted)
    if not is_wanted:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        shown = bar.add_task(what, total=total, visible=total > 0)
        most = total

        def show(remaining: int) -> None:
            nonlocal most
            most = max(most, remaining)
            bar.update(shown, total=most, completed=most - remaining, visible=most > 0)

        yield show
