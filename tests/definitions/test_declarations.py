"""Declarations: what cannot work is refused where it is declared or opened, by an error of Motion's own, and not row by row;
and what a parameter's type says of None is understood in every form in which people write it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, make_dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional, Union

import numpy as np
import pytest

import motion
from motion.definitions.triggers.specs import Options
from tests.conftest import OpenStore

if TYPE_CHECKING:
    import somewhere  # type: ignore[import-not-found]
    from somewhere import Remark


@dataclass
class Note:
    id: int
    text: str
    lang: str
    out: str
    size: int
    facts: dict[str, int]


def upper(text: str) -> str:
    return text.upper()


def opened(open_store: OpenStore, function: Any, **options: Any) -> motion.Store:
    marked = motion.trigger(**{"on": "note.text", "sets": "note.out", **options})(function)
    return open_store(schemas={"note": Note}, triggers=[marked])


def keyword_only(*, text: str) -> str:
    return text


def own_output(text: str, out: str) -> str:
    return text + out


def with_default(text: str, lang: str = "en") -> str:
    return text + lang


def two_texts(text: str) -> Iterator[tuple[str, str]]:
    yield text, text


def numbers(text: str) -> Iterator[int]:
    yield len(text)


async def is_wanted(row: Any) -> bool:
    return False


class Shop:
    def upper(self, text: str) -> str:
        return text.upper()

    def __call__(self, text: str) -> str:
        return text.upper()


@pytest.mark.parametrize(
    ("function", "options", "why"),
    [
        (keyword_only, {}, "'text' is keyword-only"),
        (own_output, {}, "takes out, which it sets"),
        (with_default, {}, "default 'en'.*never be used"),
        (two_texts, {"sets": ("note.out", "note.lang")}, "one key of type str"),
        (numbers, {"sets": "note.size"}, "one key of type str"),
        (Shop().upper, {}, "marks a function"),
        (len, {}, "marks a function"),
        (Shop(), {}, "no name"),
        (functools.partial(upper), {}, "no name"),
        (upper, {"timeout": float("inf")}, "timeout is at most"),
        (upper, {"timeout": float("nan")}, "timeout must be at least 0"),
        (upper, {"timeout": 1e12}, "timeout is at most"),
        (upper, {"batch_wait": float("inf"), "batch": 2}, "batch_wait is at most"),
        (upper, {"discard_after": float("nan")}, "discard_after must be"),
        (upper, {"timeout": True}, "timeout is a number of seconds"),
        (upper, {"batch": 2.5}, "batch is an int"),
        (upper, {"batch": True}, "batch is an int"),
        (upper, {"concurrency": 1.5}, "concurrency is an int"),
        (upper, {"retries": 0.5}, "retries is an int"),
        (upper, {"discard_beyond": 10.0}, "discard_beyond is an int"),
        (upper, {"priority": float("inf")}, "priority= takes"),
        (upper, {"priority": 2**40}, "priority= takes"),
        (upper, {"priority": "facts"}, "priority='facts'"),
        (upper, {"priority": "lang"}, "priority='lang'"),
        (upper, {"name": "a\0b"}, "name= takes"),
        (upper, {"name": ""}, "name= takes"),
        (upper, {"name": "\ud83d"}, "name= takes"),
        (upper, {"when": is_wanted}, "when= takes"),
        (upper, {"when": lambda: True}, "when= takes"),
        (upper, {"sets": ("note.out", "note.out")}, "names a key twice"),
        (upper, {"on": ("note.text", "note.text")}, "names a key twice"),
    ],
)
def test_what_cannot_run_is_refused_before_any_row(
    open_store: OpenStore, function: Any, options: dict[str, Any], why: str
) -> None:
    with pytest.raises(motion.TriggerError, match=why):
        opened(open_store, function, **options)


def test_a_trigger_runs_on_a_hundred_keys_at_most(open_store: OpenStore) -> None:
    names = [f"k{i}" for i in range(101)]
    wide = make_dataclass("Wide", [("id", int), *((name, int) for name in names), ("out", int)])

    def on(count: int) -> Any:
        @motion.trigger(on=[f"wide.{name}" for name in names[:count]], sets="wide.out")
        def total(row: Any) -> int:
            return sum(getattr(row, name) for name in names)

        return total

    with pytest.raises(motion.TriggerError, match="at most 100"):
        open_store(schemas={"wide": wide}, triggers=[on(101)])
    store = open_store(schemas={"wide": wide}, triggers=[on(100)])
    values: dict[str, Any] = dict.fromkeys(names, 1)
    assert store.set("wide", id=1, **values).wait().rows()[0].out == 101
    store.set("wide", id=1, k0=2).wait()
    assert store.get("wide", 1).out == 102


@dataclass
class A:
    x: int


@dataclass
class B:
    y: int


class Custom:
    pass


@pytest.mark.parametrize(
    "kind",
    [
        list[A | B],
        list[np.ndarray],
        dict[str, Custom],
        list[complex],
        make_dataclass("Holder", [("inner", Custom)]),
        list[Annotated[np.ndarray, motion.Vector(3)]],
        timedelta,
        set,
        str | int,
        tuple[int, int],
    ],
    ids=str,
)
def test_a_type_that_has_no_stored_form_is_refused(open_store: OpenStore, kind: Any) -> None:
    with pytest.raises(motion.SchemaError, match="cannot be stored"):
        open_store(schemas={"t": make_dataclass("T", [("id", int), ("x", kind)])})


# -- what a type says of None --


def plain(text: str, lang: str | None) -> str:
    return f"{text}/{lang}"


def checker_only(text: str, lang: Remark | None) -> str:
    return f"{text}/{lang}"


def checker_only_optional(text: str, lang: Optional[Remark]) -> str:  # noqa: UP045 - what is tested
    return f"{text}/{lang}"


def checker_only_union(text: str, lang: Union[Remark, str, None]) -> str:  # noqa: UP007 - what is tested
    return f"{text}/{lang}"


def in_a_module(text: str, lang: Annotated[somewhere.Remark | None, "of people"]) -> str:
    return f"{text}/{lang}"


def two_kinds(text: str, lang: str | int | None) -> str:
    return f"{text}/{lang}"


def literal(text: str, lang: Literal["en", None]) -> str:
    return f"{text}/{lang}"


def quoted(text: str, lang: Optional["Remark"]) -> str:  # noqa: UP037, UP045 - what is tested
    return f"{text}/{lang}"


def default_none(text: str, lang: str = None) -> str:  # type: ignore[assignment]  # noqa: RUF013
    return f"{text}/{lang}"


@pytest.mark.parametrize(
    "function",
    [plain, checker_only, checker_only_optional, checker_only_union, in_a_module, two_kinds, literal, quoted,
     default_none],
)  # fmt: skip
def test_a_parameter_whose_type_has_none_may_be_unset(
    open_store: OpenStore, function: Callable[..., str]
) -> None:
    store = opened(open_store, function)
    assert store.set("note", id=1, text="a").wait().rows()[0].out == "a/None"
    store.set("note", id=2, text="a", lang="en").wait()
    assert store.get("note", 2).out == "a/en"


def in_lists(text: list[str], lang: list[str | None]) -> list[str]:
    return [f"{one}/{other}" for one, other in zip(text, lang, strict=True)]


def in_sequences(text: Sequence[str], lang: Annotated[Sequence[Remark | None], "?"]) -> list[str]:
    return in_lists(list(text), list(lang))


def in_a_list_or_none(text: list[str], lang: list[str] | None) -> list[str]:
    return in_lists(text, list(lang or []))


@pytest.mark.parametrize("function", [in_lists, in_sequences, in_a_list_or_none])
def test_a_parameter_of_a_batch_whose_items_may_be_none_may_be_unset(
    open_store: OpenStore, function: Callable[..., list[str]]
) -> None:
    store = opened(open_store, function, batch=4)
    store.set_many("note", [{"id": 1, "text": "a"}, {"id": 2, "text": "b", "lang": "en"}]).wait()
    assert [row.out for row in store.rows("note")] == ["a/None", "b/en"]


def items_needed(text: list[str | None], lang: list[str]) -> list[str]:
    return in_lists([str(each) for each in text], list(lang))


def test_a_parameter_of_a_batch_whose_items_are_values_is_waited_for(open_store: OpenStore) -> None:
    store = opened(open_store, items_needed, batch=4)
    store.set_many("note", [{"id": 1, "text": "a"}, {"id": 2, "text": "b", "lang": "en"}]).wait()
    assert [row.out for row in store.rows("note")] == [None, "b/en"]


def needed(text: str, lang: Remark) -> str:
    return f"{text}/{lang}"


def a_list_of_none(text: str, lang: list[Remark | None]) -> str:
    return f"{text}/{lang}"


@pytest.mark.parametrize("function", [needed, a_list_of_none])
def test_any_other_parameter_is_waited_for(
    open_store: OpenStore, function: Callable[..., str]
) -> None:
    store = opened(open_store, function)
    store.set("note", id=1, text="a").wait()
    assert store.get("note", 1).out is None


def test_an_object_with_an_async_call_is_awaited(open_store: OpenStore) -> None:
    class Later:
        async def __call__(self, text: str) -> str:
            return text.upper()

    store = opened(open_store, Later(), name="later")
    assert store.set("note", id=1, text="a").wait().rows()[0].out == "A"


def test_each_option_can_be_said_in_a_decorator() -> None:
    said = {
        *inspect.signature(motion.trigger).parameters,
        *inspect.signature(motion.infer).parameters,
    }
    assert {each.name.removesuffix("_s") for each in fields(Options)} <= said


def test_retries_are_a_number_where_they_are_given() -> None:
    with pytest.raises(motion.TriggerError, match="retries is an int, not None"):
        motion.trigger(on="note.text", sets="note.out", retries=None)  # type: ignore[arg-type]


def test_many_ways_through_the_triggers_are_looked_through_once(tmp_path: Path) -> None:
    """Layers of three keys, each made of all three of the layer before, which it only reads but for one: 3 ** 30 ways."""
    layers, width = 30, 3
    names = [f"k{layer}_{place}" for layer in range(layers) for place in range(width)]
    wide = make_dataclass("Wide", [("id", int), *((name, int) for name in names)])
    triggers = []
    for name in names[width:]:
        layer = int(name[1 : name.index("_")])
        given = [f"k{layer - 1}_{place}" for place in range(width)]

        def add(**values: int) -> int:
            return sum(values.values())

        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        parameters = [inspect.Parameter(each, kind, annotation=int) for each in given]
        add.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        on = f"wide.{given[0]}"
        triggers.append(motion.trigger(on=on, sets=f"wide.{name}", name=name, version="1")(add))
    url = f"sqlite:///{tmp_path}"
    with motion.create_store(
        "wide", schemas={"wide": wide}, triggers=triggers, url=url, run=False
    ) as store:
        assert len(store.status().triggers) == len(triggers)
