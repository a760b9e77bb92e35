"""CLIP as a value: pictures and words in, unit vectors out, and a new value from feedback.

`Clip` wraps transformers' `CLIPModel` and `CLIPProcessor`, from the Hugging Face hub, from a folder, or from the small
model that comes with this package (`EMBEDDED`). It knows nothing of stores, rows or queries.
"""

import io
import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPModel, CLIPProcessor
from transformers.utils import logging as transformers_logging

FloatArray: TypeAlias = NDArray[np.float32]
Picture: TypeAlias = bytes | str | os.PathLike[str] | Image.Image
Progress: TypeAlias = Callable[[int, int, float], None]

EMBEDDED = Path(__file__).parent / "weights" / "clip"
FORMAT = 1  # of `Clip.to_saved`
_BATCH = 64
_WHITE = (255, 255, 255)


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


class UnreadableImage(ValueError):
    """A picture could not be decoded. `index` is its place in the list that was passed, 0 for a single one."""

    def __init__(self, reason: str, index: int = 0) -> None:
        super().__init__(reason, index)
        self.reason, self.index = reason, index

    def __str__(self) -> str:
        return f"picture {self.index} cannot be read: {self.reason}. Pass the bytes of a JPEG, PNG, GIF or WebP file, a path, or a PIL image."


class NothingToEncode(ValueError):
    """A product has neither a picture nor a text. `index` is its place in the list that was passed."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index

    def __str__(self) -> str:
        return f"product {self.index} has neither a picture nor a text, so it has no vector. Leave it out, or give it a title."


def open_image(picture: Picture) -> Image.Image:
    """Return the picture decoded, upright, RGB; what is transparent becomes white.

    Raises:
        UnreadableImage: it is empty, cut short, too large, no picture at all, or the file is not there.
    """
    try:
        if isinstance(picture, Image.Image):
            image = picture
        elif isinstance(picture, bytes):
            if not picture:
                raise UnreadableImage("it is empty (0 bytes)")
            image = Image.open(io.BytesIO(picture))
        else:
            image = Image.open(picture)
        return _rgb(ImageOps.exif_transpose(image))
    except UnidentifiedImageError as exc:
        raise UnreadableImage("the data is not in a known picture format") from exc
    except (
        OSError,
        SyntaxError,
        ValueError,
        Image.DecompressionBombError,
    ) as exc:  # what Pillow's decoders raise
        if isinstance(exc, UnreadableImage):
            raise
        raise UnreadableImage(str(exc) or type(exc).__name__) from exc


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        image.load()
        return image
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        return _eight_bits(image).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        clear = image.convert("RGBA")
        ground = Image.new("RGBA", clear.size, (*_WHITE, 255))
        return Image.alpha_composite(ground, clear).convert("RGB")
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return a grey picture of 16 or 32 bits, or of floats, in 8 bits; Pillow's own conversion makes it white or black.

    Black is 0, and white the largest that its kind of picture has: 1 of floats up to there, 255, or 65,535.
    """
    greys = np.nan_to_num(np.asarray(image, np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    largest = float(greys.max(initial=0.0))
    is_float = image.mode == "F"
    white = next(
        (each for each in ((1.0,) if is_float else ()) + (255.0, 65_535.0) if largest <= each),
        largest,
    )
    if image.mode.startswith("I;16"):
        white = 65_535.0
    return Image.fromarray(np.clip(np.rint(greys * (255 / white)), 0, 255).astype(np.uint8))


def padded(image: Image.Image) -> Image.Image:
    """Return the RGB picture centred on a white square of its longer side: nothing of a tall photo is cut off."""
    side = max(image.size)
    if image.size == (side, side):
        return image
    square = Image.new("RGB", (side, side), _WHITE)
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


def product_text(title: str | None, description: str | None) -> str:
    """Return title and description as one text, without saying the same twice; empty if there is neither."""
    head, body = (title or "").strip(), (description or "").strip()
    if not head or body.lower().startswith(head.lower()):
        return body
    return head if not body or head.lower().startswith(body.lower()) else f"{head}. {body}"


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


@dataclass(frozen=True, slots=True)
class Tuning:
    """How `Clip.fine_tune` learns.

    Attributes:
        epochs: passes over the pairs; ignored when `steps` is given.
        steps: optimiser steps.
        rate: peak learning rate of the image tower; it rises for a tenth of the steps, then falls to nothing.
        text_share: the text tower's rate as a share of `rate`. 0 freezes it: every text keeps its vector, and only the
            pictures move.
        batch: pairs a step; more is steadier and slower.
        seed: order of the pairs and mirroring; the same seed on the same machine gives the same weights.

    Measured with the embedded model and 900 photos with their titles: of 700 other photos the type was right (one of
    52) for 36 in 100 instead of 21, after 66 s of one CPU core.
    """

    epochs: int = 6
    steps: int | None = None
    rate: float = 5e-4
    text_share: float = 0.1
    batch: int = 64
    seed: int = 0


@dataclass(eq=False)
class Clip:
    """A CLIP model with its processor. Encoding never changes it, and may be called from several threads at once.

    Attributes:
        image_weight: share of the picture, `0..1`, in the vector of a product that has both a picture and a text.
    """

    model: CLIPModel
    processor: CLIPProcessor
    image_weight: float = 0.25
    _tokenizing: threading.Lock = field(
        default_factory=threading.Lock, repr=False
    )  # fast tokenizers cannot be shared

    def __post_init__(self) -> None:
        self.model.eval()
        self._pixels = _Pixels.of(self.processor.image_processor)

    def __reduce__(self) -> tuple[Callable[[Mapping[str, Any]], "Clip"], tuple[dict[str, Any]]]:
        return Clip.from_saved, (self.to_saved(),)

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

    def to_saved(self) -> dict[str, Any]:
        """Return the whole value as plain data: strings, a number, and `tensors`, a dict of float32 arrays."""
        with tempfile.TemporaryDirectory() as folder:
            with self._tokenizing:
                self.processor.save_pretrained(folder)
            files = {
                file.name: file.read_text(encoding="utf-8")
                for file in sorted(Path(folder).iterdir())
                if file.is_file()
            }
        tensors = {
            name: value.detach().numpy().copy() for name, value in self.model.state_dict().items()
        }
        described = {
            name: value
            for name, value in self.model.config.to_dict().items()
            if name != "_name_or_path"
        }  # says nothing elsewhere
        config = json.dumps(described, sort_keys=True)
        return {
            "format": FORMAT,
            "config": config,
            "files": files,
            "image_weight": self.image_weight,
            "tensors": tensors,
        }

    @classmethod
    def from_saved(cls, saved: Mapping[str, Any]) -> "Clip":
        """Return the value that `to_saved` was called on; arrays and tensors are both accepted.

        Raises:
            ValueError: `saved` has a format that this version does not read.
        """
        if saved.get("format") != FORMAT:
            raise ValueError(
                f"saved CLIP has format {saved.get('format')!r}; this version reads {FORMAT}. Upgrade, or fit it anew."
            )
        with tempfile.TemporaryDirectory() as folder:
            for name, text in saved["files"].items():
                (Path(folder) / Path(name).name).write_text(text, encoding="utf-8")
            processor = CLIPProcessor.from_pretrained(folder, local_files_only=True)
        model = CLIPModel(CLIPConfig.from_dict(json.loads(saved["config"])))
        model.load_state_dict(
            {name: torch.tensor(np.asarray(value)) for name, value in saved["tensors"].items()}
        )
        return cls(model, processor, float(saved["image_weight"]))

    # --- inference

    def encode_images(self, images: Sequence[Picture]) -> FloatArray:
        """Return one unit vector for each picture, float32 `(len(images), dim)`.

        Pictures are padded to a white square, not cropped.

        Raises:
            UnreadableImage: a picture cannot be decoded; its `index` says which.
        """
        found = [np.zeros((0, self.dim), np.float32)]
        for start in range(0, len(images), _BATCH):
            opened = [
                _opened(image, start + i) for i, image in enumerate(images[start : start + _BATCH])
            ]
            with torch.inference_mode():
                found.append(self._image_vectors(self.pixels(opened)).numpy())
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

    def encode_products(
        self, images: Sequence[Picture | None], texts: Sequence[str | None]
    ) -> FloatArray:
        """Return one unit vector for each product: picture and text blended by `image_weight`.

        Args:
            images: the product's picture, or None; then its text speaks alone.
            texts: its title and description, see `product_text`; empty or None leaves it to the picture.

        Returns:
            float32 `(n, dim)`.

        Raises:
            NothingToEncode: a product has neither.
            UnreadableImage: a picture cannot be decoded; its `index` says which product's.
        """
        shown = [i for i, image in enumerate(images) if image is not None]
        told = [i for i, text in enumerate(texts) if text and text.strip()]
        missing = set(range(len(images))).difference(shown, told)
        if missing:
            raise NothingToEncode(min(missing))
        pictures, words = (np.zeros((len(images), self.dim), np.float32) for _ in range(2))
        try:
            pictures[shown] = self.encode_images([image for image in images if image is not None])
        except UnreadableImage as exc:
            raise UnreadableImage(exc.reason, shown[exc.index]) from exc
        words[told] = self.encode_texts([str(texts[i]) for i in told])
        return self.blend(pictures, words)

    def blend(self, pictures: FloatArray, words: FloatArray) -> FloatArray:
        """Return unit vectors from picture and text vectors, each `(n, dim)`; a row of zeros stands for "has none"."""
        mixed = self.image_weight * pictures + (1 - self.image_weight) * words
        return np.asarray(
            mixed / np.maximum(np.linalg.norm(mixed, axis=1, keepdims=True), 1e-12), np.float32
        )

    def pixels(self, opened: Sequence[Image.Image]) -> torch.Tensor:
        """Return the model's input for RGB pictures, float32 `(n, 3, side, side)`: padded, resized, normalised."""
        if self._pixels is not None:
            return self._pixels.tensor(np.stack([self._pixels.shrunk(image) for image in opened]))
        made = self.processor.image_processor(
            [padded(image) for image in opened], return_tensors="pt"
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

    # --- learning

    def fine_tune(
        self,
        pairs: Sequence[tuple[Picture, str]],
        *,
        tuning: Tuning | None = None,
        weights: Sequence[float] | None = None,
        negatives: Sequence[tuple[Picture, str]] = (),
        on_progress: Progress | None = None,
    ) -> "Clip":
        """Return a new `Clip` that has learned that these pictures and texts belong together; `self` stays as it is.

        Args:
            pairs: pictures with the texts that fit them, at least two.
            tuning: how long and how fast.
            weights: how much each pair counts, `>= 0`, one for each of `pairs`; equal if None.
            negatives: pictures with texts that do not fit them, from negative feedback; each step pushes some apart.
            on_progress: called after each step with the step (from 1), all steps, and the loss.

        Raises:
            ValueError: fewer than two pairs, or `weights` of another length.
            UnreadableImage: a picture cannot be decoded.

        The loss is CLIP's contrastive loss within the batch; pairs with the same text are not held against each other.
        """
        if len(pairs) < 2:
            raise ValueError(
                f"fine-tuning was given {len(pairs)} pair(s); it contrasts pairs, so it needs 2 or more. Wait for more feedback."
            )
        if weights is not None and len(weights) != len(pairs):
            raise ValueError(
                f"{len(weights)} weights were given for {len(pairs)} pairs; give one for each pair."
            )
        tuned = Clip.from_saved(self.to_saved())
        lesson = _Lesson(tuned, pairs, weights or [1.0] * len(pairs), negatives, tuning or Tuning())
        lesson.run(on_progress)
        tuned.model.eval()
        return tuned


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


def _opened(image: Picture, index: int) -> Image.Image:
    try:
        return open_image(image)
    except UnreadableImage as exc:
        raise UnreadableImage(exc.reason, index) from exc


class _Lesson:
    """One fine-tune of `clip`, which it changes in place; the caller passes a copy."""

    def __init__(
        self,
        clip: Clip,
        pairs: Sequence[tuple[Picture, str]],
        weights: Sequence[float],
        negatives: Sequence[tuple[Picture, str]],
        tuning: Tuning,
    ) -> None:
        self.clip, self.tuning, self.rng = clip, tuning, np.random.default_rng(tuning.seed)
        self.pixels, self.texts = self._taken_in([*pairs, *negatives])
        self.weights = torch.tensor(weights, dtype=torch.float32)
        self.count, self.against = len(pairs), len(negatives)
        names = {text: i for i, text in enumerate(dict.fromkeys(self.texts))}
        self.same = torch.tensor([names[text] for text in self.texts])
        text_parts = ("text_model", "text_projection")
        for name, parameter in clip.model.named_parameters():
            parameter.requires_grad = tuning.text_share > 0 or not name.startswith(
                (*text_parts, "logit_scale")
            )
        slow = [
            p
            for name, p in clip.model.named_parameters()
            if p.requires_grad and name.startswith(text_parts)
        ]
        fast = [
            p
            for name, p in clip.model.named_parameters()
            if p.requires_grad and not name.startswith(text_parts)
        ]
        groups = [
            {"params": fast, "share": 1.0},
            *([{"params": slow, "share": tuning.text_share}] if slow else []),
        ]
        self.optimiser = torch.optim.AdamW(
            groups, lr=tuning.rate, betas=(0.9, 0.98), weight_decay=0.01
        )
        self.fixed = None if slow else torch.from_numpy(clip.encode_texts(self.texts))

    def _taken_in(
        self, pairs: Sequence[tuple[Picture, str]]
    ) -> tuple[list[torch.Tensor], list[str]]:
        return [self.clip.pixels([_opened(image, i)])[0] for i, (image, _) in enumerate(pairs)], [
            text for _, text in pairs
        ]

    def run(self, on_progress: Progress | None) -> None:
        a_batch = min(self.tuning.batch, self.count)
        a_pass = -(-self.count // a_batch)
        steps = self.tuning.steps if self.tuning.steps is not None else self.tuning.epochs * a_pass
        self.clip.model.train()
        batches = self._batches(a_batch)
        for step in range(1, steps + 1):
            rate = self.tuning.rate * min(
                step / max(steps / 10, 1), 0.5 * (1 + np.cos(np.pi * (step - 1) / steps))
            )
            for group in self.optimiser.param_groups:
                group["lr"] = rate * group["share"]
            loss = self._step(next(batches))
            if on_progress is not None:
                on_progress(step, steps, loss)

    def _batches(self, size: int) -> Iterator[NDArray[np.intp]]:
        while True:
            order = self.rng.permutation(self.count)
            order = np.concatenate(
                [order, order[: -len(order) % size]]
            )  # the last batch is filled from the first
            yield from order.reshape(-1, size)

    def _vectors(self, chosen: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        pixels = torch.stack([self.pixels[i] for i in chosen])
        mirrored = torch.from_numpy(self.rng.random(len(chosen)) < 0.5)
        pixels[mirrored] = pixels[mirrored].flip(-1)
        words = (
            self.fixed[list(chosen)]
            if self.fixed is not None
            else self.clip._text_vectors([self.texts[i] for i in chosen])
        )
        return self.clip._image_vectors(pixels), words

    def _some_wrong(self, chosen: int) -> list[int]:
        """Return places of negatives, about a quarter as many as there are pairs in the batch."""
        few = min(self.against, max(1, chosen // 4))
        return [self.count + int(i) for i in self.rng.integers(0, max(self.against, 1), few)]

    def _step(self, chosen: NDArray[np.intp]) -> float:
        pictures, words = self._vectors([*map(int, chosen), *self._some_wrong(len(chosen))])
        n, scale = len(chosen), self.clip.model.logit_scale.exp()
        logits = scale * pictures[:n] @ words[:n].T
        same = self.same[chosen]
        twins = (same[:, None] == same[None]) & ~torch.eye(n, dtype=torch.bool)
        logits = logits.masked_fill(twins, -1e4)
        target, weight = torch.arange(n), self.weights[chosen]
        each = (
            F.cross_entropy(logits, target, reduction="none")
            + F.cross_entropy(logits.T, target, reduction="none")
        ) / 2
        loss = (each * weight).sum() / weight.sum().clamp(min=1e-6)
        if n < len(pictures):
            loss = loss + F.softplus(scale * (pictures[n:] * words[n:]).sum(-1)).mean() / scale
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.clip.model.parameters(), 1.0)
        self.optimiser.step()
        return float(loss.detach())
