"""The guide to a first pipeline works as it is written: its blocks, one after the other, in one shell.

What `pip` would fetch is taken from the environment of the tests; Motion itself is built and installed as the guide says.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "guides" / "first-pipeline.md").read_text()
BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"\n]+)\")?\n(.*?)^```", re.M | re.S)
ENTRY = re.compile(r"^\$ (.*\n(?:> .*\n)*)((?:(?!\$ ).*\n)*)", re.M)
MARK = "\x1e"  # stands in the output between what two commands print


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


def script_of(page: str) -> tuple[str, list[tuple[str, str]]]:
    """Return what a reader does as one script, and what each command is to print."""
    lines, entries = (
        ["set -e", "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT", "shopt -s expand_aliases"],
        [],
    )
    for kind, title, text in BLOCK.findall(page):
        if title:
            lines.append(f"cat > {title} <<'END OF FILE'\n{text}END OF FILE")
            continue
        assert kind == "console", f"a block that no reader could run: {text}"
        for command, expected in ENTRY.findall(text):
            typed = re.sub(r"^> ", "", command, flags=re.M)
            lines.append(f"printf '{MARK}'\n{typed}")
            entries.append((typed, expected))
    return "\n".join([*lines, f"printf '{MARK}'"]), entries


def pattern(expected: str) -> re.Pattern[str]:
    """Return what the page shows as a pattern: three dots stand for anything."""
    parts = [re.escape(each) for each in expected.strip().split("...")]
    return re.compile(".*".join(parts), re.S)


def plain(printed: str) -> str:
    return "\n".join(line.rstrip() for line in printed.replace("\r", "").splitlines()).strip()


def environment() -> dict[str, str]:
    """Return that of a newcomer for whom pip finds what it needs nearby."""
    kept = {name: os.environ[name] for name in ("HOME", "PATH", "LANG", "TMPDIR") if name in os.environ}  # fmt: skip
    pip = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    pip["PIP_NO_BUILD_ISOLATION"] = "0"  # as pip reads it, this is what turns isolation off
    return {**kept, **pip, "PYTHONPATH": sysconfig.get_path("purelib"), "TERM": "dumb", "COLUMNS": "100"}  # fmt: skip


def test_a_reader_who_does_what_the_guide_says_sees_what_it_shows(tmp_path: Path) -> None:
    (tmp_path / "motion").symlink_to(ROOT)
    work = tmp_path / "work"
    work.mkdir()
    script, entries = script_of(PAGE.replace("localhost:8000", f"localhost:{free_port()}"))
    port = re.findall(r"localhost:(\d+)", script)[0]
    script = script.replace("motion serve pipeline:open_store", f"motion serve pipeline:open_store --port {port}")  # fmt: skip
    done = subprocess.run(
        ["timeout", "200", "bash"], input=script, cwd=work, env=environment(), text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    printed = done.stdout.split(MARK)[1:]
    assert len(entries) > 20
    for (command, expected), shown in zip(entries, printed, strict=False):
        assert pattern(expected).fullmatch(plain(shown)), (
            f"$ {command}{shown}\nexpected:\n{expected}"
        )
    assert len(printed) == len(entries) + 1, f"it ended early: {done.stdout}"
