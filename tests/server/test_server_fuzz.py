"""The HTTP API fuzzed by its own description: whatever is sent, no answer is an error of the server's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance

import motion
from motion.server import Limits, Serving, create_app, serve
from motion.server.app import described
from tests.server.test_server import SCHEMAS, link, think

LIMITS = Limits(sql_seconds=0.2, wait_seconds=0.05, rows=50)


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    store = motion.create_store("shop", schemas=SCHEMAS, triggers=[think, link], url=":memory:")
    store.set("item", id=1, name="coat")
    store.set("query", id="q", query="red dress")
    with serve(store, port=0, limits=LIMITS) as running:
        yield running
    store.close()


def described_shop() -> Any:
    """Return the API's description as a client reads it."""
    store = motion.create_store("shop", schemas=SCHEMAS, url=":memory:")
    try:
        return described(create_app(store))
    finally:
        store.close()


@schemathesis.serializer("application/x-ndjson", "application/vnd.apache.arrow.stream")
def as_given(_: Any, value: Any) -> bytes:
    """Send what was made up for a body that is no JSON as it is."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


ENDLESS = ["/v1/status/events", "/v1/live/events"]
schema = schemathesis.openapi.from_dict(described_shop()).exclude(path=ENDLESS)


@schema.parametrize()
@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    derandomize=True,  # the same on every machine: what it finds is a test of its own
)
def test_no_request_makes_the_server_fail(case: schemathesis.Case[Any], serving: Serving) -> None:
    case.call_and_validate(
        base_url=serving.url,
        timeout=30,
        checks=[not_a_server_error, response_schema_conformance],
    )
