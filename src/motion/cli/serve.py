"""`motion serve`, `motion mcp` and `motion token`: a store over HTTP, for agents, and who may use it."""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.table import Table

from motion.cli.app import (
    CodeArgument,
    JsonOption,
    StoreArgument,
    app,
    at_work,
    console,
    given_right,
    looked_at,
    notes,
    print_json,
    seen_or_run,
)
from motion.store.store import Store

if TYPE_CHECKING:
    from motion.server import Tokens  # at run time only where it is used: it needs the extra

TOKENS = "tokens.json"

TAKEN_UP = "A server that runs takes this up when it is started anew."

tokens = typer.Typer(no_args_is_help=True, help="Tokens: who may use a store that is served.")
app.add_typer(tokens, name="token")

TokensOption = Annotated[
    Path | None, typer.Option("--tokens", help="the file of tokens; left out: in the store's folder")
]  # fmt: skip


@app.command()
def serve(
    store: CodeArgument,
    host: Annotated[str, typer.Option(help="another than this machine's own needs tokens")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0: one that is free")] = 8000,
    file: TokensOption = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="a name by which it may be called; may be repeated")
    ] = None,
    allow_origin: Annotated[
        list[str] | None, typer.Option(help="of pages of other sites that may call it")
    ] = None,
    rate: Annotated[str | None, typer.Option(help="requests of one client, such as 600/min")] = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Serve a store over HTTP, and run its triggers, until Ctrl-C.

    Example: motion serve shop:store --port 8000
    """
    from motion.server import Limits, serve

    with given_right():
        limits = Limits(rate=rate)
    with at_work(store) as opened:
        serving = serve(
            opened, host=host, port=port, tokens=_tokens(opened, file), limits=limits, hosts=allow_host,
            origins=allow_origin or (),
        )  # fmt: skip
        notes.print(f"serving {opened.name} on {serving.url}", soft_wrap=True)
        if as_json:
            print_json({"store": opened.name, "url": serving.url})
        signal.signal(signal.SIGTERM, _leave)  # the store is closed on the way
        with suppress(KeyboardInterrupt):
            serving.run()


def _leave(*_: Any) -> NoReturn:
    sys.exit(0)


@app.command()
def mcp(
    store: StoreArgument,
    role: Annotated[
        str,
        typer.Option(help="read; write: sets and deletes too; admin: steers models and backfills"),
    ] = "read",
) -> None:
    """Give a store as tools to an agent: an MCP server on stdin and stdout. A store named as module:name is run meanwhile, as
    by 'motion run'; one named by its folder is left to who runs it.

    Example: motion mcp shop.motion
    """
    from motion.server.access.roles import role_of
    from motion.server.agents import kept_stdout, serve_agents

    with given_right():
        given = role_of(role)
    with kept_stdout() as to_agent, seen_or_run(store) as opened:
        serve_agents(opened, given, to_agent)


@tokens.command("add")
def add(
    store: StoreArgument,
    name: Annotated[str, typer.Argument(help="what it is for; another of this name is replaced")],
    role: Annotated[str, typer.Option(help="read, write or admin")] = "read",
    file: TokensOption = None,
) -> None:
    """Make a token, and print it: it is shown this once, and kept as a hash. Servers read them when they start.

    Example: motion token add shop:store website --role write
    """
    from motion.server.access.roles import new_token, role_of

    with given_right():
        text, token = new_token(name, role_of(role))
    with looked_at(store) as opened:
        _tokens(opened, file).with_token(token).write(_file(opened, file))
    print(text)
    notes.print(TAKEN_UP)


@tokens.command("list")
def list_tokens(
    store: StoreArgument, file: TokensOption = None, as_json: JsonOption = False
) -> None:
    """List the tokens: their names and roles.

    Example: motion token list shop:store
    """
    with looked_at(store) as opened:
        found = [(each.name, each.role) for each in _tokens(opened, file)]
    if as_json:
        print_json([{"name": name, "role": role} for name, role in found])
        return
    table = Table("name", "role", box=None, pad_edge=False)
    for each in found:
        table.add_row(*each)
    console.print(table)


@tokens.command("remove")
def remove(
    store: StoreArgument,
    name: Annotated[str, typer.Argument(help="as it was made")],
    file: TokensOption = None,
) -> None:
    """Remove a token. Servers read them when they start.

    Example: motion token remove shop:store website
    """
    with looked_at(store) as opened:
        _tokens(opened, file).without(name).write(_file(opened, file))
    notes.print(TAKEN_UP)


def _file(store: Store, given: Path | None) -> Path:
    return given or store._database.backend.folder / TOKENS


def _tokens(store: Store, given: Path | None) -> Tokens:
    from motion.server.access.roles import Tokens

    return Tokens.read(_file(store, given))
