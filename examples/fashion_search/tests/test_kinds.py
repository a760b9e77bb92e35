"""Kinds of queries: things to wear, occasions, and what no shop for clothes has."""

from __future__ import annotations

import pytest

from fashion_search.encoders import kind_of_text
from fashion_search.kinds import Kind


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("red dress for women", Kind.THING),
        ("brown purse", Kind.THING),
        ("what to wear to a beach wedding", Kind.OCCASION),
        ("job interview", Kind.OCCASION),
        ("iphone charger", Kind.ELSEWHERE),
        ("white desk chair without wheels", Kind.ELSEWHERE),
        ("toothpaste", Kind.ELSEWHERE),
    ],
)
def test_what_a_query_is_for_is_told_by_its_words(query: str, kind: Kind) -> None:
    assert kind_of_text(query) is kind
