"""`motion` on the command line. Each module here holds the commands of one kind; `app` holds what they share."""

from __future__ import annotations

from motion.cli import copies, drawn, looking, migrating, projects, serve, versions, work  # noqa: F401  # commands are there once imported
from motion.cli.app import app


def main() -> None:
    app()
