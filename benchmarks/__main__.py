"""`make bench`: every figure beside the machine's own limit for the same work, taken in the same run."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks import (
    browser,
    cascades,
    executors,
    http,
    machine,
    models,
    other_rows,
    postgres,
    postgres_search,
    processes,
    scale,
    search,
    shop,
    slow,
    versions,
)
from benchmarks.machine import Figure

RESULTS = Path(".benchmarks/latest.json")

FIGURES: dict[str, Callable[[], Figure | list[Figure]]] = {
    "load": lambda: cascades.bulk(100_000, repeats=3),
    "small-load": lambda: cascades.bulk(10_000),
    "set": lambda: cascades.one_row(
        "one `set`, three chained triggers", None, "full", 1, "≤ 2", "1.3"
    ),
    "set-tasks": lambda: cascades.one_row(
        "the same as tasks, `inline=False`", False, "full", 2, "≤ 3", "1.5"
    ),
    "set-normal": lambda: cascades.one_row(
        'the first with `durability="normal"`', None, "normal", 1, "≤ 0.3 ms", "0.1 ms"
    ),
    "threads": cascades.threads,
    "batches": models.batches,
    "waiting": models.waiting,
    "slow-calls": slow.calls,
    "streams": slow.streams,
    "killed": slow.killed,
    "awaits": slow.awaits,
    "changed-code": cascades.changed_code,
    "nothing-listens": cascades.nothing_listens,
    "across": processes.across,
    "import": processes.imported,
    "long-queue": scale.long_queue,
    "large-table": scale.large_table,
    "pruned": scale.pruned,
    "nearest": search.nearest,
    "filtered": search.filtered,
    "churned": search.churned,
    "fresh": search.fresh,
    "opening": search.opening,
    "promotion": search.promotion,
    "counters": other_rows.counters,
    "lookup": other_rows.bulk_lookup,
    "sweep": other_rows.sweep,
    "windows": other_rows.windows,
    "fold": other_rows.fold,
    "inherited-filter": other_rows.inherited_filter,
    "reembedding": versions.reembedding,
    "during-a-fit": versions.during_a_fit,
    "http": http.requests,
    "events": http.streams,
    "first-idea": shop.first_idea,
    "first-paint": browser.first_paint,
    "thread": executors.thread,
    "process": lambda: executors.process(1, "≤ 0.4"),
    "process-rows": lambda: executors.process(executors.ROWS, "≤ 1"),
    "timed-process": executors.timed_process,
    "postgres-writers": postgres.writers,
    "postgres-load": postgres.load,
    "postgres-set": postgres.one_row,
    "postgres-computing": postgres.computing,
    "postgres-waiting": postgres.waiting,
    "postgres-nearest": postgres_search.nearest,
}

if cascades.MEMORY.is_dir():
    FIGURES["set-quick"] = lambda: cascades.on_a_quick_disk(
        "one `set`, three chained triggers, where a commit takes 0.1 ms", inline=None, must="≤ 3"
    )
    FIGURES["set-tasks-quick"] = lambda: cascades.on_a_quick_disk(
        "the same as tasks", inline=False, must="≤ 12"
    )

if find_spec("ray") is not None:  # 'make test-ray' installs it
    FIGURES["ray"] = executors.on_ray


def main() -> None:
    """Measure what is named, all where nothing is; show a table, and write the figures to a file."""
    parser = ArgumentParser(prog="make bench", description=__doc__)
    names = ", ".join(FIGURES)
    parser.add_argument("name", nargs="*", help=f'only these, as in BENCH_ARGS="load set": {names}')
    chosen = parser.parse_args().name or list(FIGURES)
    if unknown := set(chosen) - set(FIGURES):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {names}")
    console = Console()
    about = machine.description()
    figures: list[Figure] = []
    for name in track(chosen, "measuring", console=console):
        given = FIGURES[name]()
        figures += given if isinstance(given, list) else [given]
    console.print(table_of(about, figures))
    RESULTS.parent.mkdir(exist_ok=True)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    found = {"at": at, "machine": about, "figures": [asdict(figure) for figure in figures]}
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    console.print(f"written to {RESULTS}")


def table_of(about: str, figures: list[Figure]) -> Table:
    """Return the figures as a table for the terminal."""
    table = Table("work", "measured", "limit, same run", "ratio", "must", "aim", title=about)
    for figure in figures:
        numbers = [
            f"{number:,.0f}" if number > 100 else f"{number:.2f}"
            for number in (figure.value, figure.limit)
        ]
        shown = [f"{number} {figure.unit}" for number in numbers]
        table.add_row(
            figure.work, *shown, f"{figure.ratio:.2f} {figure.means}", figure.must, figure.aim
        )
    return table


main()
