"""`make demo-postgres`: the fashion-search demo with its store in a PostgreSQL server, which comes and goes with it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from rich.console import Console

from fashion_search.demo import Demo
from tests.postgres import running


def main() -> None:
    console = Console()
    console.print(
        "Fashion search on Motion, its rows, queue and history in a PostgreSQL server of its own."
    )
    with tempfile.TemporaryDirectory(prefix="motion-pg-") as place, running(Path(place), "") as at:
        folder = Path(place) / "demo.motion"
        Demo(console, folder, Path("contact_sheet.png"), database=at.url).run()
    console.print("The server and its store are gone with the demo.")


if __name__ == "__main__":
    main()
