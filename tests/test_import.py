"""What `import motion` takes along."""

from __future__ import annotations

import subprocess
import sys

OPTIONAL = "fastapi httpx mcp mkdocs opentelemetry skops sklearn torch usearch"
LATE = "multiprocessing.pool pandas pyarrow rich typer"


def test_motion_is_imported_without_extras_and_without_what_only_some_calls_need() -> None:
    """In a process of its own, in which the extras cannot be had."""
    program = (
        "import sys\n"
        f"extras, late = {OPTIONAL.split()}, {LATE.split()}\n"
        "sys.modules.update(dict.fromkeys(extras))\n"
        "import motion\n"
        "print([name for name in late if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
