"""`examples/fraud.py`, with a webhook on this machine: payments come late, labels a month later, and some are wrong at first."""

from __future__ import annotations

import importlib
import json
import random
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from motion import clock

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "examples"))
fraud: Any = importlib.import_module("fraud")

MINUTE_MS = 60_000
MONTH_S = 30 * 24 * 3600


class Webhook(BaseHTTPRequestHandler):
    """Takes alerts, and fails the first call of each."""

    calls: ClassVar[list[str]] = []
    alerts: ClassVar[dict[str, dict[str, Any]]] = {}

    def do_POST(self) -> None:
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = self.headers["Idempotency-Key"]
        is_first = key not in self.calls
        self.calls.append(key)
        if not is_first:
            self.alerts[key] = told
        self.send_response(503 if is_first else 204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Webhook]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("WEBHOOK", f"http://127.0.0.1:{server.server_port}/alerts")
    Webhook.calls.clear()
    Webhook.alerts.clear()
    yield Webhook
    server.shutdown()
    server.server_close()
    thread.join()


def payments(chance: random.Random) -> list[dict[str, Any]]:
    """Return payments of 30 cards, every third of which is stolen: many small payments within an hour."""
    found = []
    for card in range(30):
        is_stolen = card % 3 == 0
        for i in range(5):
            minutes = i * 3 if is_stolen else i * 700
            found.append(
                {
                    "ts": (card * 10_000 + minutes) * MINUTE_MS,
                    "card": card,
                    "amount": round(
                        chance.uniform(1, 30) if is_stolen else chance.uniform(1, 90), 2
                    ),
                }
            )
    chance.shuffle(found)  # as they come, not as they were made
    return [{**row, "id": i} for i, row in enumerate(found, 1)]


def test_it_scores_alerts_once_and_learns_from_late_and_corrected_labels(
    tmp_path: Path, webhook: type[Webhook]
) -> None:
    chance = random.Random(7)
    rows = payments(chance)
    stolen = {row["id"]: row["card"] % 3 == 0 for row in rows}
    with fraud.open_bank(f"sqlite:///{tmp_path}/bank.motion") as store:
        store.set_many("payment", rows)
        store.set("payment", id=1000, ts=99_000_000 * MINUTE_MS, card=99, amount=9000.0)
        store.wait(timeout=100)
        assert not store.errors()
        assert webhook.alerts["payment-1000"]["card"] == 99
        decided = {row.id: (row.spent, row.times, row.risk) for row in store.rows("payment")}

        late = {"id": 1001, "ts": 99_000_000 * MINUTE_MS - 5, "card": 99, "amount": 1.0}
        store.set(
            "payment", **late
        )  # the payment that was told of is scored again, and not told of
        store.wait(timeout=100)
        assert store.get("payment", 1000).times == 1
        assert (
            webhook.calls.count("payment-1000") == 2
        )  # the one that failed, and the one that did not

        clock.advance(MONTH_S)
        ids = [row["id"] for row in rows]
        wrong = set(chance.sample(ids, 8))
        for row in ids[:40]:
            store.set("payment", id=row, fraud=stolen[row] ^ (row in wrong))
        for row in wrong:  # they are corrected before the model learns
            store.set("payment", id=row, fraud=stolen[row])
        store.set_many("payment", [{"id": row, "fraud": stolen[row]} for row in ids[40:]])
        store.wait(timeout=100)

        live = next(v for v in store.model("Fraud").versions() if v.status == "live")
        assert live.number > 1
        assert live.metrics["auc"] > 0.7  # the first payment with a stolen card looks like any
        assert live.metrics["auc"] > live.metrics["live"]["auc"]
        learned = [label.row for label in store.model("Fraud").labels(live.number)]
        assert learned
        assert {row.id: row.fraud for row in learned} == {row.id: stolen[row.id] for row in learned}
        seen = {row.id: (row.spent, row.times, row.risk) for row in learned}
        assert seen == {row: decided[row] for row in seen}

        fresh = [
            store.set("payment", ts=200_000_000 * MINUTE_MS + i, card=200, amount=5.0).wait(
                timeout=60
            )
            for i in range(6)
        ]
        risks = [change.rows()[0].risk for change in fresh]
        assert risks[5] > fraud.RISKY > risks[0]
        store.wait(timeout=100)
        assert f"payment-{fresh[5].id}" in webhook.alerts
        assert store.status().done_once["alert"] == len(webhook.alerts)
        assert all(webhook.calls.count(key) == 2 for key in webhook.alerts)


def test_it_is_short() -> None:
    assert len((ROOT / "examples" / "fraud.py").read_text().splitlines()) < 100
