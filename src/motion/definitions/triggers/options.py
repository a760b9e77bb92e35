"""Options: what stands beside an option in its record. What a value of it may be is checked where it is declared, what it does
not go with where it is held against the tables.

The record itself, with each option and its checks, is `Options` in `specs`.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal, ParamSpec, TypeVar

from motion.definitions.values.plain import LARGEST_COUNT, is_number
from motion.errors import MissingPackage, TriggerError, shortened

P = ParamSpec("P")

R = TypeVar("R")

LONGEST_S = 10 * 365 * 86_400

LONGEST_WORD = 100

WORD = re.compile(rf"[^\s,]{{1,{LONGEST_WORD}}}")

Refresh = Literal["never", "before", "after"]

REFRESHES: tuple[Refresh, ...] = ("never", "before", "after")

OnChange = Literal["backfill"]

Once = bool | Literal["at_most"]

Place = Literal["thread", "process", "ray"]

PLACES: tuple[Place, ...] = ("thread", "process", "ray")

AWAY: frozenset[Place | None] = frozenset({"process", "ray"})
"""The places outside of the store's process."""


@dataclass(frozen=True)
class Resources:
    """What one run of a trigger takes of the machine, or of Ray's cluster: runs that together take more wait for each other.

    Args:
        cpus: processor cores. A run that asks for more than there are runs alone.
        gpus: graphics processors; a share of one may be asked for.
    """

    cpus: float = 1
    gpus: float = 0

    def __post_init__(self) -> None:
        for name, value in (("cpus", self.cpus), ("gpus", self.gpus)):
            if not (is_number(value) and value >= 0):
                raise TriggerError(
                    f"motion.Resources takes {name}= as a number of at least 0, not {shortened(value)}."
                )


NOTHING = Resources(cpus=0)


@dataclass(frozen=True)
class Value:
    """What an option's value may be: `read(field, value)` returns it as it is kept, or raises `TriggerError`."""

    read: Callable[[str, Any], Any]


@dataclass(frozen=True)
class Refusal:
    """What a field of a spec does not go with, where it says anything: not None, False or empty; and why not."""

    holds: Callable[[Any], Any]
    reason: str | Callable[[Any], str]

    def check(self, spec: Any) -> None:
        if self.holds(spec):
            reason = self.reason if isinstance(self.reason, str) else self.reason(spec)
            raise TriggerError(f"trigger {spec.name!r}: {reason}")


def option(*checks: Value | Refusal) -> Mapping[str, Any]:
    """Return the metadata of a field with these checks."""
    return {"checks": checks}


def _checks_of(field: dataclasses.Field[Any]) -> Sequence[Value | Refusal]:
    found: Sequence[Value | Refusal] = field.metadata.get("checks", ())
    return found


def read_options(record: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was given for the fields of a record as they keep it, or raise `TriggerError`. A field that is kept in
    seconds has that in its name, and its option has not."""
    fields = {field.name.removesuffix("_s"): field for field in dataclasses.fields(record)}
    found = {}
    for option, value in given.items():
        field = fields[option]
        reads = [each.read for each in _checks_of(field) if isinstance(each, Value)]
        for read in reads if value is not field.default else ():
            value = read(field.name, value)
        found[field.name] = value
    return found


def check_refusals(spec: Any) -> None:
    """Refuse a spec some of whose options do not go with what else it is. A field that a subclass narrows keeps its checks."""
    records = [each for each in reversed(type(spec).__mro__) if dataclasses.is_dataclass(each)]
    found = (
        (f.name, c) for each in records for f in dataclasses.fields(each) for c in _checks_of(f)
    )
    for name, check in dict.fromkeys(found):
        value = getattr(spec, name)
        is_given = value is not None and value is not False and value != ()
        if isinstance(check, Refusal) and is_given:
            check.check(spec)


def of_kind(expected: str, is_right: Callable[[Any], bool]) -> Value:
    """What is right by a question; `expected` says so in words, in which `{value}` is what was given."""

    def read(field: str, value: Any) -> Any:
        if not is_right(value):
            raise TriggerError(
                f"{field}= takes {expected.format(value=shortened(value))}, but was given {shortened(value)}."
            )
        return plain_str(value) if isinstance(value, str) else value

    return Value(read)


def number(*, least: int, is_above: bool = False) -> Value:
    """A count, or a time in seconds, which has that in its field's name.

    Args:
        is_above: whether it must be above `least`.
    """

    def read(field: str, value: Any) -> Any:
        check_number(field, value, least)
        if is_above and value == least:
            name = field.removesuffix("_s")
            raise TriggerError(
                f"a trigger's {name} must be above {least} s, not {shortened(value)}; None is without end."
            )
        return float(value) if isinstance(value, float) else int(value)  # and no subclass of these

    return Value(read)


def check_number(field: str, value: Any, least: int) -> None:
    """Check an option that counts something, or takes seconds: those have a unit in their name."""
    name, is_time = field.removesuffix("_s"), field.endswith("_s")
    kinds = int | float if is_time else int
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise TriggerError(
            f"a trigger's {name} is {'a number of seconds' if is_time else 'an int'}, not {shortened(value)}."
        )
    if not value >= least:  # NaN is not
        raise TriggerError(f"a trigger's {name} must be at least {least}, not {shortened(value)}.")
    if value > (LONGEST_S if is_time else LARGEST_COUNT):
        most = f"{LONGEST_S} s" if is_time else LARGEST_COUNT
        raise TriggerError(
            f"a trigger's {name} is at most {most}, not {shortened(value)}; leave it out for no limit."
        )


def plain_str(value: str) -> str:
    """Return a str itself where a subclass was given, as NumPy and enums have one: what is kept of it is read again as a str."""
    return str.__str__(value)


def is_one_of(*allowed: object) -> Callable[[Any], bool]:
    """Return the question whether something is one of the values, and not only equal to it, as 1 is to True."""
    return lambda given: any(given is each for each in allowed)


def is_word_of(*allowed: str) -> Callable[[Any], bool]:
    return lambda given: isinstance(given, str) and given in allowed


def is_priority(given: Any) -> bool:
    return isinstance(given, str) or (type(given) is int and abs(given) < 2**31)


def one_place(field: str, value: Any) -> Any:
    """Check the name of a place where code may run."""
    if not is_word_of(*PLACES)(value):
        raise TriggerError(
            f"{field}={shortened(value)} is unknown; allowed are {', '.join(PLACES)}."
        )
    if value == "ray":
        check_ray(f"{field}='ray'")
    return plain_str(value)


def check_ray(what: str) -> None:
    """Refuse what needs Ray where it is not installed. It is looked for, and not loaded: that takes a second."""
    if find_spec("ray") is None:
        raise MissingPackage(what, "ray", "ray")


def some_resources(field: str, value: Any) -> Any:
    if not isinstance(value, Resources):
        raise TriggerError(f"{field}= takes motion.Resources(cpus=1), not {shortened(value)}.")
    return value


def words_needed(field: str, value: Any) -> tuple[str, ...]:
    """Return one word, or several, in their order and each once."""
    given = [value] if isinstance(value, str) else value
    is_right = isinstance(given, list | tuple | set | frozenset) and all(map(is_word, given))
    if not is_right:
        raise TriggerError(
            f"{field}= takes a word such as 'gpu' or 'region:eu', without spaces and commas and at most {LONGEST_WORD} letters "
            f"long, or a list of them; not {shortened(value)}."
        )
    return tuple(sorted({plain_str(word) for word in given}))


def is_word(value: object) -> bool:
    """Whether something can be what a trigger needs and a worker has."""
    return isinstance(value, str) and WORD.fullmatch(value) is not None


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


NAME = "a str of 1 to 200 printable characters"
"""What a trigger may be called."""


def is_name(name: object) -> bool:
    return isinstance(name, str) and name.isprintable() and 0 < len(name) <= 200


def is_text(given: object) -> bool:
    """Whether something is a str that can be written down."""
    return isinstance(given, str) and not re.search("[\ud800-\udfff]", given)


def check_trigger_name(name: str) -> None:
    """Refuse what no trigger can be called."""
    if not is_name(name):
        raise TriggerError(f"a trigger's name is {NAME}, not {shortened(name)}.")


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


def paths(option: str, given: str | Sequence[str]) -> tuple[str, ...]:
    """Return the keys that an option names."""
    found = (given,) if isinstance(given, str) else given
    if not isinstance(found, list | tuple) or not all(isinstance(path, str) for path in found):
        also = ", a schedule, motion.deleted(...) or motion.after(...)" if option == "on" else ""
        raise TriggerError(
            f"{option}= takes a key, such as 'query.query', or several in a tuple{also}, but was given {shortened(given)}."
        )
    return tuple(map(plain_str, found))
