"""Kinds of states: each part comes back as it was, of the same type, or is refused with the path to it."""

from __future__ import annotations

import collections
import io
import json
import sqlite3
import subprocess
import sys
import types
import zipfile
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, Flag
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn import (
    calibration,
    cluster,
    compose,
    ensemble,
    feature_extraction,
    feature_selection,
    gaussian_process,
    impute,
    linear_model,
    naive_bayes,
    neighbors,
    neural_network,
    pipeline,
    preprocessing,
    svm,
    tree,
)

import motion
from tests.conftest import OpenStore

ROOT = Path(__file__).parents[2]


@dataclass
class Row:
    id: int
    text: str
    label: str
    answer: str


class Parts(Flag):
    TITLE = 1
    BODY = 2


class Colour(Enum):
    RED = 1


@dataclass
class Scaled:
    """A dataclass with what is no field of it: an attribute, and a property that is kept once it is known."""

    scale: float

    def __post_init__(self) -> None:
        self.offset = 1.0

    @cached_property
    def table(self) -> object:
        return object()


@dataclass
class Tagged(dict[str, int]):
    tag: str = ""


class Twice(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dtype, self.device, self.activation = torch.float16, torch.device("cpu"), torch.tanh


class Holder(motion.Component):
    """Its state is what `make` gives; a fit answers with what `learned` gives."""

    make: ClassVar[Callable[[], Any]]
    learned: ClassVar[Callable[[], Any] | None] = None

    def __init__(self, further: int = 0) -> None:
        self.further = further

    def setup(self) -> Any:
        return type(self).make() if self.further >= 0 else None

    @motion.infer(on="row.text", sets="row.answer")
    def answer(self, state: Any, text: str) -> str:
        return type(state).__name__

    @motion.fit(on="row.label")
    def learn(self, state: Any, rows: list[Row]) -> Any:
        return rows[0].label


def opened(open_store: OpenStore, component: motion.Component) -> motion.Store:
    return open_store(schemas={"row": Row}, triggers=[component])


def live(store: motion.Store, component: str = "Holder") -> Any:
    with store.model(component).live() as (state, _):
        return state


def kept(open_store: OpenStore, make: Callable[[], Any]) -> Any:
    """Return a state as it comes back from disk."""
    Holder.make = staticmethod(make)
    store = opened(open_store, Holder())
    live(store)
    store.close()
    return live(opened(open_store, Holder()))


def refusal(open_store: OpenStore, make: Callable[[], Any]) -> str:
    Holder.make = staticmethod(make)
    with pytest.raises(motion.StateError) as caught:
        live(opened(open_store, Holder()))
    assert opened(open_store, Holder()).model("Holder").versions() == []
    return str(caught.value)


# -- plain data and arrays --

names = st.text(st.sampled_from('ab.[]0#$"'), min_size=1, max_size=4)
nested = st.recursive(
    st.integers(0, 9).map(lambda n: np.full(2, n, np.int16)) | st.binary(max_size=2),
    lambda inner: st.dictionaries(names, inner, max_size=4) | st.lists(inner, max_size=3),
    max_leaves=9,
)


def shown(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: shown(each) for key, each in value.items()}
    if isinstance(value, list):
        return [shown(each) for each in value]
    return (type(value).__name__, value.tolist() if isinstance(value, np.ndarray) else value)


@settings(max_examples=15, deadline=None)
@given(whole=nested)
@example(whole={"a": {"b": np.zeros(2)}, "a.b": np.ones(2), "a.b#2": np.full(2, 2.0)})
@example(whole={"a": [b"0"], "a[0]": b"1"})
def test_keys_that_look_alike_do_not_replace_one_another(
    tmp_path_factory: pytest.TempPathFactory, whole: Any
) -> None:
    Holder.make = staticmethod(lambda: [whole])
    url = f"sqlite:///{tmp_path_factory.mktemp('alike')}"
    with motion.create_store(
        "alike", schemas={"row": Row}, triggers=[Holder()], url=url, durability="normal"
    ) as store:
        assert shown(live(store)) == shown([whole])


def containers() -> dict[str, Any]:
    return {
        "counter": Counter({"a": 2, 7: -1}),
        "by class": defaultdict(Counter, {"spam": Counter(a=1)}),
        "ordered": OrderedDict(b=1, a=2),
        "last": deque([1, 2], maxlen=2),
        "bytes": bytearray(b"ab"),
        "complex": complex(1, float("inf")),
        "half": ["\ud83d", {"\udc00": 1}],
        "flags": Parts.TITLE | Parts.BODY,
        "no flag": Parts(0),
        "size": torch.Size([2, 3]),
        "nested": frozenset([frozenset(["x", "y"]), "z"]),
    }


def test_containers_come_back_as_what_they_were(open_store: OpenStore) -> None:
    found, whole = kept(open_store, containers), containers()
    assert found == whole
    assert {key: type(each) for key, each in found.items()} == {
        key: type(each) for key, each in whole.items()
    }
    found["by class"]["ham"]["b"] += 1  # it goes on making what it made
    assert (found["by class"]["ham"], found["last"].maxlen) == (Counter(b=1), 2)


def test_the_versions_in_a_state_dict_of_torch_come_back(open_store: OpenStore) -> None:
    found = kept(open_store, torch.nn.BatchNorm1d(2).state_dict)
    assert type(found) is OrderedDict
    assert found._metadata == torch.nn.BatchNorm1d(2).state_dict()._metadata  # type: ignore[attr-defined]


def test_a_dataclass_comes_back_with_what_is_no_field_and_without_what_is_made_again(
    open_store: OpenStore,
) -> None:
    def make() -> Scaled:
        made = Scaled(2.0)
        made.offset = 3.0
        assert made.table
        return made

    assert vars(kept(open_store, make)) == {"scale": 2.0, "offset": 3.0}


ARRAYS: tuple[np.ndarray[Any, Any], ...] = (
    np.array(["ab", "ü"]),
    np.array([b"x", b"yz"]),
    np.array(["2026-01-01", "NaT"], "M8[D]"),
    np.array([3, 4], "m8[ms]"),
    np.array([1.5, 2.5], ">f4"),
    np.array([1.5], np.longdouble),
    np.array([1 + 2j], np.complex128),
    np.array([(1, 2.0, [3, 4])], np.dtype([("a", "i1"), ("b", "<f8"), ("c", "<i2", (2,))], align=True)),
    np.arange(6, dtype=np.uint16).reshape(2, 3).T,
)  # fmt: skip


def test_arrays_of_every_dtype_come_back_as_they_were(open_store: OpenStore) -> None:
    found = kept(open_store, lambda: [*ARRAYS, ARRAYS[0][0], ARRAYS[2][0]])
    for whole, back in zip(ARRAYS, found, strict=False):
        assert (back.dtype, back.shape, str(back)) == (whole.dtype, whole.shape, str(whole))
    assert (found[-2], type(found[-2]), found[-1]) == ("ab", np.str_, np.datetime64("2026-01-01"))


def test_a_masked_array_comes_back_with_its_mask(open_store: OpenStore) -> None:
    def make() -> Any:
        ratings = np.ma.masked_array([1.0, -999.0, 3.0], mask=[False, True, False], fill_value=-1)
        return [ratings, np.ma.masked_array([[1, 2]])]

    ratings, whole = kept(open_store, make)
    assert (ratings.mean(), ratings.mask.tolist(), ratings.filled().tolist()) == (
        2.0, [False, True, False], [1.0, -1.0, 3.0],
    )  # fmt: skip
    assert (type(whole), whole.mask, whole.tolist()) == (type(ratings), np.False_, [[1, 2]])


def test_an_array_that_two_parts_share_is_one_when_it_comes_back(open_store: OpenStore) -> None:
    shared = np.ones(2)
    found = kept(open_store, lambda: {"a": shared, "b": [shared]})
    assert found["a"] is found["b"][0]


def self_holding() -> list[Any]:
    held: list[Any] = []
    held.append(held)
    return held


def point() -> dict[str, Any]:
    Point = collections.namedtuple("Point", "x")  # its class is in no module under this name
    return {"a": Point(1)}


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "memmap": (lambda: {"a": [np.memmap("/dev/zero", np.uint8, "r", shape=(2,))]}, "memmap at state.a[0]"),
    "matrix": (lambda: {"a": np.ones((1, 1)).view(np.matrix)}, "matrix at state.a"),
    "recarray": (lambda: [np.rec.array([(1, 2)], dtype=[("a", "i1"), ("b", "i1")])], r"recarray at state[0]"),
    "objects": (lambda: {"a": np.array([{}])}, "ndarray of object at state.a"),
    "proxy": (lambda: {"a": types.MappingProxyType({})}, "mappingproxy at state.a"),
    "keys": (lambda: {"a": {}.keys()}, "dict_keys at state.a"),
    "a dict of its own kind": (lambda: {"a": collections.UserDict(a=1)}, "UserDict at state.a"),
    "a dataclass that is a dict": (lambda: {"a": Tagged()}, "Tagged, which holds more than its fields, at state.a"),
    "a factory": (lambda: {"a": defaultdict(lambda: 7)}, "defaultdict that makes its values by"),
    "a class of another name": (point, "is not to be found as"),
    "itself": (self_holding, "holds itself"),
    "sparse": (lambda: {"a": torch.eye(2).to_sparse()}, "Tensor of layout torch.sparse_coo at state.a"),
    "history": (lambda: {"a": torch.ones(1, requires_grad=True) * 2}, "detach() it) at state.a"),
    "complex": (lambda: {"a": torch.ones(1, dtype=torch.complex128)}, "Tensor of torch.complex128 at state.a"),
    "lazy": (lambda: {"a": torch.nn.LazyLinear(2)}, "LazyLinear with hooks at state.a"),
    "iterator": (lambda: {"a": iter(range(3))}, "range_iterator at state.a"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_come_back_as_something_else_is_refused_with_the_path_to_it(
    open_store: OpenStore, name: str
) -> None:
    make, said = REFUSED[name]
    assert said in refusal(open_store, make)


# -- torch --


def test_tensors_come_back_as_parameters_leaves_and_values(open_store: OpenStore) -> None:
    def make() -> dict[str, Any]:
        weight = torch.nn.Parameter(torch.zeros(1))
        return {
            "w": weight,
            "tied": weight,
            "frozen": torch.nn.Parameter(torch.ones(1), requires_grad=False),
            "b": torch.zeros(1, requires_grad=True),
            "lazy": torch.tensor([1 + 2j]).conj(),
            "negative": torch.tensor([1 + 2j]).conj().imag,
            "wide": torch.ones(1).expand(3),
        }

    found, whole = kept(open_store, make), make()
    assert {k: (type(v), v.requires_grad, v.tolist()) for k, v in found.items()} == {
        k: (type(v), v.requires_grad, v.tolist()) for k, v in whole.items()
    }
    assert found["w"] is found["tied"]
    (found["w"] * 2 + found["b"]).sum().backward()
    assert (found["w"].grad.tolist(), found["b"].grad.tolist()) == ([2.0], [1.0])


def modules() -> list[Any]:
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(4, 2, 8, activation="gelu", batch_first=True)
    return [
        torch.nn.LSTM(4, 3, 2, bidirectional=True),
        torch.nn.GRU(4, 3),
        torch.nn.RNN(4, 3, nonlinearity="relu"),
        torch.nn.GRUCell(4, 3),
        layer,
        torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False),
        torch.nn.Sequential(torch.nn.Conv1d(2, 2, 1), torch.nn.BatchNorm1d(2), torch.nn.PReLU()),
    ]


def test_the_usual_torch_modules_come_back_and_go_on_learning(open_store: OpenStore) -> None:
    x = torch.randn(3, 2, 4)
    for whole, found in zip(modules(), kept(open_store, modules), strict=True):
        given = x[:, 0] if isinstance(whole, torch.nn.GRUCell) else x
        expected, given_back = whole.eval()(given), found.eval()(given)
        first = [each[0] if isinstance(each, tuple) else each for each in (expected, given_back)]
        assert torch.equal(*first), whole
        found.train()(given)[0].sum().backward()
        assert all(each.grad is not None for each in found.parameters()), whole
        found.load_state_dict(whole.state_dict())


def test_a_module_keeps_its_dtype_device_and_activation(open_store: OpenStore) -> None:
    found = kept(open_store, Twice)
    assert (found.dtype, found.device, found.activation) == (
        torch.float16, torch.device("cpu"), torch.tanh,
    )  # fmt: skip


# -- estimators --

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(40, 3)), np.array([0, 1] * 20)
TEXTS = np.array(["good coat", "bad hat", "good hat", "bad coat"] * 10)


def estimators() -> dict[str, Any]:
    few: dict[str, Any] = {"random_state": 0}
    logistic = linear_model.LogisticRegression
    return {
        "tree": tree.DecisionTreeClassifier(**few).fit(X, Y),
        "regression tree": tree.DecisionTreeRegressor(max_leaf_nodes=5, **few).fit(X, Y),
        "forest": ensemble.RandomForestClassifier(3, **few).fit(X, Y),
        "extra trees": ensemble.ExtraTreesRegressor(3, **few).fit(X, Y),
        "boosting": ensemble.GradientBoostingClassifier(n_estimators=3, **few).fit(X, Y),
        "histograms": ensemble.HistGradientBoostingClassifier(max_iter=3, **few).fit(X, Y),
        "ada": ensemble.AdaBoostClassifier(n_estimators=3, **few).fit(X, Y),
        "isolation": ensemble.IsolationForest(n_estimators=3, **few).fit(X),
        "knn": neighbors.KNeighborsClassifier(algorithm="kd_tree").fit(X, Y),
        "ball": neighbors.NearestNeighbors(algorithm="ball_tree", metric="manhattan").fit(X),
        "radius": neighbors.RadiusNeighborsRegressor(9.0).fit(X, Y * 1.0),
        "mlp": neural_network.MLPClassifier(max_iter=3, early_stopping=False, **few),
        "sgd": linear_model.SGDClassifier(**few).fit(X, Y),
        "svc": svm.SVC().fit(X, Y),
        "bayes": naive_bayes.GaussianNB().fit(X, Y),
        "gauss": gaussian_process.GaussianProcessRegressor(**few).fit(X, Y),
        "calibrated": calibration.CalibratedClassifierCV(logistic(), cv=2).fit(X, Y),
        "voting": ensemble.VotingClassifier([("a", logistic())]).fit(X, Y),
        "stacking": ensemble.StackingClassifier([("a", logistic())], cv=2).fit(X, Y),
        "select": pipeline.make_pipeline(feature_selection.SelectKBest(k=2), logistic()).fit(X, Y),
        "columns": pipeline.make_pipeline(
            compose.ColumnTransformer([("s", preprocessing.StandardScaler(), [0, 1])]), logistic()
        ).fit(X, Y),
        "impute": pipeline.make_pipeline(impute.SimpleImputer(), logistic()).fit(X, Y),
        "kmeans": cluster.KMeans(2, n_init=1, **few).fit(X),
        "tfidf": pipeline.make_pipeline(
            feature_extraction.text.TfidfVectorizer(stop_words=["the", "a"]), logistic()
        ).fit(TEXTS, Y),
    }


def test_the_usual_estimators_come_back_and_answer_alike(open_store: OpenStore) -> None:
    whole = estimators()
    whole["mlp"].partial_fit(X, Y, classes=[0, 1])
    found = kept(open_store, lambda: whole)
    for name, model in whole.items():
        given = TEXTS if name == "tfidf" else X
        method = "predict" if hasattr(model, "predict") else "kneighbors"
        expected, answer = getattr(model, method)(given), getattr(found[name], method)(given)
        assert np.array_equal(np.asarray(expected), np.asarray(answer)), name
    assert found["mlp"].partial_fit(X, Y).t_ > whole["mlp"].t_  # it goes on learning where it was


class Forest(Holder):
    def setup(self) -> Any:
        words = {f"word {i}" for i in range(50)}
        model = ensemble.RandomForestClassifier(3, random_state=0).fit(X, Y)
        return {"model": model, "words": words}


def test_a_setup_that_gives_an_equal_estimator_offers_nothing_new(open_store: OpenStore) -> None:
    for further in range(3):
        store = opened(open_store, Forest(further))  # another argument: `setup` is asked again
        live(store, "Forest")
        store.wait(timeout=60)
        assert [each.number for each in store.model("Forest").versions()] == [1]
        store.close()


def test_equal_states_have_equal_files_in_every_process(tmp_path: Path) -> None:
    script = """
import sys
import motion
from dataclasses import dataclass
from sklearn.feature_extraction.text import TfidfVectorizer

@dataclass
class Row:
    id: int

class Holder(motion.Component):
    def setup(self):
        words = frozenset(f"word {i}" for i in range(50))
        return {words, frozenset([words])}, TfidfVectorizer(vocabulary={"a", "b", "c"}).fit(["a b"])

with motion.create_store("s", schemas={"row": Row}, triggers=[Holder()], url=":memory:") as store:
    with store.model("Holder").live(): pass
    print(store.sql("select manifest from motion_states").to_pylist()[0]["manifest"])
"""
    made = [
        subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT / "src")},
        ).stdout
        for seed in ("1", "2")
    ]  # fmt: skip
    assert made[0] == made[1]


def test_an_estimator_whose_trees_lead_out_of_themselves_is_not_loaded(
    open_store: OpenStore, tmp_path: Path
) -> None:
    Holder.make = staticmethod(lambda: tree.DecisionTreeClassifier().fit(X, Y))
    store = opened(open_store, Holder())
    live(store)
    store.close()
    folder = tmp_path / "shop.motion"
    with sqlite3.connect(folder / "store.sqlite") as connection:
        ((manifest,),) = connection.execute("SELECT manifest FROM motion_states")
        name = json.loads(manifest)["tree"]["$estimator"]
        content = with_wrong_children((folder / "states" / name).read_bytes())
        other = f"{sha256(content).hexdigest()}.skops"
        (folder / "states" / other).write_bytes(content)
        connection.execute("UPDATE motion_states SET manifest = replace(manifest, ?, ?)", (name, other))  # fmt: skip
    connection.close()
    with pytest.raises(motion.StateError, match="damaged Tree: its indices lead out of it"):
        live(opened(open_store, Holder()))


def with_wrong_children(skops: bytes) -> bytes:
    source, target = zipfile.ZipFile(io.BytesIO(skops)), io.BytesIO()
    with zipfile.ZipFile(target, "w") as file:
        for name in source.namelist():
            content = source.read(name)
            array: Any = np.load(io.BytesIO(content)) if name.endswith(".npy") else np.zeros(0)
            if array.dtype.names and "left_child" in array.dtype.names:
                array["left_child"][0] = 10**9
                held = io.BytesIO()
                np.save(held, array)
                content = held.getvalue()
            file.writestr(name, content)
    return target.getvalue()


# -- what cannot be read back, and what changed since --


class Unreadable(Holder):
    """What its fit gives can be written, and not read."""

    def setup(self) -> Any:
        return "first"

    def load(self, saved: Any) -> Any:
        if saved == "broken":
            raise KeyError("weights")
        return saved


def test_a_state_that_cannot_be_read_back_is_a_failed_fit(open_store: OpenStore) -> None:
    store = opened(open_store, Unreadable())
    store.set("row", id=1, text="a", label="broken").wait()
    store.model("Unreadable").fit()
    store.wait(timeout=60)
    first, second = store.model("Unreadable").versions()
    assert (first.status, second.status) == ("live", "failed")
    assert "cannot be loaded again: KeyError: 'weights'" in second.metrics["reason"]
    store.set("row", id=1, label="whole")
    store.model("Unreadable").fit()
    store.wait(timeout=60)
    assert live(store, "Unreadable") == "whole"


def test_a_first_state_that_cannot_be_read_back_is_no_version(open_store: OpenStore) -> None:
    class Broken(Unreadable):
        def setup(self) -> Any:
            return "broken"

    store = opened(open_store, Broken())
    with pytest.raises(motion.StateError, match="cannot be loaded again"):
        live(store, "Broken")
    assert store.model("Broken").versions() == []


SCRIPT = """
import collections, sys
from dataclasses import dataclass
from enum import Enum
import motion

class Kind(Enum):
    OLD = 1

@dataclass
class Weights:
    w: float
    kind: Kind = Kind.OLD

@dataclass
class Row:
    id: int
    x: float
    y: float

class Model(motion.Component):
    def setup(self):
        return Weights(2.0)

    @motion.infer(on="row.x", sets="row.y", executor="process")
    def go(self, state: Weights, x: float) -> float:
        assert type(state) is Weights and state.kind is Kind.OLD
        return state.w * x

    @motion.fit(on="row.y")
    def learn(self, state, rows):
        if rows[0].y < 0:
            return collections.namedtuple("Point", "x y")(1, 2)
        return [Weights(state.w + 1), {"more": Weights(0.0)}][0]

if __name__ == "__main__":
    with motion.create_store("s", schemas={"row": Row}, triggers=[Model()], url=":memory:") as store:
        for i in (1, 2):
            print(store.set("row", id=i, x=3.0).wait(timeout=60).rows()[0].y)
            store.model("Model").fit()
            store.wait(timeout=60)
        store.set("row", id=9, y=-1.0)
        store.model("Model").fit()
        store.wait(timeout=60)
        print(store.model("Model").versions()[-1].metrics["reason"])
"""


def test_a_scripts_own_classes_are_found_in_the_processes_of_its_triggers(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "script.py"], capture_output=True, text=True, check=False, cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    first, second, reason = done.stdout.splitlines() or ["", "", done.stderr]
    assert (first, second) == ("6.0", "9.0")
    assert "holds a Point of module __main__, which is not there" in reason


def test_what_no_class_fits_any_more_is_given_to_load_as_a_dict(
    open_store: OpenStore, tmp_path: Path
) -> None:
    class Loading(Holder):
        def load(self, saved: Any) -> Any:
            return saved

    Loading.make = staticmethod(lambda: {"fit": Scaled(2.0), "gone": [Scaled(3.0), Colour.RED]})
    store = opened(open_store, Loading())
    live(store, "Loading")
    store.close()
    with sqlite3.connect(tmp_path / "shop.motion" / "store.sqlite") as connection:
        for old, new in (('"scale":2.0', '"scale":2.0,"old":7'), ("Scaled\",\"fields\":{\"scale\":3", "Gone\",\"fields\":{\"scale\":3"), ("RED", "PINK")):  # fmt: skip
            connection.execute("UPDATE motion_states SET manifest = replace(manifest, ?, ?)", (old, new))  # fmt: skip
    connection.close()
    assert live(opened(open_store, Loading()), "Loading") == {
        "fit": {"scale": 2.0, "old": 7, "offset": 1.0},
        "gone": [{"scale": 3.0, "offset": 1.0}, "PINK"],
    }
