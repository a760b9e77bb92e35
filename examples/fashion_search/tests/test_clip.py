"""CLIP as a value: encoding, and refusing."""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fashion_search.clip import Clip, ModelNotFound
from fashion_search.garments import catalog, draw
from fashion_search.pictures import UnreadableImage, padded


@pytest.fixture(scope="module")
def clip() -> Clip:
    return Clip.load()


@pytest.fixture(scope="module")
def drawings() -> list[tuple[Image.Image, str]]:
    return [(draw(garment, 80), garment.title) for garment in catalog("revolve", 24)]


def jpeg(image: Image.Image) -> bytes:
    held = io.BytesIO()
    image.save(held, "JPEG")
    return held.getvalue()


# --- encoding


def test_vectors_have_unit_length_and_the_models_dim(
    clip: Clip, drawings: list[tuple[Image.Image, str]]
) -> None:
    pictures = clip.encode_images([image for image, _ in drawings])
    words = clip.encode_texts([text for _, text in drawings])
    for vectors in (pictures, words):
        assert vectors.shape == (24, clip.dim)
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_no_pictures_and_no_texts_give_no_vectors(clip: Clip) -> None:
    assert clip.encode_images([]).shape == (0, clip.dim)
    assert clip.encode_texts([]).shape == (0, clip.dim)


def test_bytes_paths_and_pictures_are_the_same_to_it(
    clip: Clip, drawings: list[tuple[Image.Image, str]], tmp_path: Path
) -> None:
    data = jpeg(drawings[0][0])
    (tmp_path / "a.jpg").write_bytes(data)
    vectors = clip.encode_images([data, tmp_path / "a.jpg", Image.open(io.BytesIO(data))])
    np.testing.assert_allclose(vectors, vectors[[0, 0, 0]], atol=1e-6)


def test_pixels_equal_those_of_the_models_own_processor(clip: Clip) -> None:
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 60, 3), np.uint8))
    theirs = clip.processor.image_processor([padded(photo)], return_tensors="np")["pixel_values"]
    np.testing.assert_allclose(clip.pixels([photo]).numpy(), theirs, atol=1e-5)


def test_the_order_of_texts_is_kept_whatever_their_length(clip: Clip) -> None:
    texts = ["a long text about a red shirt for men with buttons", "hat", "blue jeans"]
    together = clip.encode_texts(texts)
    for text, vector in zip(texts, together, strict=True):
        np.testing.assert_allclose(vector, clip.encode_text(text), atol=1e-5)


def test_a_text_longer_than_the_model_reads_is_cut_off(clip: Clip) -> None:
    assert np.isfinite(clip.encode_text("red shirt " * 500)).all()


def test_any_text_has_a_vector(clip: Clip) -> None:
    assert np.isfinite(clip.encode_texts(["", "साड़ी", "👗", "\x00"])).all()


def test_threads_encode_at_once_and_agree(clip: Clip) -> None:
    texts = [f"{colour} shirt number {i}" for i in range(8) for colour in ("red", "blue")]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: clip.encode_texts(texts), range(8)))
    for vectors in found:
        np.testing.assert_allclose(vectors, found[0], atol=1e-5)


def test_the_embedded_model_knows_a_synonym_and_a_colour(clip: Clip) -> None:
    listings = clip.encode_texts(
        [
            "Norvane Women Black Leather Handbag",
            "Norvane Women Black Sunglasses",
            "Norvane Women Red Sunglasses",
        ]
    )
    assert int(np.argmax(listings @ clip.encode_text("red shades"))) == 2


# --- refusing


@pytest.mark.parametrize("data", [b"", b"not a picture", b"\xff\xd8\xff\xe0 cut short"])
def test_an_unreadable_picture_is_an_error_that_says_which_and_why(
    clip: Clip, drawings: list[tuple[Image.Image, str]], data: bytes
) -> None:
    with pytest.raises(
        UnreadableImage, match=r"picture 1 cannot be read: .+ Pass the bytes of"
    ) as caught:
        clip.encode_images([drawings[0][0], data])
    assert caught.value.reason


def test_a_missing_folder_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        ModelNotFound,
        match=r"it does not exist.*pass nothing to use the model that comes with the package",
    ):
        Clip.load(tmp_path / "none")


def test_a_folder_without_a_model_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound) as caught:
        Clip.load(tmp_path)
    assert caught.value.name == str(tmp_path)
