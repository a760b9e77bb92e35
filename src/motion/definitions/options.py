"""Options: the values that a trigger's declaration takes, checked one by one where it is written."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
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


def check_kinds(given: Any) -> None:
    """Refuse options of another type: they would be taken for true, or fail on the first row."""
    for option, value, expected, is_right in (
        ("page", given.page, "the name of a page key", isinstance(given.page, str | None)),
        (
            "name",
            given.name,
            "a str of 1 to 200 printable characters",
            given.name is None or is_name(given.name),
        ),
        (
            "version",
            given.version,
            f"a str, such as version='{given.version}'",
            isinstance(given.version, str | None),
        ),
        (
            "when",
            given.when,
            "a function of the row, and no async one",
            given.when is None or takes_a_row(given.when),
        ),
        (
            "priority",
            given.priority,
            "an int of at most 32 bits or the name of a key",
            isinstance(given.priority, str | None)
            or (type(given.priority) is int and abs(given.priority) < 2**31),
        ),
        ("inline", given.inline, "True, False or None", given.inline in (True, False, None)),
        ("memo", given.memo, "True or False", given.memo in (True, False)),
        (
            "isolated",
            given.isolated,
            "True, False or None",
            any(given.isolated is each for each in (True, False, None)),
        ),
        (
            "serial_by",
            given.serial_by,
            "a key, such as 'message.user'",
            isinstance(given.serial_by, str | None),
        ),
        (
            "once",
            given.once,
            "True, False or 'at_most'",
            any(given.once is each for each in (True, False)) or given.once == "at_most",
        ),
    ):
        if not is_right:
            raise TriggerError(f"{option}= takes {expected}, but was given {value!r}.")


def check_once(
    refuse: Callable[[str], None], sets: Any, event: Any, on_change: Any, again: Any
) -> None:
    """Refuse what does not go with `once=`.

    Args:
        sets, event, on_change: what the trigger has of these.
        again: whether it is to act at most once, and something would call it again.
    """
    if sets:
        refuse(
            "once= is for what is done outside of the store, so sets= does not go with it: a derived value follows what it "
            "is made from. To keep what the other side answered, write it through 'store: motion.View'."
        )
    if event:
        refuse("it runs on an event, which comes once: once= is about a row that may change again.")
    if on_change:
        refuse("once= runs never again where it has succeeded, so on_change= has nothing to do.")
    if again:
        refuse(
            "once='at_most' calls once for each row, so retries= and batch=, which is halved where it raises, do not go "
            "with it. Where the other side takes an idempotency key, once=True goes with both."
        )


def paths(option: str, given: str | Sequence[str]) -> tuple[str, ...]:
    """Return the keys that an option names."""
    found = (given,) if isinstance(given, str) else given
    if not isinstance(found, list | tuple) or not all(isinstance(path, str) for path in found):
        also = ", a schedule, motion.deleted(...) or motion.after(...)" if option == "on" else ""
        raise TriggerError(
            f"{option}= takes a key, such as 'query.query', or several in a tuple{also}, but was given {given!r}."
        )
    return tuple(found)
