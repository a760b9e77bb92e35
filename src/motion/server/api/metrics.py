"""Metrics: a store's figures as Prometheus reads them, taken from `status()` when it asks."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from motion.server.api.serving import Served

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Requests:
    """How long requests took, by route, method and status: few series, whatever is asked for."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.seconds = Histogram(
            "motion_http_request_seconds",
            "What a request took until its answer began.",
            ["method", "route", "status"],
            registry=self.registry,
        )


class _OfStore(Collector):
    def __init__(self, on: Served) -> None:
        self._on = on

    def collect(self) -> Iterable[Metric]:
        status = self._on.store.status()
        tasks = GaugeMetricFamily("motion_tasks", "Tasks by status.", labels=["trigger", "status"])
        rows = GaugeMetricFamily("motion_rows_to_do", "Rows to do.", labels=["trigger"])
        stale = GaugeMetricFamily("motion_stale_rows", "Rows of other code.", labels=["trigger"])
        calls = CounterMetricFamily("motion_calls", "Calls of its code.", labels=["trigger"])
        seconds = CounterMetricFamily(
            "motion_call_seconds", "Seconds in calls.", labels=["trigger"]
        )
        for name, each in status.triggers.items():
            for kind, count in each.tasks.items():
                tasks.add_metric([name, kind], count)
            rows.add_metric([name], each.rows)
            stale.add_metric([name], each.stale)
            calls.add_metric([name], each.calls)
            seconds.add_metric([name], each.calls * (each.seconds or 0.0))
        live = GaugeMetricFamily("motion_live_version", "Live version.", labels=["component"])
        for component, number in status.versions.items():
            live.add_metric([component], number or 0)
        yield from (tasks, rows, stale, calls, seconds, live)
        yield GaugeMetricFamily("motion_orphaned_tasks", "Tasks of no trigger.", status.orphaned)
        yield GaugeMetricFamily("motion_fits", "Fits asked for or running.", status.fits)
        yield CounterMetricFamily(
            "motion_changes", "Number of the last change.", status.last_change
        )
        yield GaugeMetricFamily("motion_http_streams", "Open event streams.", self._on.streams)


def written(on: Served, requests: Requests) -> bytes:
    """Return all figures as text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_OfStore(on))
    return generate_latest(registry) + generate_latest(requests.registry)
