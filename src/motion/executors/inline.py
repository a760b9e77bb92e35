"""Inline: a call runs in the thread that asks for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from motion.definitions.triggers.options import NOTHING, Resources
from motion.executors.base import Constant, Prepare


class InlineExecutor:
    """Runs calls where they are asked for. It cannot stop waiting: it takes no time-out."""

    room = math.inf

    def run(
        self,
        prepare: Prepare,
        /,
        *arguments: Any,
        constants: Sequence[Constant] = (),
        timeout_s: float | None = None,
        takes: Resources = NOTHING,
    ) -> Any:
        assert timeout_s is None
        return prepare(*(each.value for each in constants), *arguments)()

    def close(self) -> None:
        """Nothing is held."""
