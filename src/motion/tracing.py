"""Tracing: spans of writes and of the calls that follow from them, by OpenTelemetry. Off until `enable()`, and then only its API is used:
which spans are kept, and where they go, is the application's own set-up of the SDK.

A span is known elsewhere by a line, as W3C Trace Context writes it; the queue keeps that of each write, so calls find it in any process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from motion.background.tracebacks import headline
from motion.errors import MissingPackage

LINKS = 32
"""Writes that one call was made for are linked up to this number."""

FIELD = "traceparent"

_tracer: Any = None

NO_SPAN = nullcontext()


def enable() -> None:
    """Make spans in this process from now on, by the tracer provider that is set up at that time or later.

    Raises:
        MissingPackage: OpenTelemetry's API is not installed.
    """
    global _tracer
    try:
        from opentelemetry import trace
    except ModuleNotFoundError as exc:
        raise MissingPackage("tracing", "opentelemetry-api", "otel") from exc
    _tracer = trace.get_tracer("motion")


def disable() -> None:
    """Make none any more."""
    global _tracer
    _tracer = None


def is_on() -> bool:
    return _tracer is not None


def current() -> str | None:
    """Return the line of the span that is under way here; None where there is none."""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get(FIELD)


@contextmanager
def span(
    name: str, attributes: Mapping[str, Any], parents: Sequence[str] | None = None
) -> Iterator[Any]:
    """Make a span around the block.

    Args:
        parents: the lines of the spans that it follows from: it is below the first, and linked to the others. None: it is
            below the one that is under way here.
    """
    from opentelemetry import trace

    contexts = [_context(each) for each in dict.fromkeys(parents or ())][: LINKS + 1]
    links = [trace.Link(trace.get_current_span(each).get_span_context()) for each in contexts[1:]]
    with _tracer.start_as_current_span(
        name,
        context=contexts[0] if contexts else None,
        attributes={key: value for key, value in attributes.items() if value is not None},
        links=links,
    ) as made:
        yield made


def written(verb: str, table: str | None, count: int | None) -> AbstractContextManager[Any]:
    """Return the span of a write from outside; nothing where tracing is off."""
    if _tracer is None:
        return NO_SPAN
    name = verb if table is None else f"{verb} {table}"
    return span(name, {"motion.table": table, "motion.rows": count})


def fail(made: Any, error: BaseException | str) -> None:
    """Say of a span that what it is of has failed.

    Args:
        error: it, or its traceback as text.
    """
    from opentelemetry.trace import Status, StatusCode

    if isinstance(error, BaseException):
        made.record_exception(error)
        error = f"{type(error).__name__}: {error}"
    made.set_status(Status(StatusCode.ERROR, headline(error)))


def below(line: str | None) -> AbstractContextManager[None]:
    """Let spans that are made within the block, by whoever, be below the span of a line: in another thread or process."""
    return nullcontext() if line is None else _below(line)


@contextmanager
def _below(line: str) -> Iterator[None]:
    from opentelemetry import context

    token = context.attach(_context(line))
    try:
        yield
    finally:
        context.detach(token)


def _context(line: str) -> Any:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({FIELD: line})
