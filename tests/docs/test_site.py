"""The site: every page is in its navigation, every public name in its reference, and where it can be built it needs nothing from elsewhere."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

import motion

ROOT = Path(__file__).parents[2]
CONFIG = (ROOT / "mkdocs.yml").read_text()
BESIDE = {"index.md", "contributing.md", "changes.md"}  # made of what lies beside docs/
FETCHED = re.compile(
    r"<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=\"?(https?:[^\s\">]+)"
)
IMPORTED = re.compile(r"(?:@import\s+|url\()[\"']?(https?:[^\s\"')]+)")


def test_every_page_is_in_the_navigation_and_the_other_way_round() -> None:
    named = set(re.findall(r"(?:: |- )([\w/.-]+\.md)$", CONFIG, re.M)) - BESIDE
    there = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    assert named == {page for page in there if not page.startswith("decisions/")}


def test_every_public_name_is_in_the_reference() -> None:
    told = re.findall(r"^::: motion\.(\w+)$", (ROOT / "docs" / "reference.md").read_text(), re.M)
    assert sorted(told) == sorted(motion.__all__)


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("mkdocs") is None, reason="'make docs' brings what builds the site"
)
def test_the_site_is_built_strictly_and_fetches_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages, styles = list(tmp_path.rglob("*.html")), list(tmp_path.rglob("*.css"))
    assert len(pages) > 30
    assert styles
    assert [found for page in pages for found in FETCHED.findall(page.read_text())] == []
    assert [found for each in styles for found in IMPORTED.findall(each.read_text())] == []
    assert 'id="motion.create_store"' in (tmp_path / "reference.html").read_text()
