"""A store over HTTP: a real server in a thread, asked by a real client."""

from __future__ import annotations

import base64
import io
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any

import httpx
import numpy as np
import pyarrow as pa
import pytest

import motion
from motion.server.running import Serving, serve
from tests.conftest import OpenStore

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 8
ARROW = "application/vnd.apache.arrow.stream"


class Shop(Enum):
    NORTH = 1
    SOUTH = 2


@dataclass
class Size:
    label: str
    cm: float


@dataclass
class Item:
    id: int
    name: str
    shop: Shop
    price: float
    photo: bytes
    seen: datetime
    sizes: list[Size] = field(default_factory=list)
    grid: np.ndarray[Any, Any] | None = None
    embedding: Annotated[np.ndarray[Any, Any], motion.Vector(3)] | None = None


@dataclass
class Query:
    id: str
    query: str
    idea_page: int
    idea: str
    link: str


@motion.trigger(on="query.query", sets="query.idea", page="idea_page")
def think(query: str) -> list[str]:
    if query == "bad":
        raise ValueError("the model is in /srv/models/private")
    return [f"{query} {number}" for number in range(3)]


@motion.trigger(on="query.idea", sets="query.link")
def link(idea: str) -> str:
    return f"https://shop.example/{idea}"


SCHEMAS = {"item": Item, "query": Query}


@pytest.fixture
def store(open_store: OpenStore) -> motion.Store:
    return open_store("shop", schemas=SCHEMAS, triggers=[think, link])


@pytest.fixture
def serving(store: motion.Store) -> Iterator[Serving]:
    with serve(store, port=0) as running:
        yield running


@pytest.fixture
def client(serving: Serving) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=serving.url, timeout=60) as found:
        yield found


def events_of(response: httpx.Response) -> Iterator[dict[str, Any]]:
    """Give the events of a stream: their kind, data and id, where they have one."""
    event: dict[str, Any] = {}
    for line in response.iter_lines():
        name, _, value = line.partition(": ")
        if name in ("event", "id"):
            event[name] = value
        elif name == "data":
            event["data"] = json.loads(value)
        elif not line and "event" in event:
            yield event
            event = {}


def events_path(change: dict[str, Any], key: str, **more: Any) -> httpx.URL:
    path = httpx.URL(f"/v1/changes/{change['change']}/events")
    return path.copy_merge_params({"table": "query", "id": change["id"], "key": key, **more})


def test_a_row_is_set_read_and_deleted(client: httpx.Client, store: motion.Store) -> None:
    change = client.post("/v1/tables/item/row", json={"name": "coat", "shop": "NORTH"}).json()
    assert store.get(Item, change["id"]).shop is Shop.NORTH  # type: ignore[union-attr]  # it is there
    row = client.get("/v1/tables/item/row", params={"id": change["id"]}).json()
    assert (row["name"], row["shop"], row["price"]) == ("coat", "NORTH", None)
    client.delete("/v1/tables/item/row", params={"id": change["id"]}).raise_for_status()
    assert client.get("/v1/tables/item/row", params={"id": change["id"]}).status_code == 404


def test_every_kind_of_value_comes_back_as_it_went(
    client: httpx.Client, store: motion.Store
) -> None:
    values: dict[str, Any] = {
        "id": 1, "name": "häuser 🧥", "shop": Shop.SOUTH, "price": float("inf"), "photo": PNG,
        "seen": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "sizes": [Size("S", 1.5)],
        "grid": np.arange(6, dtype=np.int16).reshape(2, 3), "embedding": np.array([1, 2, 3], np.float32),
    }  # fmt: skip
    store.set("item", **values)
    row = client.get("/v1/tables/item/row", params={"id": 1}).json()
    client.post("/v1/tables/item/row", json={**row, "id": 2}).raise_for_status()
    copy = store.get(Item, 2)
    assert copy is not None
    for name in set(values) - {"id", "grid", "embedding"}:
        assert getattr(copy, name) == values[name]
    for name in ("grid", "embedding"):
        assert getattr(copy, name).dtype == values[name].dtype
        assert np.array_equal(getattr(copy, name), values[name])


WRONG: list[Any] = [
    {"nam": "coat"}, {"name": 7}, {"shop": "EAST"}, {"photo": "no base64!"}, {"embedding": ["a", 1, 2]},
        {"embedding": [1, 2]}, {"seen": "yesterday"}, {"seen": 5}, {"id": "seven"}, {"sizes": [{"label": 1}]},
        {"grid": {"dtype": "O", "shape": [1], "data": ""}}, {"grid": [[1], [1, 2]]}, {"grid": {"dtype": "<f4"}},
        {"name": "\ud800"}, {"price": "NaN"}, {"force": 3}, {"if_unchanged": {"id": 1}}, [], "coat",
]  # fmt: skip


def test_a_wrong_value_is_refused_with_what_was_expected_and_nothing_is_written(
    client: httpx.Client, store: motion.Store
) -> None:
    for body in WRONG:
        content = json.dumps(body).encode()
        kind = {"content-type": "application/json"}
        answer = client.post("/v1/tables/item/row", content=content, headers=kind)
        assert answer.status_code == 400, body
        assert answer.json()["error"]["message"]
    assert store.rows("item") == []


def test_who_asks_for_what_is_not_there_is_told_where_to_look(client: httpx.Client) -> None:
    nowhere = client.get("/v1/nothing")
    assert nowhere.status_code == 404
    assert nowhere.json()["error"]["message"].startswith("there is no route '/v1/nothing' here; ")
    otherwise = client.put("/v1/tables/item/row", json={"id": 1})
    assert otherwise.status_code == 405
    assert f"does not take PUT; it takes {otherwise.headers['allow']}" in otherwise.text
    broken = client.post(
        "/v1/tables/item/row", content=b"{bad", headers={"content-type": "application/json"}
    )
    assert "was given '{bad'" in broken.json()["error"]["message"]


def test_a_row_is_set_only_as_it_was_read(client: httpx.Client) -> None:
    client.post("/v1/tables/item/row", json={"id": 1, "name": "coat", "price": 1.0})
    read = client.get("/v1/tables/item/row", params={"id": 1}).json()
    body = {"id": 1, "price": 2.0, "if_unchanged": read}
    assert client.post("/v1/tables/item/row", json=body).status_code == 200
    assert client.post("/v1/tables/item/row", json=body).status_code == 409


def test_rows_are_chosen_ordered_and_continued(client: httpx.Client) -> None:
    rows = [
        {"id": i, "name": f"n{i}", "shop": "NORTH" if i % 2 else "SOUTH", "price": float(-i)}
        for i in range(10)
    ]
    assert client.post("/v1/tables/item/rows", json=rows).json()["count"] == 10

    def ids(**params: Any) -> list[int]:
        found = client.get("/v1/tables/item/rows", params=params).raise_for_status()
        return [each["id"] for each in found.json()["rows"]]

    assert ids(where="price < ?", params="[-7]") == [8, 9]
    assert ids(where='{"shop": "NORTH"}') == [1, 3, 5, 7, 9]
    assert ids(order_by="price", limit=2) == [9, 8]
    first = client.get("/v1/tables/item/rows", params={"limit": 6, "keys": "name"}).json()
    assert first["rows"][0] == {"id": 0, "name": "n0"}
    assert ids(limit=6, after=first["next"]) == [6, 7, 8, 9]


def test_values_of_a_condition_are_taken_as_older_clients_name_them(client: httpx.Client) -> None:
    client.post("/v1/tables/item/row", json={"id": 1, "name": "coat"})
    for name in ("values", "params"):
        given = {"where": "name = ?", name: '["coat"]'}
        assert len(client.get("/v1/tables/item/rows", params=given).json()["rows"]) == 1
        given[name] = '["hat"]'
        assert client.get("/v1/tables/item/rows", params=given).json()["rows"] == []


def test_rows_go_as_arrow_both_ways(client: httpx.Client, store: motion.Store) -> None:
    table = pa.table(
        {"id": [1, 2], "name": ["coat", "hat"], "embedding": [[1.0, 0, 0], [0, 1.0, 0]]}
    )
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    headers = {"content-type": ARROW}
    client.post("/v1/tables/item/rows", content=sink.getvalue(), headers=headers).raise_for_status()
    assert [each.name for each in store.rows(Item)] == ["coat", "hat"]
    answer = client.post(
        "/v1/sql", json={"query": "select name from item order by id"}, headers={"accept": ARROW}
    )
    found = pa.ipc.open_stream(answer.content).read_all()
    assert found.to_pydict() == {"name": ["coat", "hat"]}


def test_a_search_finds_what_fits_best_among_what_a_condition_holds_for(
    client: httpx.Client,
) -> None:
    rows = [{"id": i, "name": f"linen {i}", "price": float(i), "embedding": [1, i, 0]} for i in range(5)]  # fmt: skip
    client.post("/v1/tables/item/rows", json=rows).raise_for_status()

    def ids(**body: Any) -> list[int]:
        return [hit["id"] for hit in client.post("/v1/search", json=body).json()["hits"]]

    assert ids(key="item.embedding", vector=[1, 4, 0], k=2) == [4, 3]
    assert ids(key="item.embedding", vector=[1, 4, 0], k=2, where="price < ?", params=[3]) == [2, 1]
    assert ids(key="item.name", text="linen", k=9, where={"price": 3}) == [3]


def test_a_search_among_rows_with_ids_of_any_text_finds_each_of_them(open_store: OpenStore) -> None:
    @dataclass
    class Note:
        id: str
        kind: str
        page: int
        place: Annotated[np.ndarray, motion.Vector(2)]

    store = open_store(schemas={"note": Note})
    ids = [
        "a",
        "a\0",
        "a\0b",
        "a\1b",
        "a\1a",
        "\0",
        "\1",
        "\1a\0b\1",
        "",
        "ü\0\0",
        "a\\u0000b",
        'q"\0',
    ]
    for n, id in enumerate(ids):
        for page in (0, 1):
            store.set("note", id=id, page=page, kind=f"{n}", place=np.array([1.0, n]))

    with serve(store, port=0) as serving, httpx.Client(base_url=serving.url) as client:

        def found(where: Any) -> list[tuple[str, int]]:
            body = {"key": "note.place", "vector": [1, 0], "k": 99, "where": where}
            hits = client.post("/v1/search", json=body).raise_for_status().json()["hits"]
            return sorted((hit["id"], hit["pages"]["page"]) for hit in hits)

        assert found("1 = 1") == sorted((id, page) for id in ids for page in (0, 1))
        for n, id in enumerate(ids):
            assert found({"id": id}) == found({"kind": f"{n}"}) == [(id, 0), (id, 1)]


def test_an_image_goes_out_as_itself_and_a_drawing_as_nothing_to_be_run(
    client: httpx.Client,
) -> None:
    for number, content in enumerate((PNG, b"<svg onload=alert(1)>", b"<html>")):
        photo = base64.b64encode(content).decode()
        client.post("/v1/tables/item/row", json={"id": number, "photo": photo}).raise_for_status()
    answers = [
        client.get("/v1/tables/item/value", params={"id": number, "key": "photo"})
        for number in range(3)
    ]
    kinds = [each.headers["content-type"] for each in answers]
    assert kinds == ["image/png", "application/octet-stream", "application/octet-stream"]
    assert answers[0].content == PNG
    etag = answers[0].headers["etag"]
    again = client.get(answers[0].url, headers={"if-none-match": etag})
    assert (again.status_code, again.content) == (304, b"")


def test_a_stream_gives_each_row_once_and_ends(client: httpx.Client) -> None:
    change = client.post("/v1/tables/query/row", json={"query": "red dress"}).json()
    with client.stream("GET", events_path(change, "link")) as response:
        events = list(events_of(response))
    rows = [each["data"] for each in events if each["event"] == "row"]
    assert sorted(each["idea_page"] for each in rows) == [0, 1, 2]
    assert {each["link"] for each in rows} == {
        f"https://shop.example/red dress {i}" for i in range(3)
    }
    assert events[-1]["event"] == "end"
    assert events[-1]["data"] == {"change": change["change"], "failed": 0}


def test_a_stream_goes_on_after_the_last_event_that_was_had(open_store: OpenStore) -> None:
    doors = {number: threading.Event() for number in range(6)}

    @motion.trigger(on="item.price", sets="item.name", concurrency=6, inline=False)
    def name(price: float) -> str:
        doors[int(price)].wait(60)
        return f"n{price}"

    store = open_store("shop", schemas={"item": Item}, triggers=[name])
    change = store.set_many("item", [{"id": number, "price": float(number)} for number in doors])
    path = httpx.URL(f"/v1/changes/{change.key}/events").copy_merge_params(
        {"table": "item", "key": "name", "id": [str(each) for each in doors]}
    )
    with serve(store, port=0) as running, httpx.Client(base_url=running.url, timeout=60) as client:
        had: list[int] = []
        last = ""
        for number, door in doors.items():  # a connection for each event, as bad as it gets
            door.set()
            headers = {"last-event-id": last} if last else {}
            with client.stream("GET", path, headers=headers) as response:
                event = next(events_of(response))
                had.append(event["data"]["id"])
                last = event["id"]
            assert had == list(range(number + 1))
        with client.stream("GET", path, headers={"last-event-id": last}) as response:
            assert [each["event"] for each in events_of(response)] == ["end"]
        with client.stream("GET", path) as response:  # a page that is loaded again
            assert [each["event"] for each in events_of(response)] == ["row"] * 6 + ["end"]


def test_a_text_is_sent_in_parts_as_it_grows(open_store: OpenStore) -> None:
    @motion.trigger(on="query.query", sets="query.link")
    def write(query: str) -> Iterator[str]:
        yield from query.split()

    store = open_store("texts", schemas={"query": Query}, triggers=[write])
    with serve(store, port=0) as running, httpx.Client(base_url=running.url, timeout=60) as client:
        change = client.post("/v1/tables/query/row", json={"query": "a red dress"}).json()
        with client.stream("GET", events_path(change, "link", parts="true")) as response:
            events = list(events_of(response))
    parts = [each["data"] for each in events if each["event"] == "part"]
    assert parts[0]["is_first"]
    assert "".join(each["text"] for each in parts) == "areddress"
    assert events[-1]["event"] == "end"


def test_a_stream_that_has_ended_is_not_begun_again(client: httpx.Client) -> None:
    change = client.post("/v1/tables/query/row", json={"query": "red dress"}).json()
    with client.stream("GET", events_path(change, "link")) as response:
        last = list(events_of(response))[-1]["id"]
    answer = client.get(events_path(change, "link"), headers={"last-event-id": last})
    assert (answer.status_code, answer.content) == (204, b"")


def test_a_failed_stream_ends_with_the_error(client: httpx.Client) -> None:
    change = client.post("/v1/tables/query/row", json={"query": "bad"}).json()
    with client.stream("GET", events_path(change, "link")) as response:
        events = list(events_of(response))
    assert [each["event"] for each in events] == ["failed", "end"]
    assert "the model is in" in events[0]["data"]["error"]
    assert events[1]["data"]["failed"] == 1


def test_a_change_is_waited_for_and_its_failures_are_tried_again(client: httpx.Client) -> None:
    change = client.post("/v1/tables/query/row", json={"query": "bad"}).json()
    path = f"/v1/changes/{change['change']}"
    done = client.post(f"{path}/wait", json={"timeout": 30}).json()
    assert (done["remaining"], done["failed"]) == (0, 1)
    assert client.get("/v1/errors").json()["errors"][0]["trigger"] == "think"
    assert client.post("/v1/retry", json={}).json() == {"rows": 1}
    assert client.get("/v1/changes/999999").status_code == 400


def test_the_server_says_how_the_store_is(client: httpx.Client, store: motion.Store) -> None:
    store.set("query", query="red dress").wait()
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/ready").json() == {"status": "ready"}
    assert client.get("/v1/status").json()["triggers"]["think"]["calls"] == 1
    figures = client.get("/metrics").text
    assert 'motion_calls_total{trigger="think"} 1.0' in figures
    assert 'motion_http_request_seconds_count{method="GET",route="/v1/status",status="200"} 1.0' in figures  # fmt: skip
    store.close()
    assert client.get("/ready").status_code == 503
    assert client.get("/v1/status").status_code == 503


def test_the_status_is_sent_now_and_when_it_is_another(
    client: httpx.Client, store: motion.Store
) -> None:
    with client.stream("GET", "/v1/status/events") as response:
        events = events_of(response)
        first = next(events)["data"]
        store.set("query", query="red dress").wait()
        later = next(each["data"] for each in events if each["data"]["last_change"] > first["last_change"])  # fmt: skip
    assert later["name"] == "shop"


def test_a_server_stops_although_streams_are_open_and_the_next_one_goes_on_with_them(
    open_store: OpenStore,
) -> None:
    at_rest = open_store("shop", schemas=SCHEMAS, triggers=[think, link], run=False)
    with (
        serve(at_rest, port=0) as running,
        httpx.Client(base_url=running.url, timeout=60) as client,
    ):
        change = client.post("/v1/tables/query/row", json={"query": "red dress"}).json()
        with client.stream("GET", events_path(change, "link")) as response:
            lines = response.iter_lines()
            assert next(lines) == ": motion"
            running.stop()
            assert not [line for line in lines if line.startswith("event:")]  # it ends, whole
    at_rest.close()
    again = open_store("shop", schemas=SCHEMAS, triggers=[think, link])
    with (
        serve(again, port=0) as running,
        httpx.Client(base_url=running.url, timeout=60) as client,
        client.stream("GET", events_path(change, "link")) as response,
    ):
        kinds = [each["event"] for each in events_of(response)]
    assert kinds == ["row", "row", "row", "end"]


def test_every_route_says_what_it_needs(serving: Serving, client: httpx.Client) -> None:
    described = client.get("/openapi.json").json()
    assert described["security"] == [{"token": []}]
    assert {"/v1/search", "/v1/sql", "/v1/tables/{table}/row"} <= set(described["paths"])


def test_a_client_that_is_generated_has_short_names_and_one_class_for_what_is_told_often(
    client: httpx.Client,
) -> None:
    described = client.get("/openapi.json").json()
    operations = [each for path in described["paths"].values() for each in path.values()]
    names = [each["operationId"] for each in operations]
    assert len(set(names)) == len(names)
    assert {"set_row", "get_rows", "search", "sql", "explain", "fit"} <= set(names)
    assert all(re.fullmatch(r"[a-z_]{2,20}", each) for each in names)
    failing = [told["content"] for each in operations for code, told in each["responses"].items() if code >= "400"]  # fmt: skip
    assert {content["application/json"]["schema"]["$ref"] for content in failing} == {"#/components/schemas/Error"}  # fmt: skip
    for name in re.findall(r'"#/components/schemas/(\w+)"', json.dumps(described)):
        assert name in described["components"]["schemas"]
    # In Python such a client has a variable of its own by this name.
    given = [each["name"] for operation in operations for each in operation.get("parameters", ())]
    assert "params" not in given
