"""Unseen types: what is measured was learned by neither fit, and the ten types only by the second one."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest

from fashion_search.gate import Pairs
from fashion_search.heads import Heads
from fashion_search.labelled import FIFTHS, Products
from fashion_search.trunks import EMBEDDED, PICTURE_DIM, EmbeddedTrunk
from fashion_search.unseen import PAIRS, TYPES, changes

THINGS = "shirt dress skirt sock shoe boot bag belt hat scarf watch ring".split()
BRANDS = [f"brand{chr(97 + i)}" for i in range(12)]


@pytest.fixture(scope="module")
def products() -> Products:
    """Twelve types of things, sixty of each; a picture shows the type and the brand, and much that is neither."""
    rng = np.random.default_rng(2)
    looks = {word: rng.standard_normal(PICTURE_DIM) for word in (*THINGS, *BRANDS)}
    titles = [(BRANDS[i % len(BRANDS)], thing) for thing in THINGS for i in range(60)]
    seen = [looks[b] + looks[t] + 0.5 * rng.standard_normal(PICTURE_DIM) for b, t in titles]
    said = [" ".join(title) for title in titles]
    distinct = list(dict.fromkeys(said))
    read = dict(zip(distinct, EmbeddedTrunk().read(distinct), strict=True))
    labels = [{"category": t, "colour": "Red", "gender": "Men"} for _, t in titles]
    pairs = Pairs(np.stack(seen).astype(np.float16), np.stack([read[text] for text in said]), said)
    return Products(pairs, [str(i) for i in range(len(said))], np.array(["shop"] * len(said)), labels)  # fmt: skip


@pytest.fixture
def heads() -> Heads:
    return Heads.load(EMBEDDED, EmbeddedTrunk.words_dim)


def test_neither_fit_sees_what_is_measured_and_the_first_none_of_the_ten_types(
    products: Products, heads: Heads, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: list[list[str]] = []
    real = Heads.fitted

    def noted(self: Heads, *args: Any, said: list[str], **kwargs: Any) -> Heads:
        learned.append(list(said))
        return real(self, *args, said=said, **kwargs)

    monkeypatch.setattr(Heads, "fitted", noted)
    found = changes(heads, products, fifth=1)
    first, second = learned
    assert not any(zlib.crc32(text.encode()) % FIFTHS == 1 for text in second)
    assert second[: len(first)] == first  # so none of it is forgotten
    assert len(set(second[len(first) :])) <= PAIRS
    assert len(second) - len(first) == PAIRS * max(
        1, len(first) // PAIRS
    )  # so few others are there
    kept, taught = ({text.split()[1] for text in texts} for texts in (first, second[len(first) :]))
    assert len(taught) == TYPES
    assert not kept & taught

    [new, *elsewhere] = found
    assert new.what.startswith("unseen types")
    assert new.count + elsewhere[0].count == (products.fifths() == 1).sum()
    assert all(0 <= each.before <= 1 and each.gain[0] <= each.gain[1] for each in found)


def test_a_catalog_without_types_enough_is_refused(products: Products, heads: Heads) -> None:
    few = products.only(np.arange(len(products.ids)) < 60 * TYPES)
    with pytest.raises(ValueError, match=f"{TYPES} types have 20 products .* more than {TYPES} are needed"):  # fmt: skip
        changes(heads, few)
