"""`motion` on the command line. Each module here holds the commands of one kind; `app` holds what they share."""

from __future__ import annotations

from motion.cli import versions  # noqa: F401  # a module's commands are there once it is imported
from motion.cli.app import app


def main() -> None:
    app()
