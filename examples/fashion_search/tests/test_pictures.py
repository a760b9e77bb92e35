"""Pictures: decoded, upright, on white; and what is said of one that is none."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fashion_search.garments import catalog, draw
from fashion_search.pictures import UnreadableImage, open_image, padded


@pytest.fixture(scope="module")
def drawings() -> list[tuple[Image.Image, str]]:
    return [(draw(garment, 80), garment.title) for garment in catalog("revolve", 2)]


def jpeg(image: Image.Image) -> bytes:
    held = io.BytesIO()
    image.save(held, "JPEG")
    return held.getvalue()


def test_a_tall_photo_is_padded_with_white_and_not_cropped() -> None:
    square = padded(Image.new("RGB", (60, 80), "black"))
    assert square.size == (80, 80)
    assert square.getpixel((0, 0)) == (255, 255, 255)
    assert square.getpixel((40, 0)) == (0, 0, 0)


def test_a_transparent_ground_becomes_white() -> None:
    assert open_image(Image.new("RGBA", (4, 4), (0, 0, 0, 0))).getpixel((0, 0)) == (255, 255, 255)


def test_a_truncated_photo_is_unreadable(drawings: list[tuple[Image.Image, str]]) -> None:
    data = jpeg(drawings[0][0])
    with pytest.raises(UnreadableImage):
        open_image(data[: len(data) // 2])


def test_a_missing_file_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match="No such file"):
        open_image(tmp_path / "none.jpg")


@pytest.mark.parametrize(
    "kind", ["16 bits PNG", "16 bits TIFF", "32 bits TIFF", "floats TIFF", "floats up to 255 TIFF"]
)
def test_a_grey_picture_of_more_bits_is_seen_as_it_is(kind: str) -> None:
    ramp = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (64, 1))
    kinds: dict[str, np.ndarray] = {
        "16": ramp.astype(np.uint16) * 257, "32": ramp.astype(np.int32) * 257,
        "floats": ramp.astype(np.float32) / (1 if "255" in kind else 255),
    }  # fmt: skip
    file = io.BytesIO()
    Image.fromarray(kinds[kind.split()[0]]).save(file, kind.split()[-1])
    seen = np.asarray(open_image(file.getvalue()))
    assert np.abs(seen[:, :, 0].astype(int) - ramp).max() <= 1


def test_a_dark_picture_of_16_bits_stays_dark() -> None:
    file = io.BytesIO()
    Image.fromarray(np.full((32, 32), 200, np.uint16)).save(file, "PNG")
    assert np.asarray(open_image(file.getvalue())).max() <= 1
