"""Plain data: any value of a store, as JSON has it."""

from __future__ import annotations

import base64
import dataclasses
import math
from collections.abc import Mapping
from datetime import date
from enum import Enum
from typing import Any

import numpy as np

LARGEST_COUNT = 2**53
"""The largest whole number that every reader of JSON reads as it was written."""

INFINITIES = {"Infinity": math.inf, "-Infinity": -math.inf}


def is_number(value: Any) -> bool:
    """Whether something is an int or a float; True is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def plain_float(value: float) -> float | str | None:
    """Return a float as JSON has it, which has neither infinities nor what is no number."""
    if math.isfinite(value):
        return float(value)  # NumPy's are floats too, and JSON has none of them
    return next((name for name, each in INFINITIES.items() if each == value), None)


def plain(value: Any) -> Any:
    """Return a value as JSON has it: dataclasses as objects, times as ISO 8601, enums by name, arrays as lists, bytes as
    base64, an infinite number as "Infinity" or "-Infinity", and what is no number as null."""
    if value is None or (isinstance(value, str | bool | int) and not isinstance(value, Enum)):
        return value
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, float | np.floating):
        return plain_float(float(value))
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    if isinstance(value, date):
        return value.isoformat()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    return str(value)
