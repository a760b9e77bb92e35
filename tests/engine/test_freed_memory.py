"""Freed memory: what calls have freed goes back to the system, though some of what they took stays in use; and threads
share the allocator's heaps, unless the user has told it otherwise."""

from __future__ import annotations

import platform
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

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


HEAPS = """
    import ctypes
    import threading
    from dataclasses import dataclass
    from pathlib import Path

    import motion

    AT_ONCE = 6
    TOGETHER = threading.Barrier(AT_ONCE)

    @dataclass
    class Doc:
        id: int
        n: int
        m: int

    @motion.trigger(on="doc.n", sets="doc.m", concurrency=AT_ONCE)
    def together(n: int) -> int:
        TOGETHER.wait()
        taken = [bytes(2_000) for _ in range(1_000)]
        TOGETHER.wait()
        return len(taken)

    def heaps():
        libc = ctypes.CDLL(None)
        libc.fopen.restype = ctypes.c_void_p
        file = ctypes.c_void_p(libc.fopen(b"heaps.xml", b"w"))
        libc.malloc_info(0, file)
        libc.fclose(file)
        return Path("heaps.xml").read_text().count("<heap nr")

    if __name__ == "__main__":
        before = heaps()
        with motion.create_store("s", schemas={"doc": Doc}, triggers=[together], url=":memory:") as store:
            store.set_many("doc", [{"n": 1}] * AT_ONCE).wait()
            print(heaps() - before)
"""

OF_ALLOCATOR = {"MALLOC_ARENA_MAX", "GLIBC_TUNABLES"}

only_glibc = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only glibc keeps what threads free"
)


@only_glibc
@pytest.mark.parametrize("trigger", ["in_threads", "in_a_process"])
def test_what_calls_have_freed_goes_back(tmp_path: Path, trigger: str) -> None:
    _run(tmp_path, PROGRAM, trigger)


@only_glibc
@pytest.mark.parametrize(
    ("told", "fewest", "most"),
    [({}, 0, 0), ({"MALLOC_ARENA_MAX": "4"}, 1, 3)],
    ids=["nothing", "the user's"],
)
def test_threads_share_a_heap_unless_the_user_has_said_how_many(
    tmp_path: Path, told: dict[str, str], fewest: int, most: int
) -> None:
    more = int(_run(tmp_path, HEAPS, told=told))
    assert fewest <= more <= most


def _run(
    tmp_path: Path, text: str, *given: str, told: Mapping[str, str] = MappingProxyType({})
) -> str:
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(text), encoding="utf-8")
    environment = environment_of(Path(__file__).parents[2])
    found = subprocess.run(
        [sys.executable, program, *given],
        cwd=tmp_path,
        env={each: value for each, value in environment.items() if each not in OF_ALLOCATOR}
        | dict(told),
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout
