"""Options of odd types: refused where they are declared, or kept so that whoever opens the store later reads them again.

Values that are equal to what is meant and of another type are the ones that pass unseen: 1 for True, a share of NumPy's, an
enum that is a str."""

from __future__ import annotations

import enum
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, make_dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest

import motion


class Text(str):
    pass


class Named(enum.StrEnum):
    WORD = "word"


class Numbered(enum.IntEnum):
    THREE = 3


class Delta(timedelta):
    pass


@dataclass
class Piece:
    """Equal to others, so that it has no hash."""

    id: int = 1


class Silent:
    """Answers no question about itself."""

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        raise RuntimeError("it has no words")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("it is like nothing")

    def __bool__(self) -> bool:
        raise RuntimeError("it is neither")


class Model(motion.Component):
    def setup(self) -> int:
        return 1


ODD: list[Any] = [
    Piece, Piece(), Silent, Silent(), object(), len, lambda row: True, Model, Model(), Any, list[int], motion, {"word"}, [[]], [None],
    {"order": Piece()}, {"order": None}, {1: Piece}, "\ud800", "\0", "", "order", "x" * 5_000, complex(1, 2), range(2), ...,
    True, False, 0, 1, 3, 1.0, 2.5, 2**53, 2**64, 2**70, -1, float("nan"), float("inf"),
    np.int64(2), np.float64(1.5), np.float32(1), np.bool_(True), np.str_("word"), Numbered.THREE, Text("word"), Named.WORD,
    "word", b"word", (), ("word",), ["word"], {"word": 1}, np.array([1, 2]), timedelta(seconds=3), Delta(seconds=3), timedelta.max, None,
]  # fmt: skip


@dataclass
class Order:
    id: int
    ts: int
    text: str
    shown: str
    label: int


@dataclass
class Person:
    id: int
    total: int


def trigger(**options: Any) -> Any:
    if "once" in options:

        def act(text: str) -> None: ...

        return motion.trigger(**{"on": "order.text"} | options)(act)

    if "batch" in options:

        def each(text: list[str]) -> list[str]:
            return text

        return motion.trigger(**{"on": "order.text", "sets": "order.shown"} | options)(each)

    def show(text: str) -> str:
        return text

    return motion.trigger(**{"on": "order.text", "sets": "order.shown"} | options)(show)


def on_event(event: Callable[..., Any], **options: Any) -> Any:
    def act(store: motion.View) -> None: ...

    return motion.trigger(on=event(**options))(act)


def after(**options: Any) -> Any:
    def act(id: int) -> None: ...

    return motion.trigger(on=motion.after("order.ts", **options))(act)


def fold(**options: Any) -> Any:
    def total(total: int | None, label: int) -> int:
        return label

    given = {"on": "order.label", "by": "order.id", "sets": "person.total"}
    return motion.fold(**given | options)(total)


def fit(**options: Any) -> Any:
    class Scorer(motion.Component):
        def setup(self) -> int:
            return 1

        @motion.infer(on="order.text", sets="order.shown")
        def show(self, state: int, text: str) -> str:
            return text

        @motion.fit(**{"on": "order.label"} | options)
        def learn(self, state: int, rows: list[Any]) -> int:
            return 2

        def evaluate(self, state: int, rows: list[Any]) -> dict[str, float]:
            return {}

    return Scorer()


def infer(**options: Any) -> Any:
    class Shower(motion.Component):
        def setup(self) -> int:
            return 1

        @motion.infer(**{"on": "order.text", "sets": "order.shown"} | options)
        def show(self, state: int, text: str) -> str:
            return text

    return Shower()


def window(**options: Any) -> Any:
    held = motion.Window(**{"key": "order.label", "by": "label"} | options)

    def show(text: str, held: Any) -> str:
        return text

    show.__annotations__["held"] = Annotated[list[int], held]
    return motion.trigger(on="order.text", sets="order.shown")(show)


def lookup(**options: Any) -> Any:
    def show(text: str, held: Any) -> str:
        return text

    found = motion.Lookup(**{"key": "person.total", "by": "label"} | options)
    show.__annotations__["held"] = Annotated[int | None, found]
    return motion.trigger(on="order.text", sets="order.shown")(show)


def taking(**options: Any) -> Any:
    return trigger(resources=motion.Resources(**options), executor="process")


def table(**annotations: Any) -> type:
    return make_dataclass("Other", [("id", int), *annotations.items()])


def store(**arguments: Any) -> None:
    usual: dict[str, Any] = {
        "name": "odd_store",
        "schemas": {"order": Order},
        "url": ":memory:",
        "run": False,
    }
    motion.create_store(**usual | arguments).close()


def schema(**given: Any) -> None:
    """Open a store with a schema that is odd itself, or in one of its parts."""
    if "table" not in given and any(isinstance(each, Silent) for each in given.values()):
        return  # `dataclass` itself asks for its words
    odd = given.get("table", table(k=given.get("type", str)))
    if "beside" in given:
        odd = table(k=Annotated[str, given["beside"]])
    if "factory" in given:
        made = field(default_factory=lambda: given["factory"])
        odd = make_dataclass("Other", [("id", int), ("k", str, made)])
    store(schemas={"other": odd})


def one_trigger(**given: Any) -> None:
    store(triggers=[given["trigger"]])


def declared(**given: Any) -> None:
    for mark in (
        motion.trigger(on="order.text", sets="order.shown"), motion.infer(on="order.text", sets="order.shown"),
        motion.fit(on="order.label"), motion.fold(on="order.label", by="order.id", sets="person.total"),
    ):  # fmt: skip
        try:
            store(triggers=[mark(given["function"])])
        except motion.MotionError:
            continue


def vector(**options: Any) -> None:
    made = motion.Vector(**{"dim": 2} | options)
    store(schemas={"other": table(v=Annotated[np.ndarray, made])})


def key(**options: Any) -> None:
    store(schemas={"other": table(part_page=int, k=Annotated[int, motion.Key(**options)])})


def ref(**options: Any) -> None:
    made = motion.Ref(**{"table": "other"} | options)
    store(schemas={"other": table(k=Annotated[int, made])})


def cron(**options: Any) -> Any:
    return on_event(motion.cron, **{"expression": "* * * * *"} | options)


def deleted(**options: Any) -> Any:
    return on_event(motion.deleted, **options)


OPENED: dict[Callable[..., Any], str] = {
    store: "name schemas triggers url durability run queue_limit has", schema: "table type beside factory",
    one_trigger: "trigger", declared: "function", vector: "dim metric index", key: "page level", ref: "table delete",
}  # fmt: skip
"""What opens a store with the odd value itself."""

OPTIONS: dict[Callable[..., Any], str] = {
    cron: "expression tz",
    deleted: "table",
    trigger: "on sets page name batch retries discard_after discard_beyond timeout concurrency priority version inline on_change "
    "rate batch_wait memo isolated follow once serial_by executor resources needs",
    infer: "refresh memo on_change",
    fold: "on by sets order gather replay name retries timeout concurrency priority version on_change rate executor needs",
    fit: "on every rows holdout promote gate_on timeout seen_by",
    window: "key by within rows agg itself order where",
    lookup: "key by follow to",
    taking: "cpus gpus",
    after: "seconds minutes hours days",
}


@pytest.mark.parametrize(
    ("made", "option"), [(made, each) for made, names in OPTIONS.items() for each in names.split()]
)
def test_an_option_of_an_odd_type_is_refused_or_kept_as_it_is(
    tmp_path: Path, made: Callable[..., Any], option: str
) -> None:
    for place, value in enumerate(ODD):
        check(tmp_path / str(place), partial(made, **{option: value}))


@pytest.mark.parametrize(
    ("opened", "option"),
    [(opened, each) for opened, names in OPENED.items() for each in names.split()],
)
def test_what_is_odd_in_a_schema_or_in_opening_a_store_is_refused_or_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Callable[..., Any], option: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for value in ODD:
        with suppress(motion.MotionError):
            opened(**{option: value})


def test_what_the_environment_says_wrong_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for given in ("two", "-1", "1.5", "", "9" * 5_000):
        monkeypatch.setenv("MOTION_GPUS", given)
        with pytest.raises(motion.InvalidArgument, match="MOTION_GPUS takes a number of graphics"):
            store()


@pytest.mark.parametrize("unit", ["seconds", "minutes", "hours", "days"])
def test_a_schedule_of_an_odd_number_is_refused_or_kept_as_it_is(tmp_path: Path, unit: str) -> None:
    for place, value in enumerate(ODD):
        check(tmp_path / str(place), partial(on_event, motion.every, **{unit: value}))


def check(folder: Path, declared: Callable[[], Any]) -> None:
    """Open a store with a trigger, unless it is refused, and again with code as it should be, and without any."""
    try:
        opened(folder, [declared()])
    except motion.MotionError:
        return
    opened(folder, [declared()])
    opened(folder, None)


def opened(folder: Path, triggers: list[Any] | None) -> None:
    schemas = {"order": Order, "person": Person}
    url = f"sqlite:///{folder}"
    with motion.create_store(
        "odd", schemas=schemas, triggers=triggers, url=url, run=False
    ) as store:
        store.status()
