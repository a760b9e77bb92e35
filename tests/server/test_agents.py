"""`motion mcp`: an agent's view of a store, by the official client over stdio."""

from __future__ import annotations

import asyncio
import importlib
import os
import runpy
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from motion import MissingPackage

SHOP = """
from dataclasses import dataclass
from typing import Annotated
import numpy as np
import motion

print("a module that prints while it is imported", flush=True)

@dataclass
class Garment:
    id: int
    name: str
    price: float
    label: str
    vector: Annotated[np.ndarray, motion.Vector(16)]
    api_key: str

@motion.trigger(on=("garment.name", "garment.price"), sets="garment.label", inline=False)
def label(name: str, price: float) -> str:
    print("a trigger that prints", flush=True)
    if price < 0:
        raise ValueError(f"{name} costs nothing")
    return f"{name} for {price:.0f}"

@motion.trigger(on="garment.name", sets="garment.vector")
def embed(name: str) -> np.ndarray:
    return np.array([name.count(letter) for letter in "abcdefghijklmnop"], np.float32)

def store():
    return motion.create_store("shop", schemas={"garment": Garment}, triggers=[label, embed])
"""

READING = {"describe", "status", "rows", "sql", "search", "explain", "errors", "plan", "versions", "follow"}  # fmt: skip


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a pipeline in it, and what it made of three rows, one of which failed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.py").write_text(SHOP)
    space = runpy.run_path("shop.py", run_name="shop")
    with space["store"]() as store:
        rows = [("linen dress", 49.0), ("silk scarf", -1.0), ("linen shirt", 30.0)]
        store.set_many("garment", [{"name": name, "price": price, "api_key": "s3cret"} for name, price in rows])  # fmt: skip
        store.wait(timeout=60)
    return tmp_path


def asked(folder: Path, *words: str, of: Callable[[Client], Awaitable[None]]) -> None:
    """Start `motion mcp` with some words, and let a client ask."""
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "motion", "mcp", *words], cwd=folder, env=dict(os.environ)
    )  # fmt: skip

    strange: list[object] = []

    async def heard(message: object) -> None:
        if isinstance(message, Exception):  # a line on stdout that is no message
            strange.append(message)

    async def ask() -> None:
        async with Client(server, read_timeout_seconds=120, message_handler=heard) as client:
            await of(client)

    asyncio.run(ask())
    assert strange == []


async def told(client: Client, tool: str, **arguments: Any) -> Any:
    """Return what a tool answers."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return result.structured_content


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error, result.content
    return str(result.content)


def test_an_agent_reads_a_store_by_its_folder_and_cannot_write(shop: Path) -> None:
    async def ask(client: Client) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == READING
        assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools.values())
        assert all(tool.description for tool in tools.values())
        made = await told(client, "describe")
        assert {each["name"] for each in made["triggers"]} == {"label", "embed"}
        found = await told(client, "rows", table="garment", where="price > ?", params=[40])
        assert [row["label"] for row in found["rows"]] == ["linen dress for 49"]
        assert found["rows"][0]["api_key"] is None  # as for everybody who only reads
        assert found["rows"][0]["vector"].startswith("16 numbers")
        hits = await told(client, "search", key="garment.name", text="shirts", keys=["name"])
        assert [hit["row"]["name"] for hit in hits["hits"]] == ["linen shirt"]
        near = await told(client, "search", key="garment.vector", like=1, k=2, keys=["name"])
        assert near["hits"][0]["row"]["name"] == "linen dress"
        found = await told(client, "sql", query="select count(*) n from garment where price < ?", params=[40])  # fmt: skip
        assert found == {"columns": ["n"], "rows": [[2]], "more": False}
        assert "SqlError" in await refused(client, "sql", query="delete from garment")
        assert "UnknownKey" in await refused(client, "explain", table="garment", id=1, key="lable")
        origin = await told(client, "explain", table="garment", id=1, key="label")
        assert (origin["made_by"], origin["value"]) == ("label", "linen dress for 49")
        letters = (await told(client, "errors"))["errors"]
        assert [letter["trigger"] for letter in letters] == ["label"]
        assert "the store has none" in await refused(client, "versions")
        assert "set_row" in await refused(client, "set_row", table="garment", values={"id": 1})

    asked(shop, "shop.motion", of=ask)


def test_an_agent_that_may_write_sees_what_its_change_causes(shop: Path) -> None:
    async def ask(client: Client) -> None:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        assert tools == READING | {"set_row", "delete_row", "retry"}
        change = await told(
            client, "set_row", table="garment", values={"name": "wool hat", "price": 9}
        )
        done = await told(client, "follow", change=change["change"], timeout=60)
        assert (done["remaining"], done["failed"]) == (0, 0)
        found = await told(
            client, "rows", table="garment", where="id = ?", params=[change["id"]], keys=["label"]
        )
        assert found["rows"] == [{"id": change["id"], "label": "wool hat for 9"}]
        assert "InvalidValue" in await refused(
            client, "set_row", table="garment", values={"price": "dear"}
        )
        await told(client, "delete_row", table="garment", id=change["id"])
        assert (await told(client, "sql", query="select count(*) from garment"))["rows"] == [[3]]

    asked(shop, "shop:store", "--role", "write", of=ask)


def test_an_admin_agent_steers_models_and_sees_tracebacks(shop: Path) -> None:
    async def ask(client: Client) -> None:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        assert tools >= {"backfill", "fit", "promote", "rollback"}
        letters = (await told(client, "errors"))["errors"]
        assert "Traceback" in letters[0]["error"]
        made = await told(client, "backfill", trigger="embed", force=True)
        assert made["count"] == 3

    asked(shop, "shop.motion", "--role", "admin", of=ask)


def test_without_the_extra_it_is_said_how_to_install_it(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mcp.server", None)
    monkeypatch.delitem(sys.modules, "motion.server.agents", raising=False)
    with pytest.raises(MissingPackage, match=r"motion-ml\[mcp\]"):
        importlib.import_module("motion.server.agents")
