"""What `import motion` takes along."""

from __future__ import annotations

import subprocess
import sys

import pytest

import motion

OPTIONAL = "fastapi httpx mcp mkdocs numkong opentelemetry psycopg skops sklearn torch usearch"
LATE = """asyncio cloudpickle loky multiprocessing pandas pyarrow rich safetensors sqlite3 ssl typer zipfile
    motion.backends motion.engine motion.executors motion.persistence motion.runtime motion.states motion.store motion.views"""


def modules_after(program: str, *, among: str) -> list[str]:
    """Return which of these modules are there after a program, run by a process that cannot have the extras."""
    begun = f"import sys\nsys.modules.update(dict.fromkeys({OPTIONAL.split()}))\n"
    told = f"\nprint([name for name in {among.split()} if sys.modules.get(name)])"
    command = [sys.executable, "-c", begun + program + told]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: list[str] = eval(done.stdout)
    return found


def test_motion_is_imported_without_extras_and_without_what_only_some_calls_need() -> None:
    assert modules_after("import motion", among=LATE) == []


def test_a_program_that_asks_a_store_elsewhere_takes_no_engine_along() -> None:
    assert modules_after("import motion; motion.connect", among="motion.engine sqlite3") == []


def test_a_store_is_opened_without_extras_and_without_what_only_some_calls_need() -> None:
    program = "import motion\nmotion.create_store('a', url=':memory:').close()"
    late = "multiprocessing.pool pandas pyarrow rich typer"
    assert modules_after(program, among=late) == []


def test_every_public_name_is_there_and_is_listed() -> None:
    assert [name for name in motion.__all__ if not hasattr(motion, name)] == []
    assert set(motion.__all__) <= set(dir(motion))


def test_a_name_that_is_none_of_ours_is_an_error() -> None:
    with pytest.raises(AttributeError, match="'create_stor'"):
        motion.create_stor  # type: ignore[attr-defined]  # noqa: B018 - it is what is tested
