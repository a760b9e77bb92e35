"""`examples/profiles.py`, by an endpoint that says what a model once said, over HTTP on this machine."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.postgres import files_of

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "examples"))
profiles: Any = importlib.import_module("profiles")

ROME = "Profile: nothing is known\nMessage: I am Ann and I live in Rome."
OSLO = "Profile: nothing is known\nMessage: I am Ann and I live in Oslo."
MEAT = "Profile: Ann, of {}.\nMessage: I do not eat meat."
DINNER = "Where could I have dinner?"

RECORDED = {
    ROME: "Ann, of Rome.",
    OSLO: "Ann, of Oslo.",
    MEAT.format("Rome"): "Ann, of Rome, a vegetarian.",
    MEAT.format("Oslo"): "Ann, of Oslo, a vegetarian.",
    "Profile: nothing is known\nMessage: I am Bob.": "Bob.",
}


class Endpoint(BaseHTTPRequestHandler):
    """Answers as it was recorded, and says 500 to what was not."""

    asked: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        task, text = (message["content"] for message in body["messages"])
        self.asked.append(text)
        said = (
            f"Osteria, for: {task.partition('known: ')[2]}"
            if text == DINNER
            else RECORDED.get(text)
        )
        is_right = said is not None and self.path == "/v1/chat/completions"
        answer = json.dumps({"choices": [{"message": {"role": "assistant", "content": said}}]})
        self.send_response(200 if is_right else 500)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(autouse=True)
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A recorded model; gives what it was asked."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
    Endpoint.asked.clear()
    yield Endpoint.asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_profile_follows_its_messages_answers_and_is_forgotten(
    tmp_path: Path, endpoint: list[str]
) -> None:
    with profiles.open_chat(f"sqlite:///{tmp_path}/profiles.motion") as store:
        store.set("message", id=1, user="ann", text="I am Ann and I live in Rome.")
        store.set("message", id=2, user="ann", text="I do not eat meat.")
        store.set("message", id=3, user="bob", text="I am Bob.")
        store.wait(timeout=60)
        known = {user.id: user.profile for user in store.rows("user")}
        assert known == {"ann": "Ann, of Rome, a vegetarian.", "bob": "Bob."}
        assert len(endpoint) == 3

        store.set("question", id=1, user="ann", text=DINNER).wait("answer", timeout=60)
        store.set("message", id=1, text="I am Ann and I live in Oslo.")
        store.wait(timeout=60)
        assert store.get("user", "ann").profile == "Ann, of Oslo, a vegetarian."
        assert store.get("question", 1).answer == "Osteria, for: Ann, of Rome, a vegetarian."
        assert endpoint[-2:] == [OSLO, MEAT.format("Oslo")]

        forgotten = store.forget("user", "ann")
        assert forgotten.rows == {"user": 1, "message": 2, "question": 1}
        assert [user.id for user in store.rows("user")] == ["bob"]
    files = [*tmp_path.rglob("*"), *files_of(tmp_path / "profiles.motion")]
    left = [path.read_bytes() for path in files if path.is_file()]
    assert not any(word in each for word in (b"Ann", b"ann", b"Oslo", b"meat") for each in left)
    assert any(b"Bob" in each for each in left)


def test_it_runs_as_a_program(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src")])}
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "profiles.py")],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        "Osteria, for: Ann, of Rome, a vegetarian.",
        "forgotten: rows: 1 of user, 2 of message, 1 of question; labels: 0",
    ]


def test_it_is_short() -> None:
    assert len((ROOT / "examples" / "profiles.py").read_text().splitlines()) < 100
