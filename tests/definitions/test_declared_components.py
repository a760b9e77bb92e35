"""Components as they are declared: their names, what is asked of them at opening, and what is refused there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partialmethod, wraps
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest

import motion
from tests.conftest import OpenStore


@dataclass
class Row:
    id: int
    text: str
    out: str
    other: str
    liked: bool
    vector: Annotated[np.ndarray, motion.Vector(2)]


class Base(motion.Component):
    def setup(self) -> Any:
        return 1

    @motion.infer(on="row.text", sets="row.out")
    def go(self, state: Any, text: str) -> str:
        return f"base {text}"

    @motion.fit(on="row.liked")
    def learn(self, state: Any, rows: list[Row]) -> Any:
        return state + len(rows)


def opened(open_store: OpenStore, *triggers: Any) -> motion.Store:
    return open_store(schemas={"row": Row}, triggers=list(triggers))


def out_of(open_store: OpenStore, component: motion.Component) -> str | None:
    store = opened(open_store, component)
    found = store.set("row", id=1, text="a").wait().rows()[0].out
    store.close()
    return str(found)


def test_opening_a_store_asks_for_no_property_of_a_component(open_store: OpenStore) -> None:
    class Lazy(Base):
        @cached_property
        def tokenizer(self) -> Any:
            raise ConnectionError("no network")

        @property
        def device(self) -> str:
            raise RuntimeError("no GPU")

        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"was asked for {name}")

    assert out_of(open_store, Lazy()) == "base a"


def test_a_method_that_overrides_one_that_is_declared_is_declared_as_it_is(
    open_store: OpenStore,
) -> None:
    class Better(Base):
        def go(self, state: Any, text: str) -> str:
            return "better " + super().go(state, text)

        def learn(self, state: Any, rows: list[Row]) -> Any:
            return state + 100

    class Other(Better):
        @motion.infer(on="row.text", sets="row.other")
        def go(self, state: Any, text: str) -> str:
            return "other"

    class Without(Better):
        go = None  # type: ignore[assignment]

    assert out_of(open_store, Better()) == "better base a"
    store = opened(open_store, Other())
    assert list(store.status().triggers) == ["Other.go"]
    assert store.set("row", id=2, text="a", liked=True).wait().rows()[0].other == "other"
    store.model("Other").fit()
    store.wait(timeout=60)
    with store.model("Other").live() as (state, _):
        assert state == 101
    store.close()
    assert list(opened(open_store, Without()).status().triggers) == []


def test_a_decorated_method_stays_declared(open_store: OpenStore) -> None:
    def loud(function: Any) -> Any:
        @wraps(function)
        def call(*arguments: Any, **named: Any) -> str:
            return str(function(*arguments, **named)).upper()

        return call

    class Loud(Base):
        @loud
        @motion.infer(on="row.text", sets="row.out")
        def go(self, state: Any, text: str) -> str:
            return f"loud {text}"

    assert out_of(open_store, Loud()) == "LOUD A"


@pytest.mark.parametrize(
    "kind", [staticmethod, classmethod, property, cached_property, partialmethod]
)
def test_a_marked_function_that_is_no_method_is_refused_and_not_left_out(
    open_store: OpenStore, kind: Any
) -> None:
    class Static(motion.Component):
        def setup(self) -> Any:
            return 1

        @kind  # type: ignore[untyped-decorator]
        @motion.infer(on="row.text", sets="row.out")
        def go(state: Any, text: str) -> str:  # noqa: N805
            return "static"

    with pytest.raises(motion.TriggerError, match=f"Static.go is a {kind.__name__}"):
        opened(open_store, Static())


def test_a_component_that_would_never_have_a_state_is_refused(open_store: OpenStore) -> None:
    class Never(motion.Component):
        @motion.infer(on="row.text", sets="row.out")
        def go(self, state: Any, text: str) -> str:
            return "x"

    with pytest.raises(motion.TriggerError, match=r"Never.go would never run.*setup\(self\)"):
        opened(open_store, Never())


# -- names --


class Named(motion.Component):
    """Several of its kind may be in one store."""

    def __init__(self, name: str, sets: str) -> None:
        self.name, self.sets = name, sets

    def setup(self) -> Any:
        return self.sets

    @motion.fit(on="row.liked")
    def learn(self, state: Any, rows: list[Row]) -> Any:
        return state + "+"


def test_two_components_of_one_class_have_versions_of_their_own(open_store: OpenStore) -> None:
    store = opened(open_store, Named("first", "a"), Named("second", "b"))
    store.set("row", id=1, liked=True)
    store.model("second").fit()
    store.wait(timeout=60)
    found = {}
    for name in ("first", "second"):
        with store.model(name).live() as (state, _):
            found[name] = state, len(store.model(name).versions())
    assert found == {"first": ("a", 1), "second": ("b+", 2)}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda: [Base(), Base()], r"two components are called 'Base' \(Base and Base\).*name="),
        (lambda: [Named("Base", "a"), Base()], "two components are called 'Base'"),
        (lambda: [Named("no name", "a")], "name is a word of letters"),
        (lambda: [Named("", "a")], "name is a word of letters"),
        (lambda: [Named(7, "a")], "name is a word of letters"),  # type: ignore[arg-type]
    ],
)
def test_a_name_that_is_taken_or_is_none_is_refused(
    open_store: OpenStore, given: Any, said: str
) -> None:
    with pytest.raises(motion.TriggerError, match=said):
        opened(open_store, *given())


def test_which_of_several_states_is_meant_must_be_said(open_store: OpenStore) -> None:
    @motion.trigger(on="row.text", sets="row.out")
    def use(model: Named, text: str) -> str:
        return "x"

    with pytest.raises(motion.TriggerError, match="state of Named, but triggers= has several"):
        opened(open_store, Named("first", "a"), Named("second", "b"), use)


def encoder(class_name: str, **options: Any) -> motion.Component:
    class Encoder(motion.Component, **options):
        def setup(self) -> float:
            return 1.0

        @motion.infer(on="row.text", sets="row.vector")
        def embed(self, state: float, text: str) -> Any:
            return np.array([state, len(text)], np.float32)

    Encoder.__name__ = Encoder.__qualname__ = class_name
    return Encoder()


def test_a_renamed_component_is_told_with_the_way_to_keep_its_versions(
    open_store: OpenStore, caplog: pytest.LogCaptureFixture
) -> None:
    store = opened(open_store, encoder("Encoder"))
    store.set("row", id=1, text="abc").wait()
    store.close()
    assert "is new to this store" not in caplog.text
    opened(open_store, encoder("Embedder")).close()
    assert (
        "component Embedder is new to this store and sets row.vector, as Encoder did" in caplog.text
    )
    assert 'class Embedder(motion.Component, name="Encoder")' in caplog.text
    caplog.clear()
    store = opened(open_store, encoder("Embedder", name="Encoder"))
    assert "is new to this store" not in caplog.text
    assert [hit.id for hit in store.search("row.vector", [1.0, 3.0])] == [1]
    assert [each.number for each in store.model("Encoder").versions()] == [1]


def test_a_component_beside_another_or_of_other_keys_is_not_taken_for_it(
    open_store: OpenStore, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    store = opened(open_store, encoder("Encoder"))
    store.set("row", id=1, text="abc").wait()
    store.close()
    opened(open_store, encoder("Encoder"), Base()).close()
    opened(open_store, Base()).close()
    assert "is new to this store" not in caplog.text
