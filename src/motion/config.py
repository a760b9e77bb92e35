"""Configuration: the only reader of the environment. Below it, values arrive as arguments."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from motion.errors import InvalidArgument, shortened


@dataclass(frozen=True)
class Config:
    """What a deployment may set without touching code.

    Attributes:
        url: where a store lives if the code does not say (`MOTION_URL`).
        gpus: graphics processors that runs share (`MOTION_GPUS`); NVIDIA's are found where it says nothing.
    """

    url: str | None = None
    gpus: int = 0

    @classmethod
    def from_env(cls) -> Config:
        """Return the configuration that the environment gives, defaults where it says nothing."""
        env: Mapping[str, str] = os.environ
        return cls(
            url=env.get("MOTION_URL", cls.url),
            gpus=_gpus(env["MOTION_GPUS"]) if "MOTION_GPUS" in env else _gpus_found(),
        )


def is_allocator_tuned() -> bool:
    """Return whether the user has told glibc's allocator what to do."""
    return not {"MALLOC_ARENA_MAX", "GLIBC_TUNABLES"}.isdisjoint(os.environ)


def _gpus(given: str) -> int:
    if not (given.isascii() and given.isdigit() and len(given) < 10):
        raise InvalidArgument("MOTION_GPUS", shortened(given), "a number of graphics processors")
    return int(given)


def _gpus_found() -> int:
    return len(list(Path("/dev").glob("nvidia[0-9]*")))
