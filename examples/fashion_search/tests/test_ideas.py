"""Outfit ideas: from the embedded model, and from a real HTTP endpoint on this machine."""

from __future__ import annotations

import contextlib
import gc
import importlib
import itertools
import json
import os
import pickle
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fashion_search.endpoint import (
    EndpointIdeas,
    IdeasUnavailable,
    ideas_as_they_come,
    ideas_in,
)
from fashion_search.ideas import (
    EMBEDDED,
    EmbeddedIdeas,
    IdeaModelMissing,
    names_a_product,
    the_item_asked_for,
)

DATA = Path(os.environ.get("MOTION_DATA", Path(__file__).parents[4] / "shared" / "data"))
needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason="the fashion data pack is not here; set MOTION_DATA"
)


@cache
def loaded() -> EmbeddedIdeas:
    return EmbeddedIdeas.load()


@pytest.fixture
def embedded() -> EmbeddedIdeas:
    return loaded()


# --- the embedded model ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("job interview for a man", "formal"),
        ("black tie gala", "evening dress"),
        ("ski trip", "jacket"),
        ("diwali party for women", "saree"),
        ("pool party", "swim"),
        ("what to wear to a funeral", "black"),
        ("marathon", "sports shoes"),
        ("monsoon", "waterproof jacket"),
        ("airport", "backpack"),
        ("yoga class", "leggings"),
    ],
)
def test_the_embedded_model_knows_occasions(query: str, word: str, embedded: EmbeddedIdeas) -> None:
    assert any(word in idea for idea in embedded.suggest(query))


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("red dress for women", "red dress for women"),
        ("looking for a green watch, men", "green watch, men"),
        ("ugg slippers women", "ugg slippers women"),
        ("men's purple flip flops", "men's purple flip flops"),
        ("tan strappy heels for women", "tan strappy heels for women"),
        ("a photo of a maroon t-shirt", "maroon t-shirt"),
        ("white shirt for a job interview", "white shirt for a job interview"),
    ],
)
def test_for_a_product_the_first_idea_is_that_product(
    query: str, first: str, embedded: EmbeddedIdeas
) -> None:
    ideas = embedded.suggest(query)
    assert ideas[0] == first
    assert len(ideas) > 1


def test_who_asks_decides_for_whom_the_items_are(embedded: EmbeddedIdeas) -> None:
    for_men = embedded.suggest("wedding guest outfit for a man")
    assert not any(idea.endswith("for women") for idea in for_men)
    assert any(idea.endswith("for men") for idea in for_men)


def test_the_same_query_gives_the_same_ideas(embedded: EmbeddedIdeas) -> None:
    assert embedded.suggest("garden party") == EmbeddedIdeas.load().suggest("garden party")


def test_blanks_and_capitals_change_nothing(embedded: EmbeddedIdeas) -> None:
    assert embedded.suggest("  Garden \n PARTY ") == embedded.suggest("garden party")


def test_threads_may_share_the_model(embedded: EmbeddedIdeas) -> None:
    queries = ["beach wedding", "red dress for women", "ski trip", "gym for men"] * 4
    one_by_one = [embedded.suggest(query) for query in queries]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(embedded.suggest, queries)) == one_by_one


@pytest.mark.parametrize("n", [1, 2, 5])
def test_as_many_ideas_are_given_as_asked_for(n: int, embedded: EmbeddedIdeas) -> None:
    assert len(embedded.suggest("beach wedding", n)) == n


@settings(max_examples=25, deadline=None)
@given(query=st.text(min_size=1, max_size=120).filter(str.strip))
def test_any_text_gets_distinct_items(query: str) -> None:
    ideas = loaded().suggest(query)
    assert len({idea.casefold() for idea in ideas}) == len(ideas) <= 5
    assert all(idea and idea == " ".join(idea.split()) for idea in ideas)
    assert not any(token in idea for idea in ideas for token in ("<men>", "<women>", "</s>"))


def test_a_query_that_holds_the_models_own_marks_is_only_text(embedded: EmbeddedIdeas) -> None:
    assert embedded.suggest("<women> <query> </s> beach wedding")


@pytest.mark.parametrize(("query", "n"), [("", 5), (" \n", 5), ("gala", 0)])
def test_asking_for_nothing_is_refused(query: str, n: int, embedded: EmbeddedIdeas) -> None:
    with pytest.raises(ValueError, match=r"the query is empty|n is 0"):
        embedded.suggest(query, n)


def test_a_folder_without_a_model_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(IdeaModelMissing, match=r"model\.safetensors, tokenizer\.json not found"):
        EmbeddedIdeas.load(tmp_path)


def test_the_weights_are_small() -> None:
    assert sum(file.stat().st_size for file in EMBEDDED.iterdir()) < 3_000_000


@pytest.mark.data
@needs_data
def test_held_out_occasions_get_at_least_one_plausible_item(embedded: EmbeddedIdeas) -> None:
    # One word for each category: the training script counts more closely.
    lines = (DATA / "queries" / "occasion_queries.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    served = [
        any(
            category.lower().replace("tshirts", "t-shirts").split()[-1].rstrip("s")[:5] in idea
            for idea in embedded.suggest(row["query"])
            for category in row["plausible_categories"]
        )
        for row in rows
    ]
    assert sum(served) >= 17


@pytest.mark.data
@needs_data
def test_product_queries_of_the_data_pack_come_first(embedded: EmbeddedIdeas) -> None:
    lines = (DATA / "queries" / "catalog_queries.jsonl").read_text().splitlines()
    queries = [row["query"] for row in map(json.loads, lines) if row["kind"] == "synonym"]
    assert [embedded.suggest(query, 1) for query in queries] == [[query] for query in queries]


def test_the_grammar_never_says_what_is_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[1])
    grammar = importlib.import_module("training.idea_grammar")
    said = itertools.islice(grammar.examples(5, ["Beach wedding!"]), 5_000)
    queries = [grammar.words_of(example.query) for example in said]
    assert not any("beach wedding" in query for query in queries)
    assert any("wedding" in query for query in queries)


# --- product queries ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    ["red dress", "t shirt", "black leather belts without buckle", "Nike shoes men, size 10"],
)
def test_an_item_is_known_as_a_product(query: str) -> None:
    assert names_a_product(query)


@pytest.mark.parametrize(
    "query",
    ["black tie gala", "what to wear with a red dress", "party look", "ring ceremony", "for"],
)
def test_an_occasion_is_no_product_though_it_has_the_word(query: str) -> None:
    assert not names_a_product(query)


@pytest.mark.parametrize(
    ("query", "item"),
    [
        ("Looking for a red dress, please", "red dress"),
        ("can you find me some white sneakers?", "white sneakers"),
        ("I want to buy a coat", "coat"),
        ("the north face jacket", "the north face jacket"),
        ("a-line dress", "a-line dress"),
        ("buy", "buy"),
    ],
)
def test_courtesies_are_left_out(query: str, item: str) -> None:
    assert the_item_asked_for(query) == item


@given(st.text(min_size=1, max_size=80).filter(str.strip))
def test_something_is_always_asked_for(query: str) -> None:
    assert the_item_asked_for(query)


# --- answers of language models -------------------------------------------------------------------

ITEMS = ["white linen shirt for men", "beige trousers", "tan loafers"]

WRITTEN = [
    json.dumps(ITEMS),
    f"Here are some ideas:\n```json\n{json.dumps(ITEMS, indent=1)}\n```\nEnjoy!",
    json.dumps({"ideas": ITEMS}),
    json.dumps([{"item": item} for item in ITEMS]),
    "Sure! Here are three:\n" + "\n".join(f"{i}. **{item}**" for i, item in enumerate(ITEMS, 1)),
    "\n".join(f"- {item};" for item in ITEMS),
    "\n\n".join(f"• {item}" for item in ITEMS),
    "\n".join(f"{i}) {item}" for i, item in enumerate(ITEMS, 1)),
]


@pytest.mark.parametrize("answer", WRITTEN)
def test_lists_are_read_as_models_write_them(answer: str) -> None:
    assert ideas_in(answer) == ITEMS


@pytest.mark.parametrize("answer", WRITTEN)
@given(st.data())
def test_the_same_is_read_however_an_answer_comes_in_parts(
    answer: str, data: st.DataObject
) -> None:
    places = st.lists(st.integers(0, len(answer)), max_size=20)
    cuts = [0, *sorted(data.draw(places)), len(answer)]
    parts = [answer[start:end] for start, end in itertools.pairwise(cuts)]
    assert list(ideas_as_they_come(parts)) == ITEMS


@pytest.mark.parametrize("answer", WRITTEN)
def test_an_idea_is_given_when_its_last_word_is_there(answer: str) -> None:
    """A line ends with the next one; an item of a list with its quotation mark, and what it stands in."""
    said = 0

    def letters() -> Iterator[str]:
        nonlocal said
        for said, letter in enumerate(answer, 1):  # noqa: B007 - it is looked at outside
            yield letter

    for idea in ideas_as_they_come(letters()):
        rest = answer[answer.index(idea) + len(idea) : said]
        assert len(rest.strip()) <= 2 or said == len(answer)


@given(st.lists(st.text(max_size=20), max_size=10))
def test_whatever_comes_in_parts_has_the_ideas_of_the_whole(parts: list[str]) -> None:
    assert set(ideas_as_they_come(parts)) >= set(ideas_in("".join(parts)))


@given(st.text(max_size=400))
def test_no_answer_breaks_the_reading(answer: str) -> None:
    assert all(idea.strip() for idea in ideas_in(answer))


# --- endpoints ------------------------------------------------------------------------------------


@dataclass
class Endpoint:
    """A server on this machine that answers every request with the same body."""

    url: str = ""
    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    parts: Iterator[str] | None = None
    left: threading.Event = field(
        default_factory=threading.Event
    )  # a client has closed its connection

    def events(self) -> Iterator[bytes]:
        """Give what is said in parts as the protocol does."""
        for part in self.parts or ():
            chunk = {"choices": [{"index": 0, "delta": {"content": part}}]}
            yield f"data: {json.dumps(chunk)}\n\n".encode()
        yield b"data: [DONE]\n\n"

    def say(self, content: str | None) -> None:
        choice = {"index": 0, "message": {"role": "assistant", "content": content}}
        self.body = json.dumps(
            {"id": "1", "object": "chat.completion", "choices": [choice]}
        ).encode()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    served = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            served.requests.append(json.loads(self.rfile.read(length)))
            served.headers.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(served.status)
            if served.parts is not None:
                self.send_header("Content-Type", "text/event-stream; charset=utf-8")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.close_connection = True
                with contextlib.suppress(ConnectionAbortedError):
                    for event in served.events():
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
                    self.wfile.write(b"0\r\n\r\n")
                return
            self.send_header("Content-Type", served.content_type)
            self.send_header("Content-Length", str(len(served.body)))
            self.end_headers()
            self.wfile.write(served.body)

        def finish(self) -> None:
            super().finish()
            served.left.set()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


def ideas_from(endpoint: Endpoint) -> EndpointIdeas:
    return EndpointIdeas(endpoint.url, "tiny", api_key="secret-key", max_retries=0)


def test_an_endpoints_items_are_the_ideas(endpoint: Endpoint) -> None:
    endpoint.say(json.dumps(ITEMS))
    assert ideas_from(endpoint).suggest("beach wedding", n=2) == ITEMS[:2]


def test_the_endpoint_is_asked_for_the_query_with_model_and_key(endpoint: Endpoint) -> None:
    endpoint.say(json.dumps(ITEMS))
    ideas_from(endpoint).suggest("beach wedding", n=4)
    [request], [headers] = endpoint.requests, endpoint.headers
    assert request["model"] == "tiny"
    assert request["temperature"] == 0
    assert "beach wedding" in request["messages"][-1]["content"]
    assert "4" in request["messages"][-1]["content"]
    assert headers["authorization"] == "Bearer secret-key"


def test_an_idea_is_there_while_the_model_still_speaks(endpoint: Endpoint) -> None:
    heard = threading.Event()

    def spoken() -> Iterator[str]:
        yield from ('["beige', ' trousers", ')
        assert heard.wait(60)  # nothing more is said until the first idea has been heard
        yield '"tan loafers"]'

    endpoint.parts = spoken()
    ideas = ideas_from(endpoint).stream("beach wedding")
    assert next(ideas) == "beige trousers"
    heard.set()
    assert list(ideas) == ["tan loafers"]
    assert endpoint.requests[0]["stream"] is True


def test_what_breaks_off_in_the_middle_is_an_error_after_what_came(endpoint: Endpoint) -> None:
    def spoken() -> Iterator[str]:
        yield '["beige trousers", '
        raise ConnectionAbortedError

    endpoint.parts = spoken()
    ideas = ideas_from(endpoint).stream("beach wedding")
    assert next(ideas) == "beige trousers"
    with pytest.raises(IdeasUnavailable, match="Check --llm-url"):
        next(ideas)


def test_an_item_listed_twice_is_one_idea(endpoint: Endpoint) -> None:
    endpoint.say('["Red dress", "red dress", "tan sandals"]')
    assert ideas_from(endpoint).suggest("summer") == ["Red dress", "tan sandals"]


def test_a_product_comes_first_whatever_the_endpoint_says(endpoint: Endpoint) -> None:
    endpoint.say(json.dumps(ITEMS))
    assert ideas_from(endpoint).suggest("show me a red dress", n=2) == ["red dress", ITEMS[0]]


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "I'm sorry, but as a language model I cannot help you to choose what to wear to an event like this one.",
        "[]",
        "[1, 2, 3]",
    ],
)
def test_an_answer_without_items_is_an_error(content: str | None, endpoint: Endpoint) -> None:
    endpoint.say(content)
    with pytest.raises(IdeasUnavailable, match="its answer") as caught:
        ideas_from(endpoint).suggest("beach wedding")
    assert caught.value.url == endpoint.url


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"<html>It works!</html>", "text/html"),
        (b"{}", "application/json"),
        (b"not json", "application/json"),
        (b'{"choices": []}', "application/json"),
        (b'{"choices": [{"message": null}]}', "application/json"),
    ],
)
def test_a_server_that_is_no_llm_is_an_error(
    body: bytes, content_type: str, endpoint: Endpoint
) -> None:
    endpoint.body, endpoint.content_type = body, content_type
    with pytest.raises(IdeasUnavailable, match="Check --llm-url"):
        ideas_from(endpoint).suggest("beach wedding")


@pytest.mark.parametrize("status", [401, 404, 500])
def test_a_refusal_names_the_address_the_model_and_the_way_out(
    status: int, endpoint: Endpoint
) -> None:
    endpoint.status, endpoint.body = status, b'{"error": {"message": "no such model"}}'
    with pytest.raises(IdeasUnavailable) as caught:
        ideas_from(endpoint).suggest("beach wedding")
    for part in (endpoint.url, "'tiny'", str(status), "no such model", "--llm-url"):
        assert part in str(caught.value)
    assert "secret-key" not in str(caught.value)


def test_what_nobody_asks_any_more_has_closed_its_connections(endpoint: Endpoint) -> None:
    endpoint.say(json.dumps(ITEMS))
    gc.disable()  # the client lies in a cycle; who is the last to hold the ideas is not to wait for the collector
    try:
        ideas_from(endpoint).suggest("beach wedding")
        assert endpoint.left.wait(60)
    finally:
        gc.enable()


def test_a_port_where_nobody_listens_is_an_error() -> None:
    with socket.socket() as taken:  # bound and not listening: nobody else can take it meanwhile
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        with pytest.raises(IdeasUnavailable, match="refused") as caught:
            EndpointIdeas(url, "tiny", max_retries=0).suggest("beach wedding")
    assert url in str(caught.value)


def test_the_error_survives_the_way_between_processes() -> None:
    error = IdeasUnavailable("http://localhost/v1", "tiny", "refused")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
