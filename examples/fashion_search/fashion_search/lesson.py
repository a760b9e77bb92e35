"""A lesson: one fit of the heads' weights and of their tags, in PyTorch. Nothing else of this package needs it for the heads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from fashion_search.trunks import leave_half_the_cores

if TYPE_CHECKING:
    from fashion_search.heads import Progress, Recipe

FloatArray = NDArray[np.float32]
AlsoRight = Callable[[NDArray[np.int64]], NDArray[np.bool_]]

_FIXED = ("mean", "scale")
_SHARP = 25.0  # how quickly texts cease to be alike


def learned(
    weights: Mapping[str, FloatArray],
    pictures: NDArray[Any],
    texts: NDArray[Any],
    words_dim: int,
    recipe: Recipe,
    counts: FloatArray | None,
    also_right: AlsoRight | None,
    on_progress: Progress | None,
) -> dict[str, FloatArray]:
    """Return new weights, learned by CLIP's contrastive loss within each batch."""
    leave_half_the_cores()
    torch.manual_seed(recipe.seed)
    w = {name: torch.tensor(array) for name, array in weights.items()}
    moving = [each.requires_grad_() for name, each in w.items() if not name.endswith(_FIXED)]
    scale = torch.tensor(np.log(20.0), dtype=torch.float32, requires_grad=True)
    optimiser = torch.optim.AdamW(
        [*moving, scale], lr=recipe.rate, betas=(0.9, 0.98), weight_decay=0.05
    )
    also_right = also_right or _same_text(texts)
    words = F.normalize(torch.from_numpy(np.asarray(texts[:, :words_dim], np.float32)), dim=-1)
    each = torch.ones(len(pictures)) if counts is None else torch.from_numpy(counts)
    size = min(recipe.batch, len(pictures))
    steps = recipe.epochs * -(-len(pictures) // size)
    batches = _batches(len(pictures), size, np.random.default_rng(recipe.seed))
    for step in range(1, steps + 1):
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate * _speed(step, steps)
        chosen = next(batches)
        seen = _through(w, "picture", pictures[chosen], recipe.drop)
        said = _through(w, "text", texts[chosen], recipe.drop)
        loss = _contrast(
            said,
            seen,
            scale.clamp(max=4.0).exp(),
            _right(also_right(chosen), words[chosen], recipe.soft),
            each[chosen],
        )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        if on_progress is not None:
            on_progress(step, steps, float(loss.detach()))
    return {name: tensor.detach().numpy() for name, tensor in w.items()}


def told(
    weights: Mapping[str, FloatArray],
    pictures: NDArray[Any],
    texts: NDArray[Any],
    has: FloatArray,
    recipe: Recipe,
    counts: FloatArray | None,
) -> dict[str, FloatArray]:
    """Return new weights of tags, which have learned what words each pair has, of its picture and of its text alone."""
    torch.manual_seed(recipe.seed)
    w = {name: torch.tensor(array) for name, array in weights.items()}
    moving = {name: each.requires_grad_() for name, each in w.items() if not name.endswith(_FIXED)}
    groups = [
        {"params": [each for name, each in moving.items() if name.startswith(side)], "lr": rate, "most": rate}
        for side, rate in (("picture", 1.5 * recipe.rate), ("text", 4 * recipe.rate))
    ]  # fmt: skip
    optimiser = torch.optim.AdamW(groups, weight_decay=0.05)
    each = torch.ones(len(pictures)) if counts is None else torch.from_numpy(counts)
    right = torch.from_numpy(has)
    size = min(recipe.batch, len(pictures))
    steps = recipe.epochs * -(-len(pictures) // size)
    batches = _batches(len(pictures), size, np.random.default_rng(recipe.seed))
    for step in range(1, steps + 1):
        for group in optimiser.param_groups:
            group["lr"] = group["most"] * _speed(step, steps)
        chosen = next(batches)
        missed = torch.zeros(size)
        for side, features in (("picture", pictures), ("text", texts)):
            likely = _tagged(w, side, features[chosen], recipe.drop)
            missed = missed + F.binary_cross_entropy_with_logits(likely, right[chosen], reduction="none").sum(1)  # fmt: skip
        loss = (missed * each[chosen]).sum() / each[chosen].sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    return {name: tensor.detach().numpy() for name, tensor in w.items()}


def _speed(step: int, steps: int) -> float:
    """Return the share of the peak rate: it rises for a tenth of the steps, then falls to nothing."""
    return float(min(10 * step / steps, 0.5 * (1 + np.cos(np.pi * (step - 1) / steps))))


def _tagged(w: Mapping[str, Tensor], side: str, features: NDArray[Any], drop: float) -> Tensor:
    x = torch.from_numpy(np.asarray(features, np.float32))
    x = F.dropout((x - w[f"{side}.mean"]) * w[f"{side}.scale"], drop / 2)
    hidden = F.dropout(F.relu(x @ w[f"{side}.in"] + w[f"{side}.in_bias"]), drop)
    return hidden @ w[f"{side}.out"] + w[f"{side}.out_bias"]


def _through(w: Mapping[str, Tensor], side: str, features: NDArray[Any], drop: float) -> Tensor:
    x = torch.from_numpy(np.asarray(features, np.float32))
    x = F.dropout((x - w[f"{side}.mean"]) * w[f"{side}.scale"], drop / 2)
    hidden = F.dropout(F.relu(x @ w[f"{side}.in"] + w[f"{side}.in_bias"]), drop)
    return F.normalize(x @ w[f"{side}.skip"] + hidden @ w[f"{side}.out"], dim=-1)


@dataclass(frozen=True)
class _Right:
    """What of a batch is right: the shares of each row's answers, and which pairs are left out of the question."""

    shares: Tensor
    left_out: Tensor


def _right(fits: NDArray[np.bool_], words: Tensor, soft: float) -> _Right:
    """Return the right answers: each row's own, and to the share `soft` whatever is described much alike.

    A black t-shirt of another brand is no wrong answer to "black t-shirt"; that texts are alike is known before any fit.
    """
    own = torch.eye(len(fits))
    left_out = torch.from_numpy(fits) & ~own.bool()
    alike = (_SHARP * words @ words.T).masked_fill(left_out, -1e4).softmax(dim=1)
    return _Right((1 - soft) * own + soft * alike, left_out)


def _contrast(said: Tensor, seen: Tensor, scale: Tensor, right: _Right, counts: Tensor) -> Tensor:
    """Return CLIP's loss, of row i of one with row i of the other, with shares of the right answers."""
    logits = (scale * said @ seen.T).masked_fill(right.left_out, -1e4)
    both = F.cross_entropy(logits, right.shares, reduction="none")
    both = both + F.cross_entropy(logits.T, right.shares, reduction="none")
    return (both * counts).sum() / (2 * counts.sum())


def _same_text(texts: NDArray[Any]) -> AlsoRight:
    _, number = np.unique(np.asarray(texts), axis=0, return_inverse=True)
    number = number.ravel()

    def same(chosen: NDArray[np.int64]) -> NDArray[np.bool_]:
        return np.asarray(number[chosen][:, None] == number[chosen][None])

    return same


def _batches(count: int, size: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    while True:
        order = rng.permutation(count)
        order = np.concatenate(
            [order, order[: -count % size]]
        )  # the last batch is filled from the first
        yield from order.reshape(-1, size)
