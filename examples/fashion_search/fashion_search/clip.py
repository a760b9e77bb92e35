"""CLIP as a value: pictures and words in, unit vectors out.

`Clip` wraps transformers' `CLIPModel` and `CLIPProcessor`, from the Hugging Face hub, from a folder, or from the small
model that comes with this package (`EMBEDDED`). It knows nothing of stores, rows or queries, and learns nothing: what is
learned stands on its vectors (`heads`).
"""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional as F
from transformers import CLIPModel, CLIPProcessor
from transformers.utils import logging as transformers_logging

from fashion_search.pictures import Picture, opened, padded

FloatArray: TypeAlias = NDArray[np.float32]

EMBEDDED = Path(__file__).parent / "weights" / "clip"
_BATCH = 64


class ModelNotFound(ValueError):
    """No CLIP model could be read from the folder or the hub name that was asked for."""

    def __init__(self, name: str, tried: str, reason: str) -> None:
        super().__init__(name, tried, reason)
        self.name, self.tried, self.reason = name, tried, reason

    def __str__(self) -> str:
        return (
            f"there is no CLIP model at {self.name!r}: tried {self.tried}, which failed with: {self.reason}. Pass a folder that "
            "holds config.json, model.safetensors and the tokenizer, or a name on the Hugging Face hub while online, or pass "
            "nothing to use the model that comes with the package."
        )


@dataclass(frozen=True, slots=True)
class _Pixels:
    """How pictures become the model's input: what the image processor is configured to do, done in batches.

    Equal to the processor's own output for a square picture (a test holds it to that), and several times as quick,
    because rescaling and normalising happen once a batch.
    """

    side: int
    resample: Image.Resampling
    mean: torch.Tensor
    std: torch.Tensor

    @classmethod
    def of(cls, processor: Any) -> Self | None:
        """Return None if the processor is configured to do anything out of the ordinary."""
        size, crop = dict(processor.size), dict(processor.crop_size or {})
        side = size.get("shortest_edge", size.get("height"))
        square = size.get("shortest_edge") == side or size.get("width") == side
        whole = not processor.do_center_crop or (
            crop.get("height") == side and crop.get("width") == side
        )
        usual = (
            processor.do_resize
            and processor.do_rescale
            and processor.do_normalize
            and abs(processor.rescale_factor * 255 - 1) < 1e-6
        )
        if not (side and square and whole and usual):
            return None
        mean, std = (
            torch.tensor(v, dtype=torch.float32).view(1, 3, 1, 1)
            for v in (processor.image_mean, processor.image_std)
        )
        return cls(side, Image.Resampling(processor.resample), mean, std)

    def shrunk(self, image: Image.Image) -> NDArray[np.uint8]:
        square = padded(image)
        if square.width != self.side:
            square = square.resize((self.side, self.side), self.resample)
        return np.asarray(square)

    def tensor(self, shrunk: NDArray[np.uint8]) -> torch.Tensor:
        """Return float32 `(n, 3, side, side)` from uint8 `(n, side, side, 3)`."""
        x = torch.from_numpy(shrunk).permute(0, 3, 1, 2).float().div_(255)
        return x.sub_(self.mean).div_(self.std)


@dataclass(eq=False)
class Clip:
    """A CLIP model with its processor. Encoding never changes it, and may be called from several threads at once."""

    model: CLIPModel
    processor: CLIPProcessor
    _tokenizing: threading.Lock = field(
        default_factory=threading.Lock, repr=False
    )  # fast tokenizers cannot be shared

    def __post_init__(self) -> None:
        self.model.eval()
        self._pixels = _Pixels.of(self.processor.image_processor)

    @property
    def dim(self) -> int:
        """Return the length of every vector."""
        return int(self.model.config.projection_dim)

    # --- where it comes from and where it goes

    @classmethod
    def load(cls, name_or_path: str | os.PathLike[str] = EMBEDDED) -> "Clip":
        """Return the CLIP model of a folder, or of a name on the Hugging Face hub such as `openai/clip-vit-base-patch32`.

        Raises:
            ModelNotFound: the folder is missing or incomplete, or the hub does not have it or cannot be reached.
        """
        name, here = os.fspath(name_or_path), Path(name_or_path).is_dir()
        tried = "the folder" if here else "the Hugging Face hub and its local cache"
        if not here and (
            name.startswith(("/", ".", "~"))
            or name.count("/") > 1
            or isinstance(name_or_path, os.PathLike)
        ):
            raise ModelNotFound(name, "the folder", "it does not exist")
        try:
            with _no_progress_bar():
                model = CLIPModel.from_pretrained(name, dtype=torch.float32, local_files_only=here)
                processor = CLIPProcessor.from_pretrained(name, local_files_only=here)
        except (
            OSError,
            ValueError,
            KeyError,
            ImportError,
        ) as exc:  # all that transformers raises for a bad or absent model
            reason = (str(exc).strip().splitlines() or [type(exc).__name__])[0].rstrip(". ")
            raise ModelNotFound(name, tried, reason) from exc
        return cls(model, processor)

    # --- inference

    def encode_images(self, images: Sequence[Picture]) -> FloatArray:
        """Return one unit vector for each picture, float32 `(len(images), dim)`.

        Pictures are padded to a white square, not cropped.

        Raises:
            UnreadableImage: a picture cannot be decoded; its `index` says which.
        """
        found = [np.zeros((0, self.dim), np.float32)]
        for start in range(0, len(images), _BATCH):
            shown = [
                opened(image, start + i) for i, image in enumerate(images[start : start + _BATCH])
            ]
            with torch.inference_mode():
                found.append(self._image_vectors(self.pixels(shown)).numpy())
        return np.concatenate(found)

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        """Return one unit vector for each text, float32 `(len(texts), dim)`; what is too long for the model is cut off."""
        order = sorted(
            range(len(texts)), key=lambda i: len(texts[i])
        )  # texts of one length waste no padding
        found = np.zeros((len(texts), self.dim), np.float32)
        for start in range(0, len(texts), _BATCH):
            chosen = order[start : start + _BATCH]
            with torch.inference_mode():
                found[chosen] = self._text_vectors([texts[i] for i in chosen]).numpy()
        return found

    def encode_text(self, text: str) -> FloatArray:
        """Return the unit vector of one text, float32 `(dim,)`."""
        return np.asarray(self.encode_texts([text])[0])

    def pixels(self, shown: Sequence[Image.Image]) -> torch.Tensor:
        """Return the model's input for RGB pictures, float32 `(n, 3, side, side)`: padded, resized, normalised."""
        if self._pixels is not None:
            return self._pixels.tensor(np.stack([self._pixels.shrunk(image) for image in shown]))
        made = self.processor.image_processor(
            [padded(image) for image in shown], return_tensors="pt"
        )
        return torch.as_tensor(made["pixel_values"])

    def _image_vectors(self, pixels: torch.Tensor) -> torch.Tensor:
        return F.normalize(self.model.get_image_features(pixel_values=pixels).pooler_output, dim=-1)

    def _tokens(self, texts: Sequence[str]) -> dict[str, torch.Tensor]:
        longest = self.model.config.text_config.max_position_embeddings
        with self._tokenizing:
            return dict(
                self.processor.tokenizer(
                    list(texts),
                    padding=True,
                    truncation=True,
                    max_length=longest,
                    return_tensors="pt",
                )
            )

    def _text_vectors(self, texts: Sequence[str]) -> torch.Tensor:
        return F.normalize(
            self.model.get_text_features(**self._tokens(texts)).pooler_output, dim=-1
        )


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    """Keep transformers from drawing a bar for what takes a tenth of a second."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
