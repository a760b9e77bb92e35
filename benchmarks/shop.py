"""The shop of the example over HTTP: how soon an idea is seen after the model behind it has begun to speak."""

from __future__ import annotations

import json
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from benchmarks.machine import Figure

PRODUCTS, QUESTIONS = 60, 30
IDEAS = ["white linen shirt for men", "beige trousers for men", "tan loafers for men"]
PART_S = 0.02
"""Between two parts of what the model says: fifty a second."""


class Model:
    """A model's endpoint, which speaks in parts, as models do.

    Attributes:
        begun_s, idea_s: when the first part of its last answer was sent, and the one that ended its first idea.
    """

    def __init__(self) -> None:
        self.begun_s = self.idea_s = 0.0
        model = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                said = ""
                for word in json.dumps(IDEAS).split(" "):
                    part = f" {word}" if said else word
                    said += part
                    chunk = {"choices": [{"index": 0, "delta": {"content": part}}]}
                    now = time.perf_counter()
                    if said == part:
                        model.begun_s = now
                    if said == json.dumps(IDEAS)[: len(IDEAS[0]) + 4]:  # with its comma
                        model.idea_s = now
                    self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
                    time.sleep(PART_S)
                self.wfile.write(b"data: [DONE]\n\n")

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @contextmanager
    def speaking(self) -> Iterator[Model]:
        thread = threading.Thread(target=self._server.serve_forever)
        thread.start()
        yield self
        self._server.shutdown()
        thread.join()
        self._server.server_close()


def seen_s(client: httpx.Client, question: str) -> float:
    """Ask, and return when the model's first idea was seen."""
    begun = client.post("/api/questions", json={"query": question}).raise_for_status().json()
    seen, path = 0.0, f"/api/questions/{begun['id']}/events"
    with client.stream("GET", path, params={"change": begun["change"]}) as stream:
        for line in stream.iter_lines():
            if not seen and line.startswith("data: ") and IDEAS[0] in line:
                seen = time.perf_counter()
    return seen


def first_idea() -> list[Figure]:
    """Questions one after the other, to a shop of drawn products, of a model that speaks in parts."""
    from fashion_search.catalogs import drawn_catalogs
    from fashion_search.ingest import ingest
    from fashion_search.pipeline import LanguageModel, open_store
    from fashion_search.web import create_shop
    from motion.server import serve

    after_first, after_idea = [], []
    with tempfile.TemporaryDirectory() as folder, Model().speaking() as model:
        chosen = LanguageModel(model.url, "spoken")
        with open_store(Path(folder) / "shop.motion", language_model=chosen) as store:
            ingest(store, drawn_catalogs(PRODUCTS))
            store.wait()
            with (
                serve(store, port=0, app=create_shop(store)) as serving,
                httpx.Client(base_url=serving.url, timeout=60) as client,
            ):
                client.get("/")
                for number in range(QUESTIONS):
                    seen = seen_s(client, f"what to wear to beach wedding {number}")
                    after_first.append(1e3 * (seen - model.begun_s))
                    after_idea.append(1e3 * (seen - model.idea_s))
    spoken = statistics.median(after_first) - statistics.median(after_idea)
    names = ("p50", "p95")
    return [
        Figure(
            f"shop: an idea is seen after the model's first word, {name}", first, "ms", spoken, first / spoken,
            f"× what the model took to say it; {idea:.0f} ms after its last word", "≤ 300 ms", "",
        )
        for name, first, idea in zip(names, quantiles(after_first), quantiles(after_idea), strict=True)
    ]  # fmt: skip


def quantiles(values: list[float]) -> tuple[float, float]:
    """Return the median and the 95th percentile."""
    return statistics.median(values), statistics.quantiles(values, n=20)[-1]
