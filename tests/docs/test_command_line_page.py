"""Every command on the page about the command line gives what the page says it does."""

from __future__ import annotations

import contextlib
import io
import re
import runpy
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

import motion.cli  # noqa: F401  # so that all commands are there
from motion.cli.app import app

PAGE = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text()


def test_the_commands_of_the_page_print_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
    (session,) = re.findall(r"^```console\n(.*?)^```", PAGE, re.M | re.S)
    Path("shop.py").write_text(code)
    with contextlib.redirect_stdout(io.StringIO()):
        runpy.run_path("shop.py", run_name="__main__")
    entries = re.findall(r"^\$ motion (.*)\n((?:(?!\$ ).*\n)*)", session, re.M)
    assert len(entries) > 5
    for words, expected in entries:
        done = CliRunner(env={"TERM": "dumb"}).invoke(app, shlex.split(words))
        assert done.exit_code == 0, (words, done.output)
        printed = "".join(f"{line.rstrip()}\n" for line in done.output.splitlines())
        begin, dots, _ = expected.partition("...\n")
        assert printed.startswith(begin) if dots else printed == expected, (words, printed)
