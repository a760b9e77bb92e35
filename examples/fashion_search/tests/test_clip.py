"""CLIP as a value: encoding, keeping, refusing, and learning."""

import copy
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fashion_search.clip import (
    Clip,
    ModelNotFound,
    NothingToEncode,
    Tuning,
    UnreadableImage,
    open_image,
    padded,
    product_text,
)
from fashion_search.garments import catalog, draw


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


def test_a_tall_photo_is_padded_with_white_and_not_cropped() -> None:
    square = padded(Image.new("RGB", (60, 80), "black"))
    assert square.size == (80, 80)
    assert square.getpixel((0, 0)) == (255, 255, 255)
    assert square.getpixel((40, 0)) == (0, 0, 0)


def test_a_transparent_ground_becomes_white() -> None:
    assert open_image(Image.new("RGBA", (4, 4), (0, 0, 0, 0))).getpixel((0, 0)) == (255, 255, 255)


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


# --- products


def test_a_product_is_a_blend_of_picture_and_text(
    clip: Clip, drawings: list[tuple[Image.Image, str]]
) -> None:
    image, text = drawings[0]
    both = clip.encode_products([image], [text])[0]
    expected = clip.image_weight * clip.encode_images([image])[0] + (
        1 - clip.image_weight
    ) * clip.encode_text(text)
    np.testing.assert_allclose(both, expected / np.linalg.norm(expected), atol=1e-5)


def test_a_product_without_picture_or_text_uses_the_other(
    clip: Clip, drawings: list[tuple[Image.Image, str]]
) -> None:
    image, text = drawings[0]
    found = clip.encode_products([None, image], [text, "  "])
    np.testing.assert_allclose(found[0], clip.encode_text(text), atol=1e-5)
    np.testing.assert_allclose(found[1], clip.encode_images([image])[0], atol=1e-5)


def test_a_product_with_neither_is_named(clip: Clip) -> None:
    with pytest.raises(NothingToEncode, match="product 1 has neither"):
        clip.encode_products([None, None], ["a hat", None])


def test_the_unreadable_picture_of_a_product_is_named_by_its_place(clip: Clip) -> None:
    with pytest.raises(UnreadableImage) as caught:
        clip.encode_products([None, b"not a picture"], ["a hat", "a cap"])
    assert caught.value.index == 1


@pytest.mark.parametrize(
    ("title", "description", "text"),
    [
        ("Red Hat", "Made of wool.", "Red Hat. Made of wool."),
        ("Red Hat", "Red hat", "Red hat"),
        ("Red Hat", "Red hat made of wool", "Red hat made of wool"),
        (None, "Red hat", "Red hat"),
        ("Red Hat", "", "Red Hat"),
        (None, None, ""),
    ],
)
def test_title_and_description_do_not_say_the_same_twice(
    title: str | None, description: str | None, text: str
) -> None:
    assert product_text(title, description) == text


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


def test_a_truncated_photo_is_unreadable(drawings: list[tuple[Image.Image, str]]) -> None:
    data = jpeg(drawings[0][0])
    with pytest.raises(UnreadableImage):
        open_image(data[: len(data) // 2])


def test_a_missing_file_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match="No such file"):
        open_image(tmp_path / "none.jpg")


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


# --- keeping


def test_what_is_saved_comes_back_with_the_same_vectors(
    clip: Clip, drawings: list[tuple[Image.Image, str]]
) -> None:
    back = Clip.from_saved(clip.to_saved())
    images, texts = [image for image, _ in drawings], [text for _, text in drawings]
    np.testing.assert_array_equal(back.encode_images(images), clip.encode_images(images))
    np.testing.assert_array_equal(back.encode_texts(texts), clip.encode_texts(texts))
    assert back.image_weight == clip.image_weight


def test_what_is_saved_is_plain_data_and_arrays(clip: Clip) -> None:
    saved = clip.to_saved()
    assert all(isinstance(value, np.ndarray) for value in saved["tensors"].values())
    assert all(isinstance(text, str) for text in saved["files"].values())
    assert isinstance(saved["config"], str)


def test_an_unknown_format_is_refused(clip: Clip) -> None:
    with pytest.raises(ValueError, match="format 99"):
        Clip.from_saved({**clip.to_saved(), "format": 99})


def test_a_copy_encodes_alike(clip: Clip) -> None:
    np.testing.assert_array_equal(
        copy.deepcopy(clip).encode_text("a hat"), clip.encode_text("a hat")
    )


# --- learning


def test_fine_tuning_lowers_the_loss_and_leaves_the_old_value_alone(
    clip: Clip, drawings: list[tuple[Image.Image, str]]
) -> None:
    pairs = [(image, f"model {i}") for i, (image, _) in enumerate(drawings[:8])]
    before = {name: array.copy() for name, array in clip.to_saved()["tensors"].items()}
    losses: list[float] = []
    tuned = clip.fine_tune(
        pairs,
        tuning=Tuning(steps=12, rate=1e-3),
        on_progress=lambda step, steps, loss: losses.append(loss),
    )
    assert tuned is not clip
    assert len(losses) == 12
    assert losses[-1] < losses[0]
    for name, array in clip.to_saved()["tensors"].items():
        np.testing.assert_array_equal(array, before[name])
    assert not np.allclose(
        tuned.encode_images([drawings[0][0]]), clip.encode_images([drawings[0][0]])
    )


def test_a_frozen_text_tower_keeps_every_texts_vector(
    clip: Clip, drawings: list[tuple[Image.Image, str]]
) -> None:
    tuned = clip.fine_tune(drawings[:6], tuning=Tuning(steps=2, text_share=0))
    np.testing.assert_array_equal(tuned.encode_text("a red hat"), clip.encode_text("a red hat"))


def test_the_text_tower_learns_when_it_may(
    clip: Clip, drawings: list[tuple[Image.Image, str]]
) -> None:
    tuned = clip.fine_tune(drawings[:6], tuning=Tuning(steps=2, text_share=0.5))
    assert not np.array_equal(tuned.encode_text("a red hat"), clip.encode_text("a red hat"))


def test_the_same_seed_learns_the_same(clip: Clip, drawings: list[tuple[Image.Image, str]]) -> None:
    first, second = (
        clip.fine_tune(drawings[:6], tuning=Tuning(steps=2, seed=3)).encode_images([drawings[0][0]])
        for _ in range(2)
    )
    np.testing.assert_allclose(first, second, atol=1e-5)


def test_a_wrong_pair_is_pushed_apart(clip: Clip, drawings: list[tuple[Image.Image, str]]) -> None:
    wrong = (drawings[0][0], drawings[1][1])
    with_it, without = (
        clip.fine_tune(drawings[:6], negatives=negatives, tuning=Tuning(steps=10))
        for negatives in ([wrong], [])
    )
    scores = [
        float(tuned.encode_images([wrong[0]])[0] @ tuned.encode_text(wrong[1]))
        for tuned in (with_it, without)
    ]
    assert scores[0] < scores[1]


def test_a_weight_of_zero_takes_a_pair_out(
    clip: Clip, drawings: list[tuple[Image.Image, str]]
) -> None:
    losses: list[float] = []
    clip.fine_tune(
        drawings[:4],
        weights=[0, 0, 0, 0],
        tuning=Tuning(steps=1),
        on_progress=lambda step, steps, loss: losses.append(loss),
    )
    assert losses == [0.0]


def test_one_pair_is_too_few(clip: Clip, drawings: list[tuple[Image.Image, str]]) -> None:
    with pytest.raises(ValueError, match="needs 2 or more"):
        clip.fine_tune(drawings[:1])


def test_weights_of_another_length_are_refused(
    clip: Clip, drawings: list[tuple[Image.Image, str]]
) -> None:
    with pytest.raises(ValueError, match="1 weights were given for 2 pairs"):
        clip.fine_tune(drawings[:2], weights=[1.0])


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
