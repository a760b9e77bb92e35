"""Heads: features to vectors, and learning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fashion_search.heads import Heads, Recipe, unit

PICTURE_DIM, TEXT_DIM, WORDS_DIM = 24, 16, 6
Pairs = tuple[NDArray[np.float16], NDArray[np.float16]]


@pytest.fixture(scope="module")
def heads() -> Heads:
    return Heads.new("tiny", WORDS_DIM, PICTURE_DIM, TEXT_DIM)


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    """Sixty things, each seen and told in its own way."""
    rng = np.random.default_rng(5)
    things = rng.standard_normal((60, 8))
    seen = things @ rng.standard_normal((8, PICTURE_DIM))
    told = things @ rng.standard_normal((8, TEXT_DIM))
    return seen.astype(np.float16), told.astype(np.float16)


def found(heads: Heads, pairs: Pairs) -> float:
    """How many of the texts find their own picture first."""
    seen, told = heads.see(pairs[0]), heads.read(pairs[1])
    return float(((told @ seen.T).argmax(axis=1) == np.arange(len(seen))).mean())


def test_vectors_have_unit_length(heads: Heads, pairs: Pairs) -> None:
    for vectors in (heads.see(pairs[0]), heads.read(pairs[1]), heads.products(*pairs)):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert heads.products(*pairs).shape == (60, heads.dim)


@pytest.mark.parametrize("picture_weight", [0.0, 0.25, 1.0])
def test_a_wishs_product_with_a_product_is_the_blend_of_both_cosines(
    heads: Heads, pairs: Pairs, picture_weight: float
) -> None:
    seen, told = pairs
    of_words = heads.words(told) @ heads.words(told).T
    of_pictures = heads.read(told) @ heads.see(seen).T
    expected = (1 - picture_weight) * of_words + picture_weight * of_pictures
    got = heads.wishes(told, picture_weight) @ heads.products(seen, told).T
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_a_fit_learns_what_belongs_together_and_leaves_the_old_value_alone(
    heads: Heads, pairs: Pairs
) -> None:
    before = {name: array.copy() for name, array in heads.weights.items()}
    steps: list[tuple[int, int]] = []
    new = heads.fitted(
        *pairs,
        Recipe(epochs=60, batch=30),
        on_progress=lambda step, of, _: steps.append((step, of)),
    )
    assert found(heads, pairs) < 0.2 < 0.8 < found(new, pairs)
    assert steps == [(i, 120) for i in range(1, 121)]
    for name, array in heads.weights.items():
        np.testing.assert_array_equal(array, before[name])


def test_the_same_seed_learns_the_same(heads: Heads, pairs: Pairs) -> None:
    first, second = (heads.fitted(*pairs, Recipe(epochs=2, batch=30)) for _ in range(2))
    np.testing.assert_array_equal(first.see(pairs[0]), second.see(pairs[0]))


def test_a_fit_that_keeps_everything_changes_nothing(heads: Heads, pairs: Pairs) -> None:
    new = heads.fitted(*pairs, Recipe(epochs=2, keep=1.0))
    np.testing.assert_allclose(new.see(pairs[0]), heads.see(pairs[0]), atol=1e-6)


def test_what_counts_for_nothing_teaches_nothing(heads: Heads, pairs: Pairs) -> None:
    wrong = (np.concatenate([pairs[0], pairs[0]]), np.concatenate([pairs[1], pairs[1][::-1]]))
    counts = np.repeat(np.asarray([1, 0], np.float32), 60)
    recipe = Recipe(epochs=60, batch=60)
    believed, doubted = heads.fitted(*wrong, recipe), heads.fitted(*wrong, recipe, weights=counts)
    assert found(doubted, pairs) > found(believed, pairs)


@pytest.mark.parametrize(("pictures", "texts"), [(1, 1), (3, 2), (0, 0)])
def test_what_are_no_pairs_is_refused(
    heads: Heads, pairs: Pairs, pictures: int, texts: int
) -> None:
    with pytest.raises(ValueError, match=f"given {pictures} pictures and {texts} texts"):
        heads.fitted(pairs[0][:pictures], pairs[1][:texts])


def test_heads_of_a_clip_leave_its_vectors_as_they_are(pairs: Pairs) -> None:
    vectors = unit(pairs[1])
    heads = Heads.untouched("some/clip", TEXT_DIM)
    np.testing.assert_allclose(heads.see(vectors), vectors, atol=1e-6)
    np.testing.assert_allclose(heads.read(vectors), vectors, atol=1e-6)


def test_what_is_saved_comes_back(heads: Heads, pairs: Pairs, tmp_path: Path) -> None:
    back = Heads.from_saved(heads.to_saved())
    np.testing.assert_allclose(back.see(pairs[0]), heads.see(pairs[0]), atol=1e-2)
    heads.save(tmp_path / "heads.safetensors")
    loaded = Heads.load("tiny", WORDS_DIM, tmp_path / "heads.safetensors")
    np.testing.assert_array_equal(loaded.see(pairs[0]), back.see(pairs[0]))


def test_the_state_of_an_earlier_version_is_refused_with_the_way_out(heads: Heads) -> None:
    with pytest.raises(ValueError, match=r"format 1; this version reads 2. Make the store anew"):
        Heads.from_saved({**heads.to_saved(), "format": 1})
