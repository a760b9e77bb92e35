"""Tensors: what of torch a state may hold beside what modules are made of, and how it is recognised without importing it.

What is of torch can only be in a state if torch is imported.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any

from motion.errors import MissingPackage

MODULE_PARTS = ("_parameters", "_buffers", "_modules")

REMADE = ("_flat_weights", "_flat_weight_refs")
"""Attributes of recurrent modules that repeat their parameters; they are made again when one is loaded."""

FUNCTIONS = (
    "torch.nn.functional.celu", "torch.nn.functional.elu", "torch.nn.functional.gelu", "torch.nn.functional.glu",
    "torch.nn.functional.hardsigmoid", "torch.nn.functional.hardswish", "torch.nn.functional.hardtanh",
    "torch.nn.functional.leaky_relu", "torch.nn.functional.log_softmax", "torch.nn.functional.logsigmoid",
    "torch.nn.functional.mish", "torch.nn.functional.normalize", "torch.nn.functional.relu",
    "torch.nn.functional.relu6", "torch.nn.functional.selu", "torch.nn.functional.sigmoid",
    "torch.nn.functional.silu", "torch.nn.functional.softmax", "torch.nn.functional.softplus",
    "torch.nn.functional.softsign", "torch.nn.functional.tanh",
    "torch.relu", "torch.sigmoid", "torch.softmax", "torch.tanh",
)  # fmt: skip
"""Functions that a module may hold as an attribute, such as its activation: of numbers only, and without a side effect."""

DTYPES = frozenset(
    f"torch.{name}"
    for name in (
        "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float8_e4m3fn",
        "float8_e5m2", "float16", "bfloat16", "float32", "float64", "complex64",
    )
)  # fmt: skip
"""Those of safetensors."""


def is_tensor(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def is_parameter(value: Any) -> bool:
    return type(value) is sys.modules["torch"].nn.Parameter


def is_module(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


def is_size(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Size)


def named_by(value: Any) -> tuple[str, str] | None:
    """Return how a state names a dtype, a device or a function of torch's: its kind and its name. None: it is no such."""
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    if isinstance(value, torch.dtype | torch.device):
        return type(value).__name__, str(value).removeprefix("torch.")
    if callable(value):
        for name in FUNCTIONS:
            if _function(torch, name) is value:
                return "function", name
    return None


def named(kind: str, name: str, component: str) -> Any:
    """Return the dtype, the device or the function of a name; None where it is none that a state may hold."""
    torch = import_torch(component)
    if kind == "device":
        return torch.device(name)
    if kind == "function":
        return _function(torch, name) if name in FUNCTIONS else None
    found = getattr(torch, name, None)
    return found if isinstance(found, torch.dtype) else None


def _function(torch: Any, name: str) -> Any:
    place = torch
    for part in name.split(".")[1:]:
        place = getattr(place, part, None)
    return place


def unsavable(tensor: Any) -> str | None:
    """Return what a tensor is where it would come back as something else, or None where it can be kept."""
    torch = sys.modules["torch"]
    kind = type(tensor)
    if kind not in (torch.Tensor, torch.nn.Parameter):
        return f"{kind.__name__}, a tensor of its own kind,"
    if tensor.layout is not torch.strided or tensor.is_nested:
        return f"{kind.__name__} of layout {tensor.layout}"
    if tensor.is_meta or tensor.is_quantized:
        return f"{kind.__name__} {'without values' if tensor.is_meta else 'that is quantized'}"
    if str(tensor.dtype) not in DTYPES:
        return f"{kind.__name__} of {tensor.dtype}"
    if tensor.grad_fn is not None:
        return f"{kind.__name__} with the history of its gradient (detach() it)"
    return None


def save(tensors: Mapping[str, Any]) -> bytes:
    from safetensors.torch import save

    seen: set[int] = set()
    own = {}
    for name, tensor in tensors.items():
        plain = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
        memory = plain.untyped_storage().data_ptr()
        own[name] = plain.clone() if memory in seen else plain  # safetensors refuses shared memory
        seen.add(memory)
    return save(own)


def load(component: str, content: bytes) -> Mapping[str, Any]:
    import_torch(component)
    try:
        from safetensors.torch import load
    except ImportError as exc:
        raise MissingPackage(f"the state of {component}", "torch", "torch") from exc
    return load(content)


def import_torch(component: str) -> Any:
    try:
        return importlib.import_module("torch")
    except ImportError as exc:
        raise MissingPackage(f"the state of {component}", "torch", "torch") from exc
