"""Options: the values that a trigger's declaration takes, checked one by one where it is written."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from motion.errors import TriggerError, shortened

P = ParamSpec("P")
R = TypeVar("R")

LONGEST_S = 10 * 365 * 86_400


def check_number(option: str, value: Any, least: int) -> None:
    """Check an option that counts something, or takes seconds: those have a unit in their name."""
    if value is None:
        return
    name, is_time = option.removesuffix("_s"), option.endswith("_s")
    kinds = int | float if is_time else int
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise TriggerError(
            f"a trigger's {name} is {'a number of seconds' if is_time else 'an int'}, not {value!r}."
        )
    if not value >= least:  # NaN is not
        raise TriggerError(f"a trigger's {name} must be at least {least}, not {value!r}.")
    if is_time and value > LONGEST_S:
        raise TriggerError(
            f"a trigger's {name} is at most {LONGEST_S} s, not {value!r}; leave it out for no limit."
        )


def in_brackets(decorator: Callable[P, R]) -> Callable[P, R]:
    """Let a decorator that takes options say so where it is written without any."""

    @functools.wraps(decorator)
    def checked(*given: P.args, **options: P.kwargs) -> R:
        if given:
            name = f"@motion.{decorator.__name__}"
            raise TriggerError(
                f"{name} takes what it is about by name, in brackets, such as {name}(on='table.key'); "
                f"it was given {shortened(given[0])}."
            )
        return decorator(*given, **options)

    return checked


def is_name(name: object) -> bool:
    return isinstance(name, str) and name.isprintable() and 0 < len(name) <= 200


def takes_a_row(when: Any) -> bool:
    """Whether something can be called with a row. An async function gives what is always true."""
    if not callable(when) or inspect.iscoroutinefunction(when):
        return False
    try:
        inspect.signature(when).bind(None)
    except TypeError:
        return False
    except ValueError:  # a builtin that says nothing of its parameters
        return True
    return True
