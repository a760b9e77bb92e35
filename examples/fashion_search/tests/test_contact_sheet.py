"""The contact sheet: what is on it, told by its size and its pixels."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fashion_search.contact_sheet import Comparison, Item, Section, contact_sheet

RED, BLUE = (250, 10, 10), (10, 10, 250)


def a_photo(colour: tuple[int, int, int] = RED, size: tuple[int, int] = (60, 80)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


def items(n: int, colour: tuple[int, int, int] = RED) -> list[Item]:
    return [Item(a_photo(colour), f"Item {i}", "nordstrom", 30.0) for i in range(n)]


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as sheet:
        assert sheet.format == "PNG"
        return sheet.size


def pixels_of(path: Path, colour: tuple[int, int, int]) -> int:
    with Image.open(path) as sheet:
        return sum(n for n, found in sheet.getcolors(1 << 24) or [] if found == colour)


def test_the_photos_are_on_the_sheet(tmp_path: Path) -> None:
    path = contact_sheet("red dress", [Section("dress", items(2))], tmp_path / "sheet.png")
    # The two photos are shown about 180 by 240 pixels large.
    assert pixels_of(path, RED) > 2 * 150 * 200


def test_a_further_idea_makes_the_sheet_taller_and_no_wider(tmp_path: Path) -> None:
    one = size_of(contact_sheet("q", [Section("a", items(5))], tmp_path / "1.png"))
    two = size_of(
        contact_sheet("q", [Section("a", items(5)), Section("b", items(5))], tmp_path / "2.png")
    )
    assert two[0] == one[0]
    assert two[1] > one[1] + 260


def test_at_most_six_photos_are_shown_side_by_side(tmp_path: Path) -> None:
    six = size_of(contact_sheet("q", [Section("a", items(6))], tmp_path / "6.png"))
    twenty = size_of(contact_sheet("q", [Section("a", items(20))], tmp_path / "20.png"))
    assert six == twenty


def test_two_versions_stand_side_by_side(tmp_path: Path) -> None:
    before, after = [Section("a", items(4, RED))], [Section("a", items(4, BLUE))]
    path = contact_sheet("q", before, tmp_path / "s.png", compared_with=Comparison(after))
    with Image.open(path) as sheet:
        left = sheet.crop((0, 0, sheet.width // 2, sheet.height))
        right = sheet.crop((sheet.width // 2, 0, sheet.width, sheet.height))
        colours_left = {found for _, found in left.getcolors(1 << 24) or []}
        colours_right = {found for _, found in right.getcolors(1 << 24) or []}
    assert RED in colours_left
    assert BLUE not in colours_left
    assert BLUE in colours_right
    assert RED not in colours_right


def test_what_is_new_in_the_second_version_is_marked(tmp_path: Path) -> None:
    red = [Section("a", items(1, RED))]
    same = contact_sheet("q", red, tmp_path / "1.png", compared_with=Comparison(red))
    blue = [Section("a", items(1, BLUE))]
    other = contact_sheet("q", red, tmp_path / "2.png", compared_with=Comparison(blue))
    accent = (158, 62, 45)
    assert pixels_of(other, accent) > pixels_of(same, accent) + 500


def test_ideas_that_only_one_version_had_are_shown_too(tmp_path: Path) -> None:
    red, blue = [Section("a", items(1, RED))], [Section("b", items(1, BLUE))]
    path = contact_sheet("q", red, tmp_path / "s.png", compared_with=Comparison(blue))
    alone = contact_sheet("q", red, tmp_path / "1.png", compared_with=Comparison(red))
    assert pixels_of(path, RED) > 0
    assert pixels_of(path, BLUE) > 0
    assert size_of(path)[1] > size_of(alone)[1] + 260


def test_folders_are_made(tmp_path: Path) -> None:
    path = contact_sheet("q", [], tmp_path / "new" / "folder" / "sheet.png")
    assert path.is_file()


@pytest.mark.parametrize("image", [b"", b"<html>404</html>", a_photo()[:-30]])
def test_a_broken_photo_does_not_cost_the_sheet(image: bytes, tmp_path: Path) -> None:
    section = Section("a", [Item(image, "Broken", "revolve", 0.3), *items(1)])
    assert pixels_of(contact_sheet("q", [section], tmp_path / "s.png"), RED) > 150 * 200


@pytest.mark.parametrize("mode", ["CMYK", "L", "RGBA", "P", "1", "LA", "I;16"])
def test_photos_of_every_mode_are_drawn(mode: str, tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.new(mode, (40, 90)).save(file, "JPEG" if mode == "CMYK" else "PNG")
    section = Section("a", [Item(file.getvalue(), "t", "revolve", 1.5)])
    assert size_of(contact_sheet("q", [section], tmp_path / "s.png"))[0] > 600


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(query=st.text(max_size=300), idea=st.text(max_size=300), title=st.text(max_size=300))
def test_any_text_can_be_drawn(query: str, idea: str, title: str, tmp_path: Path) -> None:
    section = Section(idea, [Item(a_photo(size=(16, 16)), title, title, -1.25)])
    assert contact_sheet(query, [section], tmp_path / "s.png").is_file()
