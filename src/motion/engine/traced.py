"""Traced: the calls of a claim with a span around each, below the spans of the writes that they follow from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from motion import tracing
from motion.definitions.triggers.specs import Failed, TriggerSpec
from motion.engine.calls import Apart, Given, Here
from motion.engine.derive import Made
from motion.persistence.layout import Pins


class Traced:
    """Calls of a trigger, made as `calls` makes them.

    Args:
        lines: of the spans of the writes that each row's call follows from; None where that was not traced.
    """

    def __init__(
        self, calls: Here | Apart, spec: TriggerSpec, pins: Pins, lines: Sequence[str | None]
    ) -> None:
        self._calls, self._spec, self._lines = calls, spec, lines
        self._pins = pins
        self._process, self.is_far, self.is_by_row = os.getpid(), calls.is_far, calls.is_by_row
        self.failed, self.settle, self.given = calls.failed, calls.settle, calls.given

    @property
    def has_left(self) -> bool:
        return self._calls.has_left

    def make(self, source: Iterator[range], add: Callable[[Made], None]) -> None:
        for rows in source:
            with self._span(rows, add) as noted:
                self._calls.make(iter([rows]), noted)
            if os.getpid() != self._process:  # a child that the call has forked: it ends with that
                break

    async def make_async(self, source: Iterator[range], add: Callable[[Made], None]) -> None:
        for rows in source:
            with self._span(rows, add) as noted:
                await self._calls.make_async(iter([rows]), noted)
            if os.getpid() != self._process:
                break

    @contextmanager
    def _span(self, rows: range, add: Callable[[Made], None]) -> Iterator[Callable[[Made], None]]:
        made: list[Made] = []
        lines = [line for line in self._lines[rows.start : rows.stop] if line is not None]
        with run_span(self._spec, self._pins, len(rows), lines) as span:
            yield made.append
            for error in _errors(made):
                tracing.fail(span, error)
        for each in made:
            add(each)


def run_span(
    spec: TriggerSpec, pins: Pins, rows: int, lines: Sequence[str]
) -> AbstractContextManager[Any]:
    """Return the span of a trigger's run on some rows, below those of the writes that it follows from."""
    versions = {f"motion.version.{name}": pins.get(name) for name in spec.components}
    attributes = {
        "motion.trigger": spec.name, "motion.table": spec.table, "motion.fingerprint": spec.fingerprint,
        "motion.executor": spec.executor, "motion.component": spec.component, "motion.rows": rows, **versions,
    }  # fmt: skip
    return tracing.span(f"run {spec.name}", attributes, lines)


def _errors(made: Sequence[Made]) -> Iterator[BaseException | str]:
    for _, given in made:
        for each in given:
            if type(each) is Failed:
                yield each.error
            elif isinstance(each, Given):
                yield from each.outcomes.errors.values()
