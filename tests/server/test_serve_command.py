"""`motion serve` and `motion token` as they are typed: processes of their own, asked and stopped from outside."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

import motion.cli  # noqa: F401  # so that all commands are there
from motion.cli.app import app
from tests.conftest import environment_of

PROGRAM = """
from dataclasses import dataclass
import motion

@dataclass
class Note:
    id: int
    text: str
    length: int

@motion.trigger(on="note.text", sets="note.length", rate="1/hour", inline=False)
def measure(text: str) -> int:
    return len(text)

store = motion.create_store("notes", schemas={"note": Note}, triggers=[measure])
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "notes.py").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Give a process that serves, and its address."""
    command = [sys.executable, "-m", "motion", "serve", "notes:store", "--port", "0", *options]
    environment = environment_of(*sys.path)
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        found = re.search(r"http://\S+", said)
        assert found, said + process.stderr.read()
        yield process, found[0]
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


@pytest.mark.parametrize("rate", ["zz", "0/min", "10", "-1/s", "9" * 400 + "/s", ""])
def test_a_rate_that_is_none_is_told_before_anything_is_served(folder: Path, rate: str) -> None:
    refused = CliRunner().invoke(app, ["serve", "notes:store", "--port", "0", "--rate", rate])
    assert refused.exit_code == 2
    assert "such as '10/s', '600/min' or '5000/hour'" in refused.output
    assert "serving" not in refused.output


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_whole_although_a_stream_is_open(
    folder: Path, how: signal.Signals
) -> None:
    with serving(folder) as (process, url), httpx.Client(base_url=url, timeout=60) as client:
        for text in ("first", "second"):  # the second waits for an hour
            change = client.post("/v1/tables/note/row", json={"text": text}).json()
        path = f"/v1/changes/{change['change']}/events?table=note&id={change['id']}&key=length"
        with client.stream("GET", path) as stream:
            lines = stream.iter_lines()
            assert next(lines) == ": motion"
            process.send_signal(how)
            assert not [line for line in lines if line.startswith("event")]
        assert process.wait(timeout=60) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def test_others_are_served_with_tokens_only_which_are_made_listed_and_taken_away(
    folder: Path,
) -> None:
    run = CliRunner().invoke
    refused = run(app, ["serve", "notes:store", "--host", "0.0.0.0"])
    assert refused.exit_code == 1
    assert "motion token" in refused.output
    made = run(app, ["token", "add", "notes:store", "site", "--role", "write"])
    assert made.exit_code == 0, made.output
    text = made.stdout.strip()
    assert "started anew" in made.stderr
    listed = run(app, ["token", "list", "notes:store", "--json"])
    assert json.loads(listed.output) == [{"name": "site", "role": "write"}]
    assert text not in (folder / "notes.motion" / "tokens.json").read_text()
    with serving(folder) as (_, url), httpx.Client(base_url=url, timeout=60) as client:
        assert client.get("/v1").status_code == 401
        headers = {"authorization": f"Bearer {text}"}
        assert client.get("/v1", headers=headers).json()["role"] == "write"
    assert run(app, ["token", "remove", "notes:store", "nobody"]).exit_code == 1
    removed = run(app, ["token", "remove", "notes:store", "site"])
    assert (removed.exit_code, removed.stdout) == (0, "")
    assert "started anew" in removed.stderr
    assert json.loads(run(app, ["token", "list", "notes:store", "--json"]).output) == []
    assert run(app, ["token", "add", "notes:store", "site", "--role", "god"]).exit_code == 2
