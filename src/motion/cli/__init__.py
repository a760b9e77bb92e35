"""`motion` on the command line. Each module here holds the commands of one kind; `app` holds what they share."""

from __future__ import annotations

from typer.models import CommandInfo

from motion.cli import copies, drawn, looking, migrating, projects, serve, versions, work  # noqa: F401  # commands are there once imported
from motion.cli.app import app

PANELS = {
    "Begin, run and serve": "init run serve token mcp",
    "Look": "status graph errors explain sql search plan versions",
    "Mend and steer": "retry backfill fit promote rollback forget",
    "Keep, move and change": "snapshot copy export import migrate",
}
"""How `motion --help` tells its commands, in this order."""

ORDER = " ".join(PANELS.values()).split()


def arrange() -> None:
    """Put each command under its heading."""
    headings = {name: heading for heading, names in PANELS.items() for name in names.split()}
    for command in app.registered_commands:
        command.rich_help_panel = headings[_name_of(command)]
    for group in app.registered_groups:
        group.rich_help_panel = headings[str(group.name)]
    app.registered_commands.sort(key=lambda each: ORDER.index(_name_of(each)))


def _name_of(command: CommandInfo) -> str:
    return command.name or str(getattr(command.callback, "__name__", ""))


arrange()


def main() -> None:
    app()
