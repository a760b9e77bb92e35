"""The command that makes a new project: one that runs, and whose tests pass, as it is."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from motion.cli.app import JsonOption, app, console, on_path, print_json, shown, stop
from motion.errors import MotionError

FILES = {
    "pipeline.py": "pipeline.py.txt", "test_pipeline.py": "test_pipeline.py.txt", "README.md": "README.md.txt",
    "pyproject.toml": "pyproject.toml.txt", ".gitignore": "gitignore.txt",
}  # fmt: skip


@app.command()
def init(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="new or empty; the store is called like it")
    ],
    as_json: JsonOption = False,
) -> None:
    """Make a new project: a small pipeline to change into your own, with tests.

    Example: motion init notes
    """
    name = re.sub(r"\W", "_", folder.resolve().name, flags=re.ASCII).lower()
    if not re.match(r"[a-z]", name):
        stop(
            f"a store's name begins with a letter, and {folder.resolve().name!r} does not; choose another folder.",
            2,
        )
    with on_path(folder):
        is_there = folder.exists()
    if is_there and (not folder.is_dir() or any(folder.iterdir())):
        stop(f"{folder} is there and not empty; choose a new folder.")
    try:
        _write(folder, name)
    except OSError as exc:
        raise MotionError(f"{folder} cannot be written: {exc.strerror or exc}.") from exc
    if as_json:
        print_json({"folder": str(folder.resolve()), "files": list(FILES)})
        return
    is_here = folder.resolve() == Path.cwd()
    steps = ["python pipeline.py", "pytest", f"motion graph {name}.motion"]
    told = "".join(f"\n  {each}" for each in ([] if is_here else [f"cd {folder}"]) + steps)
    where = "This folder" if is_here else folder
    console.print(shown(f"{where} has a pipeline now. Next:\n{told}"), soft_wrap=True)


def _write(folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    kept = files("motion.cli") / "project"
    for target, source in FILES.items():
        text = (kept / source).read_text(encoding="utf-8")
        filled = Template(text).substitute(name=name, folder=name.replace("_", "-"))
        (folder / target).write_text(filled, encoding="utf-8")
