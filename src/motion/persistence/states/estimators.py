"""Estimators: scikit-learn's models in skops files, of which only types that were reviewed are made when one is loaded.

skops trusts by itself what holds no code and no raw indices. `TRUSTED` are the further types that the usual models need.
Those that are plain Python hold numbers and nothing else. Trees and search trees are read by compiled code that does not
look at bounds, so their indices are checked here before anything uses them.
"""

from __future__ import annotations

import io
import itertools
import json
import sys
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from motion.definitions.functions.sources import untangled
from motion.errors import MissingPackage, StateError

TRUSTED = (
    "numpy.dtype",
    "numpy.mean",
    "scipy.interpolate._bsplines.BSpline",
    "sklearn._loss.loss.HalfTweedieLossIdentity",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.cluster._bisect_k_means._BisectingTree",
    "sklearn.cluster._kmeans._kmeans_single_lloyd",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.feature_selection._mutual_info.mutual_info_classif",
    "sklearn.feature_selection._mutual_info.mutual_info_regression",
    "sklearn.feature_selection._univariate_selection.chi2",
    "sklearn.feature_selection._univariate_selection.f_classif",
    "sklearn.feature_selection._univariate_selection.f_regression",
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
    "sklearn.gaussian_process.kernels.ConstantKernel",
    "sklearn.gaussian_process.kernels.DotProduct",
    "sklearn.gaussian_process.kernels.Matern",
    "sklearn.gaussian_process.kernels.Product",
    "sklearn.gaussian_process.kernels.RationalQuadratic",
    "sklearn.gaussian_process.kernels.RBF",
    "sklearn.gaussian_process.kernels.Sum",
    "sklearn.gaussian_process.kernels.WhiteKernel",
    "sklearn.metrics._dist_metrics.ChebyshevDistance64",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.metrics._dist_metrics.HaversineDistance64",
    "sklearn.metrics._dist_metrics.ManhattanDistance64",
    "sklearn.metrics._dist_metrics.MinkowskiDistance64",
    "sklearn.multiclass._ConstantPredictor",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
)

NOT_A_TIME = (1980, 1, 1, 0, 0, 0)
"""Stands in the place of the time at which a part of a file was written: equal estimators have equal files."""


def is_estimator(value: Any) -> bool:
    sklearn: Any = sys.modules.get(
        "sklearn.base"
    )  # what is of scikit-learn can only be here if it is
    return sklearn is not None and isinstance(value, sklearn.BaseEstimator)


def saved(component: str, estimator: Any) -> tuple[bytes, list[str]]:
    """Return an estimator's file, equal for equal ones, and the types that it holds and that nobody has reviewed."""
    skops = _skops(component)
    try:
        content = skops.dumps(estimator)
        unknown = set(skops.get_untrusted_types(data=content)) - set(TRUSTED)
    except Exception as exc:  # noqa: BLE001 - it meets the objects of anybody
        return b"", [f"{type(exc).__name__}: {exc}"]
    return _in_order(content), sorted(unknown)


def loaded(component: str, content: bytes) -> Any:
    """Return the estimator of a file.

    Raises:
        StateError: it holds types that nobody has reviewed, or a tree whose indices lead out of it.
    """
    try:
        skops = _skops(component)
        found = untangled(lambda: skops.loads(content, trusted=list(TRUSTED)))
    except (TypeError, ValueError, KeyError) as exc:
        raise StateError(
            f"the state of {component} holds an estimator that cannot be loaded: {exc}"
        ) from exc
    for part, features in _parts(found, None, set()):
        if not _is_sound(part, features):
            raise StateError(
                f"the state of {component} holds a damaged {type(part).__name__}: its indices lead out of it. Restore it "
                f"from a snapshot."
            )
    return found


def _skops(component: str) -> Any:
    try:
        import skops.io
    except ImportError as exc:
        raise MissingPackage(f"the state of {component}", "skops", "sklearn") from exc
    return skops.io


# -- equal files for equal estimators --


def _in_order(content: bytes) -> bytes:
    """Return a skops file with its parts named by their order. skops names them by their place in memory."""
    source = zipfile.ZipFile(io.BytesIO(content))
    schema = json.loads(source.read("schema.json"))
    names: dict[str, str] = {}
    ids: dict[int, int] = {}
    numbers = itertools.count(1)
    for node in _nodes(schema):
        if (
            "_stop_words_id" in node
        ):  # a place in memory, by which a vectorizer knows what it has checked
            node["_stop_words_id"]["content"] = "0"
        if "__id__" in node:
            known = None if node.get("is_json") else ids.get(node["__id__"])
            ids[node["__id__"]] = node["__id__"] = known or next(numbers)
        if isinstance(node.get("file"), str):
            old = node["file"]
            names.setdefault(old, f"{len(names)}.{old.rpartition('.')[2]}")
            node["file"] = names[old]
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as file:
        for old, new in names.items():
            file.writestr(zipfile.ZipInfo(new, NOT_A_TIME), source.read(old))
        text = json.dumps(schema, separators=(",", ":"))
        file.writestr(zipfile.ZipInfo("schema.json", NOT_A_TIME), text)
    return target.getvalue()


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield all objects of a schema, those of sets in an order that does not depend on the process."""
    if isinstance(tree, dict):
        if tree.get("__class__") in ("set", "frozenset") and isinstance(tree.get("content"), list):
            tree["content"].sort(key=_without_ids)
        yield tree
    for child in (
        tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    ):
        yield from _nodes(child)


def _without_ids(tree: Any) -> str:
    if isinstance(tree, dict):
        return repr([(k, _without_ids(v)) for k, v in tree.items() if k not in ("__id__", "file")])
    return repr([_without_ids(each) for each in tree] if isinstance(tree, list) else tree)


# -- trees whose indices stay inside of them --


def _parts(value: Any, features: int | None, seen: set[int]) -> Iterator[tuple[Any, int | None]]:
    """Yield all objects that an estimator is made of, each with the number of features of the one it belongs to."""
    if id(value) in seen or isinstance(value, str | bytes | int | float | None):
        return
    seen.add(id(value))
    yield value, features
    if isinstance(value, dict):
        inner: Any = value.values()
    elif isinstance(value, list | tuple | set):
        inner = value
    elif isinstance(value, np.ndarray):
        inner = value.flat if value.dtype.hasobject else ()
    else:
        inner = vars(value).values() if hasattr(value, "__dict__") else ()
        features = getattr(value, "n_features_in_", features)
    for each in inner:
        yield from _parts(each, features, seen)


def _is_sound(part: Any, features: int | None) -> bool:
    check = {
        "sklearn.tree._tree.Tree": _is_sound_tree,
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor": _is_sound_predictor,
        "sklearn.neighbors._kd_tree.KDTree": _is_sound_search_tree,
        "sklearn.neighbors._ball_tree.BallTree": _is_sound_search_tree,
    }.get(f"{type(part).__module__}.{type(part).__qualname__}")
    return check is None or check(part, features)


def _is_sound_tree(tree: Any, features: int | None) -> bool:
    left, right = tree.children_left, tree.children_right
    places = np.arange(tree.node_count)
    is_leaf = left == -1
    inner = ~is_leaf
    return bool(
        tree.node_count >= 1
        and tree.n_features == features
        and (right[is_leaf] == -1).all()
        and _lead_down(places[inner], left[inner], right[inner], tree.node_count)
        and ((tree.feature[inner] >= 0) & (tree.feature[inner] < tree.n_features)).all()
    )


def _is_sound_predictor(predictor: Any, features: int | None) -> bool:
    nodes = predictor.nodes
    inner = ~nodes["is_leaf"].astype(bool)
    left, right = nodes["left"][inner].astype(np.int64), nodes["right"][inner].astype(np.int64)
    is_category = inner & nodes["is_categorical"].astype(bool)
    bitsets = min(len(predictor.raw_left_cat_bitsets), len(predictor.binned_left_cat_bitsets))
    feature = nodes["feature_idx"][inner].astype(np.int64)
    return bool(
        len(nodes) >= 1
        and _lead_down(np.flatnonzero(inner), left, right, len(nodes))
        and (feature >= 0).all()
        and features is not None
        and (feature < features).all()
        and (nodes["bitset_idx"][is_category] < bitsets).all()
    )


def _lead_down(places: Any, left: Any, right: Any, count: int) -> bool:
    """Whether children lie behind their parents and inside of the tree: so each way through it ends."""
    children = ((left > places) & (left < count)) & ((right > places) & (right < count))
    return bool(children.all())


def _is_sound_search_tree(tree: Any, features: int | None) -> bool:
    data, places, nodes, bounds = tree.get_arrays()
    count, state = len(data), tree.__getstate__()
    levels, inner_nodes = state[5], state[6]
    return bool(
        data.ndim == 2
        and data.shape[1] == features
        and places.shape == (count,)
        and ((places >= 0) & (places < count)).all()
        and 0 < levels < 63
        and inner_nodes == 2**levels - 1 == len(nodes)
        and bounds.shape[1:] == (len(nodes), data.shape[1])
        and ((nodes["idx_start"] >= 0) & (nodes["idx_start"] <= nodes["idx_end"])).all()
        and (nodes["idx_end"] <= count).all()
        and nodes["is_leaf"][len(nodes) // 2 :].all()
    )
