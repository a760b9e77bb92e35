"""Arguments: what a call takes, refused by one check for each kind before anything is done.

Each raises `InvalidArgument`, which names the argument, what was given, and what it takes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from motion.definitions.values.plain import is_number
from motion.errors import InvalidArgument, shortened

INT64_MAX = 2**63 - 1


def check_flag(argument: str, given: Any) -> None:
    """Refuse what is neither True nor False: a text or a list would count as True unsaid."""
    if not isinstance(given, bool | np.bool_):
        raise _refused(argument, given, "True or False")


def check_seconds(argument: str, given: Any) -> None:
    if not is_number(given) or math.isnan(given):
        raise _refused(argument, given, "a number of seconds")


def check_count(argument: str, given: Any, *, least: int = 0, may_be_none: bool = False) -> None:
    if given is None and may_be_none:
        return
    if not isinstance(given, int) or isinstance(given, bool) or not least <= given <= INT64_MAX:
        told = f"an int of at least {least}{', or None' if may_be_none else ''}"
        raise _refused(argument, given, told)


def check_text(argument: str, given: Any, expected: str, *, may_be_none: bool = True) -> None:
    if not (given is None and may_be_none) and not isinstance(given, str):
        raise _refused(argument, given, expected)


def check_keys(argument: str, given: Any) -> None:
    """Refuse what is no list of names: of one name alone its letters would be taken."""
    is_list = isinstance(given, Iterable) and not isinstance(given, str | bytes | Mapping | type)
    if given is not None and not is_list:
        raise _refused(argument, given, "a list of names of keys, or None for all")


def _refused(argument: str, given: Any, expected: str) -> InvalidArgument:
    return InvalidArgument(argument, f"{shortened(given)} ({type(given).__name__})", expected)
