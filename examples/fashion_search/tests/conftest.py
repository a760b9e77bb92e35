"""What several tests need: a store of a small drawn catalog, and an endpoint that gives ideas."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fashion_search.catalogs import drawn_catalogs
from fashion_search.ingest import ingest
from fashion_search.pipeline import open_store

PRODUCTS = 60


@pytest.fixture(scope="session")
def drawn_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a store with 60 drawn products, embedded and closed. Do not open it; take `a_store`."""
    folder = tmp_path_factory.mktemp("drawn") / "drawn.motion"
    with open_store(folder, durability="normal") as store:
        ingest(store, drawn_catalogs(PRODUCTS), commit_every=20)
        store.wait(timeout=100)
    return folder


@pytest.fixture
def a_store(drawn_store: Path, tmp_path: Path) -> Path:
    """The folder of a closed store with 60 drawn products, for one test alone."""
    return Path(shutil.copytree(drawn_store, tmp_path / "shop.motion"))


@dataclass
class IdeaServer:
    """A language model's endpoint, which says one idea after the other.

    Attributes:
        ideas: what it answers.
        prompts: what it was asked, in order.
        goes_on: it says nothing after its first idea until this is set.
    """

    url: str = ""
    ideas: list[str] = field(default_factory=lambda: ["red dress for women", "black boots"])
    prompts: list[str] = field(default_factory=list)
    goes_on: threading.Event = field(default_factory=threading.Event)

    def said(self) -> Iterator[str]:
        for place, idea in enumerate(self.ideas):
            yield f"{',' if place else '['}{json.dumps(idea)}"
            assert self.goes_on.wait(60)
        yield "]"


@pytest.fixture
def idea_server() -> Iterator[IdeaServer]:
    served = IdeaServer()
    served.goes_on.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            served.prompts.append(request["messages"][-1]["content"])
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            for part in served.said():
                chunk = {"choices": [{"index": 0, "delta": {"content": part}}]}
                self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
            self.wfile.write(b"data: [DONE]\n\n")

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield served
    server.shutdown()
    thread.join()
    server.server_close()
