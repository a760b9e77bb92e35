"""Freed memory: what calls have freed goes back to the system, though some of what they took stays in use."""

from __future__ import annotations

import platform
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.conftest import environment_of

PROGRAM = """
    import sys
    import threading
    from dataclasses import dataclass

    import motion
    from motion.background import memory
    from tests.conftest import until

    memory.LOOK_S, memory.ANYWAY_S = 0.0, 0.5
    AT_ONCE, EACH_MB = 8, 30
    KEPT = []
    TOGETHER = threading.Barrier(AT_ONCE)

    @dataclass
    class Doc:
        id: int
        n: int
        mb: int

    def resident_mb():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096 // 10**6

    def take(mb):
        taken = [bytes(2_000) for _ in range(500 * mb)]
        KEPT.extend(taken[::1_000])

    @motion.trigger(on="doc.n", sets="doc.mb", concurrency=AT_ONCE)
    def in_threads(n: int) -> int:
        TOGETHER.wait()
        take(EACH_MB)
        TOGETHER.wait()
        return resident_mb()

    @motion.trigger(on="doc.n", sets="doc.mb", executor="process", concurrency=1)
    def in_a_process(n: int) -> int:
        before = resident_mb()
        take(EACH_MB * n)
        return before

    if __name__ == "__main__":
        trigger = globals()[sys.argv[1]]
        with motion.create_store("s", schemas={"doc": Doc}, triggers=[trigger], url=":memory:") as store:
            if trigger is in_threads:
                before = resident_mb()
                store.set_many("doc", [{"n": 1}] * AT_ONCE).wait()
                until(store, lambda: resident_mb() < before + AT_ONCE * EACH_MB / 3)
            else:
                before, after = (row.mb for n in (AT_ONCE, 0) for row in store.set("doc", n=n).wait().rows())
                assert after < before + AT_ONCE * EACH_MB / 3, (before, after)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps what threads free")
@pytest.mark.parametrize("trigger", ["in_threads", "in_a_process"])
def test_what_calls_have_freed_goes_back(tmp_path: Path, trigger: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM), encoding="utf-8")
    found = subprocess.run(
        [sys.executable, program, trigger],
        env=environment_of(Path(__file__).parents[2]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
