"""Traces: a change is followed through its cascade by OpenTelemetry's own SDK."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

import motion
from motion import tracing

EXPORTER = InMemorySpanExporter()


@dataclass
class Note:
    id: int
    text: str
    title: str
    length: int
    seen: str


@pytest.fixture(scope="module", autouse=True)
def provider() -> None:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(EXPORTER))
    trace.set_tracer_provider(provider)


@pytest.fixture(autouse=True)
def traced() -> Iterator[None]:
    EXPORTER.clear()
    tracing.enable()
    yield
    tracing.disable()


def spans() -> dict[str, ReadableSpan]:
    return {span.name: span for span in EXPORTER.get_finished_spans()}


def ids(span: ReadableSpan) -> tuple[int, int]:
    context = span.get_span_context()
    assert context is not None
    return context.trace_id, context.span_id


def is_below(child: ReadableSpan, parent: ReadableSpan) -> bool:
    above = child.parent
    return above is not None and (above.trace_id, above.span_id) == ids(parent)


def make_title(text: str) -> str:
    with trace.get_tracer("a model's client").start_as_current_span("chat tiny"):
        return text.title()


@motion.trigger(on="note.text", sets="note.title", inline=False)
def title(text: str) -> str:
    return make_title(text)


@motion.trigger(on="note.title", sets="note.length", inline=False)
async def measure(title: str) -> int:
    if title == "Bad":
        raise ValueError("a bad title")
    return len(title)


@motion.trigger(on="note.length", sets="note.seen", executor="process")
def see(length: int) -> str:
    from opentelemetry import trace

    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}-{context.span_id:016x}"


def opened(folder: Path | None = None, *, run: bool = True) -> motion.Store:
    url = ":memory:" if folder is None else f"sqlite:///{folder}"
    return motion.create_store("notes", schemas={"note": Note}, triggers=[title, measure, see], url=url, run=run)  # fmt: skip


def test_a_change_is_one_trace_down_to_the_call_of_a_model_and_into_processes() -> None:
    with opened() as store, trace.get_tracer("app").start_as_current_span("request"):
        change = store.set("note", text="hello")
        change.wait(timeout=120)
        row = change.rows()[0]
    found = spans()
    assert set(found) == {"request", "set note", "run title", "chat tiny", "run measure", "run see"}
    assert is_below(found["set note"], found["request"])
    for name in ("run title", "run measure", "run see"):
        assert is_below(found[name], found["set note"]), name
    assert is_below(found["chat tiny"], found["run title"])
    trace_id, span_id = ids(found["run see"])
    assert row.seen == f"{trace_id:032x}-{span_id:016x}"  # as the other process saw it
    attributes = found["run measure"].attributes
    assert attributes is not None
    assert (attributes["motion.trigger"], attributes["motion.rows"]) == ("measure", 1)


def test_the_queue_keeps_the_trace_for_whoever_does_the_work(tmp_path: Path) -> None:
    with opened(tmp_path / "notes", run=False) as store:
        store.set("note", text="hello")
    before = spans()["set note"]
    EXPORTER.clear()
    with opened(tmp_path / "notes") as store:
        store.wait(timeout=120)
    assert is_below(spans()["run title"], before)


def test_a_run_that_fails_says_so() -> None:
    with opened() as store:
        store.set("note", text="bad").wait(timeout=60, raise_errors=False)
    failed = spans()["run measure"]
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.status.description == "ValueError: a bad title"
    assert [event.name for event in failed.events] == ["exception"]


def test_a_call_for_several_writes_is_below_the_first_and_linked_to_the_others(
    tmp_path: Path,
) -> None:
    @motion.trigger(on="note.text", sets="note.title", batch=8, inline=False)
    def titles(text: list[str]) -> list[str]:
        return [each.title() for each in text]

    options = {
        "schemas": {"note": Note},
        "triggers": [titles],
        "url": f"sqlite:///{tmp_path / 'n'}",
    }
    with motion.create_store("n", run=False, **options) as store:  # type: ignore[arg-type]
        store.set("note", text="a")
        store.set("note", text="b")
    first, second = EXPORTER.get_finished_spans()
    with motion.create_store("n", **options) as store:  # type: ignore[arg-type]
        store.wait(timeout=60)
    run = spans()["run titles"]
    assert is_below(run, first)
    assert [link.context.span_id for link in run.links] == [ids(second)[1]]


def test_nothing_is_traced_or_kept_where_tracing_is_off() -> None:
    tracing.disable()
    with opened() as store, trace.get_tracer("app").start_as_current_span("request"):
        store.set("note", text="hello").wait(timeout=120)
        assert store.sql("select count(*) n from motion_traces").to_pylist() == [{"n": 0}]
    assert set(spans()) == {"request", "chat tiny"}


def test_without_the_extra_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(motion.MissingPackage, match=r"motion-ml\[otel\]"):
        tracing.enable()
