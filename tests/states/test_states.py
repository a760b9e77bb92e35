"""States: what a component's state may be, and how it is kept so that loading it cannot run code."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections import namedtuple
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import motion
from tests.conftest import OpenStore

ROOT = Path(__file__).parents[2]


@dataclass
class Row:
    id: int
    text: str
    label: str
    answer: str


class Colour(Enum):
    RED = 1
    BLUE = 2


@dataclass(frozen=True, slots=True)
class Vocabulary:
    words: tuple[str, ...]
    weights: np.ndarray[Any, Any]
    colour: Colour = Colour.RED
    further: dict[int, str] = field(default_factory=dict)
    known: frozenset[int] = frozenset()


Span = namedtuple("Span", "low high")


class Net(torch.nn.Module):
    """Two layers that share their weight, a frozen one, and buffers of both kinds."""

    def __init__(self, size: int = 3) -> None:
        super().__init__()
        self.size = size
        self.first = torch.nn.Linear(size, size, bias=False)
        self.second = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Linear(size, size))
        self.second[1].weight = self.first.weight
        self.first.weight.requires_grad_(True)
        self.second[1].bias.requires_grad_(False)
        self.register_buffer("mean", torch.arange(size).float())
        self.register_buffer("passing", torch.ones(2), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x - self.get_buffer("mean")))  # type: ignore[no-any-return]


class Holder(motion.Component):
    """Its state is what was given last; a fit makes the same again, in another process."""

    given: ClassVar[list[Any]] = []

    def __init__(self, *whole: Any) -> None:
        self.given[:] = whole

    def setup(self) -> Any:
        return self.given[0]

    @motion.infer(on="row.text", sets="row.answer")
    def answer(self, state: Any, text: str) -> str:
        return type(state).__name__

    @motion.fit(on="row.label")
    def learn(self, state: Any, rows: list[Row]) -> Any:
        return state


def open_with(open_store: OpenStore, component: motion.Component) -> motion.Store:
    return open_store(schemas={"row": Row}, triggers=[component])


def live(store: motion.Store, component: str = "Holder") -> Any:
    with store.model(component).live() as (state, _):
        return state


def kept(open_store: OpenStore, whole: Any) -> Any:
    """Return a state as it comes back from disk: made by a fit in another process, loaded after reopening."""
    store = open_with(open_store, Holder(whole))
    store.set("row", id=1, label="x")
    store.model("Holder").fit()
    store.wait(timeout=60)
    newest = store.model("Holder").versions()[-1]
    assert (newest.number, newest.status) == (2, "live"), newest.metrics
    store.close()
    return live(open_with(open_store, Holder()))


def error_of(open_store: OpenStore, component: motion.Component) -> str:
    """Return the error of a row whose component's state cannot be kept or loaded."""
    store = open_with(open_store, component)
    store.set("row", id=1, text="a").wait(raise_errors=False)
    (letter,) = store.errors()
    return letter.error


def manifests(folder: Path) -> list[Any]:
    connection = sqlite3.connect(folder / "store.sqlite")
    found = connection.execute("SELECT manifest FROM motion_states").fetchall()
    connection.close()
    return [json.loads(row[0]) for row in found]


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8"))
    | st.binary() | st.builds(np.float32, st.integers(-9, 9)) | st.sampled_from(Colour),
    lambda inner: st.lists(inner, max_size=3)
    | st.tuples(inner, inner)
    | st.dictionaries(st.text(max_size=3) | st.integers() | st.just("$array"), inner, max_size=3)
    | st.builds(Span, inner, inner),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(whole=plain)
def test_plain_data_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, whole: Any
) -> None:
    folder = f"sqlite:///{tmp_path_factory.mktemp('plain')}"
    options: dict[str, Any] = {"url": folder, "durability": "normal"}
    Holder([whole])
    for _ in range(2):
        component = Holder(*Holder.given)
        with motion.create_store(
            "plain", schemas={"row": Row}, triggers=[component], **options
        ) as store:
            found = live(store)
    assert (found, repr(found)) == ([whole], repr([whole]))


def test_dataclasses_come_back_with_all_that_they_hold(open_store: OpenStore) -> None:
    whole = Vocabulary(
        ("a", "b"), np.arange(3, dtype=np.int16), Colour.BLUE, {7: "seven"}, frozenset({4, -4})
    )
    found = kept(open_store, whole)
    assert type(found) is Vocabulary
    assert (found.words, found.colour, found.further, found.known) == (
        ("a", "b"),
        Colour.BLUE,
        {7: "seven"},
        frozenset({4, -4}),
    )
    assert (found.weights.tolist(), found.weights.dtype) == ([0, 1, 2], np.int16)


def test_a_dict_of_numpy_arrays_comes_back_with_dtypes_and_shapes(open_store: OpenStore) -> None:
    whole: dict[str, Any] = {
        "w": np.ones((2, 3), np.float16),
        "b": np.array(7, np.int64),
        "mask": np.array([True]),
    }
    found = kept(open_store, whole)
    assert {name: (a.dtype, a.shape, a.tolist()) for name, a in found.items()} == {
        name: (a.dtype, a.shape, a.tolist()) for name, a in whole.items()
    }


def test_a_torch_module_comes_back_from_safetensors_with_its_ties(
    open_store: OpenStore, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    net = Net().eval()
    found = kept(open_store, {"net": net, "epoch": 3})["net"]
    x = torch.randn(5, 3)
    assert torch.equal(found(x), net(x))
    assert found.second[1].weight is found.first.weight
    assert [(n, p.requires_grad) for n, p in found.named_parameters()] == [
        (n, p.requires_grad) for n, p in net.named_parameters()
    ]
    assert (found.training, found.size, sorted(found.state_dict())) == (False, 3, sorted(net.state_dict()))  # fmt: skip
    states = (tmp_path / "shop.motion" / "states").iterdir()
    assert {file.suffix for file in states} == {".safetensors"}


def test_tensors_that_share_memory_or_lie_scattered_are_kept(open_store: OpenStore) -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    found = kept(open_store, [whole, whole.T, whole[1], torch.nn.Parameter(whole)])
    assert [each.tolist() for each in found] == [
        whole.tolist(), whole.T.tolist(), whole[1].tolist(), whole.tolist(),
    ]  # fmt: skip


def test_a_scikit_learn_estimator_comes_back_by_skops(open_store: OpenStore) -> None:
    x = np.array([[0.0], [1.0], [2.0], [3.0]])
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, [0, 0, 1, 1])
    found = kept(open_store, {"model": model, "classes": ["no", "yes"]})
    assert np.array_equal(found["model"].predict_proba(x), model.predict_proba(x))


def test_an_estimator_that_holds_a_users_code_is_refused_with_its_name(
    open_store: OpenStore,
) -> None:
    error = error_of(open_store, Holder(make_pipeline(FunctionTransformer(manifests))))
    assert "Pipeline that holds tests.states.test_states.manifests at state" in error
    assert "pickle=True" in error


def test_a_class_made_inside_a_function_is_refused_with_its_name(open_store: OpenStore) -> None:
    @dataclass
    class Hidden:
        x: int = 1

    assert "Hidden, a class made inside a function" in error_of(open_store, Holder([Hidden()]))


def test_a_module_with_hooks_is_refused(open_store: OpenStore) -> None:
    net = Net()
    net.first.register_forward_hook(print)
    assert "Linear with hooks at state.first" in error_of(open_store, Holder(net))


# -- what a folder that somebody else wrote to may do --


def tampered(folder: Path, old: str, new: str) -> None:
    connection = sqlite3.connect(folder / "store.sqlite")
    connection.execute("UPDATE motion_states SET manifest = replace(manifest, ?, ?)", (old, new))
    connection.commit()
    connection.close()


def test_loading_a_state_imports_nothing_that_its_manifest_names(
    open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_with(open_store, Holder(Span(1, 2)))
    store.set("row", id=1, text="a").wait()
    store.close()
    tampered(tmp_path / "shop.motion", "tests.states.test_states:Span", "antigravity:Span")
    store = open_with(open_store, Holder())
    with pytest.raises(motion.StateError, match="module antigravity, which is not there"):
        live(store)
    assert "antigravity" not in sys.modules


def test_a_manifest_cannot_make_an_object_of_any_class(
    open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_with(open_store, Holder(Vocabulary((), np.zeros(1))))
    store.set("row", id=1, text="a").wait()
    store.close()
    tampered(tmp_path / "shop.motion", "tests.states.test_states:Vocabulary", "subprocess:Popen")
    with pytest.raises(motion.StateError, match="subprocess:Popen, which is no dataclass"):
        live(open_with(open_store, Holder()))


def test_a_state_kept_by_pickle_is_not_loaded_by_a_component_that_does_not_ask_for_it(
    open_store: OpenStore,
) -> None:
    with pytest.warns(UserWarning, match="can run code in every process"):

        class Pickled(motion.Component, pickle=True):
            def setup(self) -> Any:
                return {"function": len}

            @motion.infer(on="row.text", sets="row.answer")
            def answer(self, state: Any, text: str) -> str:
                return str(state["function"](text))

    store = open_with(open_store, Pickled())
    store.set("row", id=1, text="abc").wait()
    store.close()
    store = open_with(open_store, Pickled())
    store.set("row", id=2, text="abcd").wait()
    assert [row.answer for row in store.rows("row")] == ["3", "4"]
    store.close()
    Pickled.by_pickle = False
    with pytest.raises(motion.StateError, match="kept by pickle"):
        live(open_with(open_store, Pickled()), "Pickled")


@pytest.mark.parametrize(
    ("package", "whole", "extra"),
    [("torch", "torch.ones(2)", "torch"), ("skops.io", "StandardScaler()", "sklearn")],
)
def test_a_state_whose_library_is_missing_says_what_to_install(
    tmp_path: Path, package: str, whole: str, extra: str
) -> None:
    script = f"""
import sys
import motion
from dataclasses import dataclass

@dataclass
class Row:
    id: int
    label: str

class Holder(motion.Component):
    def setup(self):
        import torch
        from sklearn.preprocessing import StandardScaler
        return {whole}

    @motion.fit(on="row.label")
    def learn(self, state): ...

for installed in (True, False):
    if not installed:
        for name in [name for name in sys.modules if name.startswith(("torch", "safetensors.torch", "skops"))]:
            del sys.modules[name]
        sys.modules["{package}"] = None
    with motion.create_store("s", schemas={{"row": Row}}, triggers=[Holder()], url="sqlite:///" + sys.argv[1]) as store:
        try:
            with store.model("Holder").live():
                print("loaded")
        except motion.MissingPackage as exc:
            print(exc)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "s")],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    loaded, error = done.stdout.splitlines() or ["", done.stderr]
    assert loaded == "loaded"
    assert f"pip install 'motion-ml[{extra}]'" in error


def test_a_dataclass_that_gained_a_field_with_a_default_is_loaded(
    open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_with(open_store, Holder(Vocabulary(("a",), np.zeros(1))))
    store.set("row", id=1, text="a").wait()
    store.close()
    tampered(tmp_path / "shop.motion", ',"further":{"$dict":{}}', "")
    assert live(open_with(open_store, Holder())).further == {}


def test_a_dataclass_that_lost_a_field_is_an_error_with_advice(
    open_store: OpenStore, tmp_path: Path
) -> None:
    store = open_with(open_store, Holder(Vocabulary(("a",), np.zeros(1))))
    store.set("row", id=1, text="a").wait()
    store.close()
    tampered(tmp_path / "shop.motion", '"further":', '"former":')
    with pytest.raises(motion.StateError, match=r"load\(self, saved\)"):
        live(open_with(open_store, Holder()))
