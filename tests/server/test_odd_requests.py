"""Requests as no client of ours makes them, on every route: whatever is sent, no answer is an error of the server's own.

What a client says of itself is well formed in `test_server_fuzz.py`; here it is cut, no text, too long or of another kind."""

from __future__ import annotations

import io
import json
import random
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pyarrow as pa
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

import motion
from motion.server import Limits, create_app, serve
from tests.conftest import OpenStore
from tests.server.test_server import SCHEMAS, link, think
from tests.server.test_server_fuzz import ENDLESS

ARROW, JSON, NDJSON = "application/vnd.apache.arrow.stream", "application/json", "application/x-ndjson"  # fmt: skip

LONG = "9" * 5_000
"""More digits than Python makes a number of."""

TEXTS = ["", "0", "-1", LONG, f"-{LONG}", "9" * 19, "1e400", "nan", "²", "\0", "\ud800", "null", "[" * 9_000, f"[{LONG}]", '["\\ud800"]', '["q",' + LONG + "]", '{"name":' + LONG + "}", "item", "query", "%", "'"]  # fmt: skip

HEADERS = {
    "host": ["[", "", "127.0.0.1:99999999"],
    "origin": ["http://[", "http://[::1", "\xff", "null", "http://a:99999999"],
    "authorization": ["\xff", "Bearer \xff", "Basic"],
    "cookie": ["\xff", "motion_token=\xff", 'a;b="c; motion_token', 'motion_token="\\777"'],
    "content-length": ["²", LONG, "-1", "9" * 19],
    "content-type": ["\xff", "application/json; charset=zz", "multipart/form-data", "multipart/form-data; boundary="],
    "accept": ["\xff", ARROW],
    "range": ["zz", "bytes=9-1", f"bytes={LONG}-", "bytes=-0"],
    "if-none-match": ["\xff"],
    "last-event-id": ["\xff", LONG, "²", "-1", f"{LONG}.end", "9" * 19],
    "sec-fetch-site": ["\xff"],
    "access-control-request-method": ["\xff"],
}  # fmt: skip

BODIES = [
    b"", b"\xff", b"\0", b"{", b"null", b"[1]", b"[{}]", b"{}", b"[" * 100_000, b'{"a":' * 100_000, b"[" * 900 + b"]" * 900, b"NaN",
    b'{"id":NaN}', b'{"id":1e999}', b'{"id":%s}' % LONG.encode(), b'[{"id":%s}]' % LONG.encode(), b'{"\\ud800":"\\ud800"}', "{}".encode("utf-16"),
]  # fmt: skip

ARRAYS = [
    {"dtype": dtype, "shape": shape, "data": "AAAAAAAAAAA="}
    for dtype, shape in [
        *((each, [-1]) for each in ("<f4", "|S0", "|V1", "M8[generic]", "M8[ns]", "<f99", 5)),
        *(("<f4", each) for each in ([2], [10**20], [], ["a"], [2**62, 2**62], [1] * 100, None)),
    ]
]

VALUES = [
    True, -1, 2**63, 10**400, 1.5, float("nan"), float("inf"), "a", "\0", "\ud800", "NaN", "9999-12-31T23:59:59-23:59", [], [None], [[1], [1, 2]],
    [10**400], {}, {"a": 1}, {"bytes": 1}, {"float": []}, [{"label": "a", "cm": 10**400}], *ARRAYS,
]  # fmt: skip


@pytest.fixture(scope="module")
def app() -> Iterator[FastAPI]:
    store = motion.create_store("shop", schemas=SCHEMAS, triggers=[think, link], url=":memory:")
    store.set("item", id=1, name="coat")
    store.set("query", id="q", query="red dress")
    store.wait(timeout=60)
    limits = Limits(sql_seconds=0.2, wait_seconds=0.05, rows=50, body_bytes=2**20)
    yield create_app(store, limits=limits)
    store.close()


@pytest.fixture(scope="module")
def client(app: FastAPI) -> Iterator[TestClient]:
    base = "http://127.0.0.1:8000"
    with TestClient(app, base_url=base, raise_server_exceptions=False) as found:
        yield found


@pytest.fixture(scope="module")
def routes(client: TestClient) -> list[tuple[str, str, Mapping[str, Any]]]:
    paths = client.get("/openapi.json").json()["paths"]
    described = [(m.upper(), p, op) for p, of in paths.items() for m, op in of.items()]
    others: list[Any] = [
        ("GET", path, {}) for path in ("/", "/rows/{table}", "/assets/{name}", "/nothing")
    ]
    return [each for each in described if each[1] not in ENDLESS] + others


USUAL = {"table": "item", "id": "1", "key": "name", "component": "Model", "name": "app.js"}
"""What is given for a name in a path or a question; 1 for all others."""


def usual(route: Mapping[str, Any]) -> dict[str, str]:
    asked = [each for each in route.get("parameters", ()) if each["in"] == "query"]
    return {each["name"]: USUAL.get(each["name"], "1") for each in asked if each.get("required")}


def address(path: str, given: Mapping[str, str], question: Mapping[str, str]) -> str:
    def filled(found: re.Match[str]) -> str:
        name = found[1]
        return written(given.get(name, "1" if name in ("change", "task") else USUAL.get(name, "1")))

    asked = "&".join(f"{name}={written(value)}" for name, value in question.items())
    return f"{re.sub(r'{(.+?)}', filled, path)}?{asked}"


def written(value: str) -> str:
    return quote(value.encode("utf-8", "surrogatepass"), safe="")


def check(client: TestClient, method: str, path: str, **request: Any) -> None:
    answer = client.request(method, path, **request)
    assert answer.status_code < 500, (method, path[:200], str(request)[:400], answer.text[:400])


def test_odd_names_and_parameters(client: TestClient, routes: Any) -> None:
    for method, path, route in routes:
        named = [each["name"] for each in route.get("parameters", ()) if each["in"] == "query"]
        for text in TEXTS:
            for name in re.findall(r"{(.+?)}", path):
                check(client, method, address(path, {name: text}, usual(route)), json={})
            for name in {*named, "page", "params"}:
                asked = address(path, {}, usual(route) | {name: text})
                check(client, method, asked, json={})
            if "{table}" in path:
                paged = usual(route) | {"idea_page": text} | ({"id": "q"} if "id" in named else {})
                check(client, method, address(path, {"table": "query"}, paged), json={})


def test_odd_headers(client: TestClient, routes: Any) -> None:
    for method, path, route in routes:
        for name, values in HEADERS.items():
            for value in values:
                headers = [(b"content-type", JSON.encode())] * (name != "content-type")
                headers.append((name.encode(), value.encode("latin-1")))
                asked = address(path, {}, usual(route))
                check(client, method, asked, content=b"{}", headers=headers)


def test_odd_bodies(client: TestClient, routes: Any) -> None:
    for method, path, route in routes:
        for body in BODIES if method != "GET" else ():
            for kind in (JSON, NDJSON, ARROW, "", "multipart/form-data; boundary=a"):
                asked = address(path, {}, usual(route))
                check(client, method, asked, content=body, headers={"content-type": kind})


@pytest.mark.parametrize("table", SCHEMAS)
def test_odd_values(client: TestClient, table: str) -> None:
    keys = [*(each.name for each in fields(SCHEMAS[table])), "force", "if_unchanged", "\ud800"]
    for key in keys:
        for value in VALUES:
            given = {key: value}
            for path, body in (
                (f"/v1/tables/{table}/row", given),
                (f"/v1/tables/{table}/rows?errors=collect", [given]),
                (f"/v1/tables/{table}/rows?by={written(key)}", [{"id": 77, **given}]),
                ("/v1/transaction", {"writes": [{"set": table, "values": given}]}),
                ("/v1/rows", {"table": table, "where": given}),
                ("/v1/search", {"key": "item.embedding", "vector": value, "where": given}),
                ("/v1/sql", {"query": "select ?", "params": [value]}),
            ):
                content = json.dumps(body).encode()
                check(client, "POST", path, content=content, headers={"content-type": JSON})


def stream() -> bytes:
    sink = io.BytesIO()
    shops = pa.array(["NORTH", "SOUTH"]).dictionary_encode()
    sizes = [[{"label": "a", "cm": 1.0}], None]
    rows = pa.table(
        {
            "id": [1, 2],
            "name": ["coat", None],
            "shop": shops,
            "sizes": sizes,
            "embedding": [[1.0, 2, 3]] * 2,
        }
    )
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return sink.getvalue()


def test_an_arrow_stream_that_is_cut_or_of_wrong_bytes(client: TestClient) -> None:
    """A stream says itself where its values lie: read as it is, wrong places end the process."""
    whole, chance = stream(), random.Random(4)
    bodies = [whole[:cut] for cut in range(0, len(whole), 11)]
    for _ in range(500):
        wrong = bytearray(whole)
        for _ in range(chance.choice((1, 1, 2, 4))):
            wrong[chance.randrange(len(wrong))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
        bodies.append(bytes(wrong))
    path, headers = "/v1/tables/item/rows", {"content-type": ARROW}
    assert client.post(path, content=whole, headers=headers).status_code == 200
    for body in bodies:
        check(client, "POST", path, content=body, headers=headers)


def test_pages_of_no_site_and_of_others_are_no_pages_of_this_one(client: TestClient) -> None:
    for origin in ("http://[", "null", "http://other.example", ""):
        answer = client.get("/health", headers={"origin": origin})
        assert (answer.status_code, answer.json()["error"]["type"]) == (403, "CrossOrigin")
    assert client.get("/health", headers={"origin": "http://127.0.0.1:8000"}).status_code == 200


def test_who_hangs_up_while_sending_is_no_error_of_the_server(
    open_store: OpenStore, caplog: pytest.LogCaptureFixture
) -> None:
    with serve(open_store("shop", schemas=SCHEMAS), port=0) as running:
        place = urlsplit(running.url)
        head = f"POST /v1/tables/item/row HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: {JSON}\r\nContent-Length: 99\r\n\r\n"
        with socket.create_connection((place.hostname, place.port)) as connection:
            connection.sendall(head.encode() + b"{")
            with httpx.Client(base_url=running.url, timeout=60) as client:
                assert client.get("/health").status_code == 200
        with httpx.Client(base_url=running.url, timeout=60) as client:
            assert client.get("/health").status_code == 200
    assert "could not be answered" not in caplog.text
