"""Notes: what is said of a state version, and what was measured of it, as JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from motion.backends.base import Transaction

ODD = "float:"
"""Stands in JSON before a number that it has no form for."""


def encoded(held: Any) -> str:
    """Return figures and notes as JSON, which has no number that is none or without end."""
    return msgspec.json.encode(_mapped(held, _as_json)).decode()


def decoded(text: str) -> Any:
    return _mapped(msgspec.json.decode(text), _from_json)


def _mapped(held: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(held, Mapping):
        return {key: _mapped(each, change) for key, each in held.items()}
    return change(held)


def _as_json(value: Any) -> Any:
    is_odd = isinstance(value, float) and not math.isfinite(value)
    return f"{ODD}{value}" if is_odd else value


def _from_json(value: Any) -> Any:
    is_odd = isinstance(value, str) and value in (f"{ODD}nan", f"{ODD}inf", f"{ODD}-inf")
    return float(value.removeprefix(ODD)) if is_odd else value


def part_notes(tx: Transaction) -> None:
    """Put apart what stores of format 1 held among a version's metrics."""
    for component, number, metrics in tx.execute(
        "SELECT component, number, metrics FROM motion_states"
    ).fetchall():
        held = msgspec.json.decode(metrics)
        is_ready, is_tried = held.pop("is_ready", None), held.pop("sample_awaited", None)
        notes = {
            name: held.pop(name)
            for name in ("reason", "traceback", "live", "sample")
            if name in held
        }
        stage = "ready" if is_ready else "trial" if is_tried else None
        tx.execute(
            "UPDATE motion_states SET metrics = ?, notes = ?, stage = ? WHERE component = ? AND number = ?",
            (encoded(held), encoded(notes), stage, component, number),
        )
