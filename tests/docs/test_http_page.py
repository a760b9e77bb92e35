"""What the page about HTTP shows with curl is what a server answers, and its table of routes is that of the server."""

from __future__ import annotations

import json
import re
import runpy
import shlex
from pathlib import Path

import httpx
import pytest

import motion
from motion.server import Serving, create_app, serve
from motion.server.app import described

PAGE = (Path(__file__).parents[2] / "docs" / "http.md").read_text()


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> motion.Store:
    """The store of the page's program."""
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
    program = tmp_path / "shop.py"
    program.write_text(code.partition("with serve(")[0])
    found = runpy.run_path(str(program))["store"]
    assert isinstance(found, motion.Store)
    return found


def asked(serving: Serving, command: str) -> str:
    """Return what a command with curl prints."""
    words = shlex.split(command)
    url = next(word for word in words if word.startswith("localhost:8000"))
    body = words[words.index("-d") + 1] if "-d" in words else None
    headers = {"content-type": "application/json"} if body else {}
    path = serving.url + url.removeprefix("localhost:8000")
    answer = httpx.request(
        "POST" if body else "GET", path, content=body, headers=headers, timeout=60
    )
    assert answer.status_code == 200, answer.text
    return answer.text


def test_the_answers_on_the_page_are_those_of_a_server(shop: motion.Store) -> None:
    session = next(each for each in re.findall(r"^```console\n(.*?)^```", PAGE, re.M | re.S) if "curl" in each)  # fmt: skip
    entries = re.findall(r"^\$ (curl .*)\n((?:(?!\$ ).*\n)*)", session, re.M)
    assert len(entries) == 3
    with shop, serve(shop, port=0) as serving:
        for command, expected in entries:
            shop.wait(timeout=30)
            printed = asked(serving, command)
            if "event:" in expected:
                assert expected.partition("...\n")[0] in printed.replace("\r\n", "\n")
            else:
                assert json.loads(printed) == json.loads(expected)


def test_every_route_is_on_the_page(shop: motion.Store) -> None:
    with shop:
        paths = described(create_app(shop))["paths"]
    told = PAGE.replace("`.../labels`", "`/v1/models/{component}/labels`")
    for name in ("wait", "cancel"):
        told += f"/v1/changes/{{change}}/{name}" if f"`POST .../{name}`" in PAGE else ""
    for name in ("promote", "rollback"):
        told += f"/v1/models/{{component}}/{name}" if f"`.../{name}`" in PAGE else ""
    assert [path for path in paths if path not in told] == []
