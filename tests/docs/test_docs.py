"""Every Python example in the README and the docs runs as it stands, and prints what its comments say."""

from __future__ import annotations

import contextlib
import io
import re
import runpy
from pathlib import Path

import pytest

import motion
from motion import tracing

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *ROOT.glob("examples/*/README.md")]
)
EXAMPLES = [
    pytest.param(code, id=f"{page.relative_to(ROOT)}:{number}")
    for page in PAGES
    for number, code in enumerate(
        re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S)
    )
]
LINKED = [*PAGES, ROOT / "docs" / "llms.txt"]
SHOWN = re.compile(r"^\s*# ([\[(].*)$", re.M)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
ANCHOR = re.compile(r"\]\((?!https?:)([^)#]*)#([^)]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.M)


@pytest.mark.parametrize("code", EXAMPLES)
def test_an_example_runs_and_prints_what_it_says(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if 'executor="ray"' in code:
        pytest.importorskip("ray", reason="Ray is not installed here; 'make test-ray' installs it")
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "example.py"
    file.write_text(code)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        runpy.run_path(str(file), run_name="__main__")
    tracing.disable()  # an example turns it on
    lines = printed.getvalue().splitlines()
    assert [line for line in SHOWN.findall(code) if line not in lines] == []


def test_every_public_name_is_in_the_docs() -> None:
    told = "\n".join(page.read_text() for page in PAGES if page.name != "reference.md")
    assert [name for name in motion.__all__ if not re.search(rf"\b{name}\b", told)] == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, left = set[Path](), {ROOT / "README.md"}
    while left:
        page = left.pop()
        reached.add(page)
        links = {(page.parent / link).resolve() for link in LINK.findall(page.read_text())}
        left |= {link for link in links if link.suffix == ".md"} - reached
    assert [page for page in PAGES if page not in reached and "decisions" not in page.parts] == []


@pytest.mark.parametrize("page", LINKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    links = LINK.findall(page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_a_heading_lead_to_it(page: Path) -> None:
    links = ANCHOR.findall(page.read_text())
    assert [
        (link, anchor)
        for link, anchor in links
        if anchor not in anchors((page.parent / link) if link else page)
    ] == []


def anchors(page: Path) -> set[str]:
    """Return the names under which the headings of a page can be linked."""
    plain = (
        re.sub(r"[^\w\s-]", "", each).strip().lower() for each in HEADING.findall(page.read_text())
    )
    return {re.sub(r"\s", "-", each) for each in plain}
