"""`make bench`: every figure beside the machine's own limit for the same work, taken in the same run."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import machine
from benchmarks.cascades import bulk, one_row

RESULTS = Path(".benchmarks/latest.json")


def main() -> None:
    """Measure, show a table, and write the figures to a file."""
    console = Console()
    about = machine.description()
    figures = [bulk(10_000), bulk(100_000, repeats=3), one_row()]
    table = Table("work", "measured", "raw sqlite3, same run", "ratio", title=about)
    for figure in figures:
        value, limit = (
            f"{number:,.0f}" if number > 100 else f"{number:.2f}"
            for number in (figure.value, figure.limit)
        )
        table.add_row(
            figure.work, f"{value} {figure.unit}", f"{limit} {figure.unit}", f"{figure.ratio:.2f}"
        )
    console.print(table)
    RESULTS.parent.mkdir(exist_ok=True)
    found = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": about,
        "figures": [asdict(f) for f in figures],
    }
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    console.print(f"written to {RESULTS}")


main()
