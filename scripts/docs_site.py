"""What the site has beside docs/: the README as its first page, the pages that lie beside it, and the decisions in the navigation.

A hook of mkdocs. Links between these and docs/ are put right; those to code are shown as its path, as code is not on the site.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]

BESIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changes.md",
}

LINK = re.compile(r"\[([^\]]+)\]\((?!https?:|#)([^)#\s]+)(#[^)]*)?\)")


def on_config(config: Any) -> Any:
    """Put each decision under its heading in the navigation."""
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    for section in config["nav"]:
        for name, entries in section.items():
            if name == "Project":
                entries[-1] = {"Decisions": [f"decisions/{page.name}" for page in pages]}
    return config


def on_files(files: Files, config: Any) -> Files:
    for source, target in BESIDE.items():
        files.append(File.generated(config, target, content=(ROOT / source).read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    here = page.file.src_uri
    lies = next(
        (PurePosixPath(name) for name, target in BESIDE.items() if target == here),
        PurePosixPath("docs") / here,
    )

    def put_right(found: re.Match[str]) -> str:
        text, path, anchor = found[1], found[2], found[3] or ""
        target = normpath(str(lies.parent / path))
        if target in BESIDE:
            target = f"docs/{BESIDE[target]}"
        below = target.removeprefix("docs/")
        if target.startswith("docs/") and files.get_file_from_path(below):
            return f"[{text}]({relative(below, here)}{anchor})"
        return text if "`" in text or target == "docs/decisions" else f"{text} (`{target}`)"

    return LINK.sub(put_right, markdown)


def relative(target: str, here: str) -> str:
    """Return the way from one page to another."""
    return "../" * here.count("/") + target
