"""Kinds of queries: one for a thing to wear, one for an occasion, or one that a shop for clothes cannot answer.

Owns the decision, by a linear rule over what the trunk reads in a query. It is what keeps "iphone charger" from an idea.
"""

from __future__ import annotations

from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WEIGHTS = Path(__file__).parent / "weights" / "kinds.safetensors"


class Kind(Enum):
    """What a query is for. The order is that of the weights' columns."""

    THING = 0
    OCCASION = 1
    ELSEWHERE = 2


def kind_of(features: NDArray[Any]) -> Kind:
    """Return the likeliest kind of a query, by the features that the embedded trunk reads in it, `(any,)`."""
    weights, bias = _rule()
    return Kind(int((np.asarray(features, np.float32) @ weights + bias).argmax()))


@cache
def _rule() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    from safetensors.numpy import load_file

    rule = load_file(WEIGHTS)
    return np.asarray(rule["weights"], np.float32), np.asarray(rule["bias"], np.float32)
