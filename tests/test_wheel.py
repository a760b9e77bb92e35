"""The wheel alone: in an environment that has nothing else, a new project runs, is served, and shows its dashboard whole.

It fetches packages, so it is run by `make crash`, beside the other long tests.
"""

from __future__ import annotations

import re
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
EXAMPLE = re.findall(r"^```python\n(.*?)^```", README, re.M | re.S)[0]

pytestmark = pytest.mark.crash


def run(*command: str | Path, cwd: Path) -> str:
    """Return what a command prints, run by somebody who knows nothing of this checkout."""
    done = subprocess.run(
        command, cwd=cwd, env={"PATH": "/usr/bin:/bin"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment in which the wheel is installed, with what serves a store."""
    folder = tmp_path_factory.mktemp("alone")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "env", with_pip=False)
    python = folder / "env" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python), "install", "--quiet"]  # fmt: skip
    wanted = ["--constraint", str(ROOT / "constraints.txt"), f"{wheel}[server]"]
    done = subprocess.run([*pip, *wanted], capture_output=True, text=True, check=False)
    if "Failed to establish a new connection" in done.stderr:
        pytest.skip("packages cannot be fetched here")
    assert done.returncode == 0, done.stderr
    return python.parent


def test_the_example_of_the_readme_prints_what_it_says(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "example.py").write_text(EXAMPLE)
    printed = run(installed / "python", "-W", "error", "example.py", cwd=tmp_path).splitlines()
    assert printed == re.findall(r"^ *# (\[.*\])$", EXAMPLE, re.M)


def test_a_new_project_runs_and_is_looked_at(installed: Path, tmp_path: Path) -> None:
    motion = installed / "motion"
    assert "handbook has a pipeline now" in run(motion, "init", "handbook", cwd=tmp_path)
    project = tmp_path / "handbook"
    assert "A first note" in run(installed / "python", "pipeline.py", cwd=project)
    for command in ("status", "graph", "errors"):
        run(motion, command, "handbook.motion", cwd=project)


def test_the_dashboard_is_served_whole(installed: Path, tmp_path: Path) -> None:
    run(installed / "motion", "init", "handbook", cwd=tmp_path)
    run(installed / "python", "pipeline.py", cwd=tmp_path / "handbook")
    with served(installed / "motion", tmp_path / "handbook") as url:
        page = asked(url)
        files = set(re.findall(r"(?:src|href)=\"(/?[\w/.-]+\.\w+)\"", page))
        assert len(files) > 2
        for file in files:
            assert asked(f"{url}/{file.lstrip('/')}")
        assert '"note"' in asked(f"{url}/v1/tables")


def asked(url: str) -> str:
    with urlopen(url, timeout=60) as answer:
        text: str = answer.read().decode()
    return text


@contextmanager
def served(motion: Path, project: Path) -> Iterator[str]:
    """Serve a project's store, and give its address."""
    command = [str(motion), "serve", "pipeline:open_store", "--port", "0"]
    with subprocess.Popen(
        command, cwd=project, env={"PATH": "/usr/bin:/bin"}, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            said = ""
            while not (found := re.search(r"http://[\w.:]+", said)):
                line = process.stdout.readline()
                assert line, f"it is not served: {said}"
                said += line
            yield found[0]
        finally:
            process.terminate()
