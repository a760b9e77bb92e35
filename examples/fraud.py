"""Fraud: payments are scored as they come, alerts go to a webhook once, and the model learns from labels that come weeks late.

    WEBHOOK=https://example.org/alerts python examples/fraud.py

`pip install "motion-ml[client]" scikit-learn` brings along what it needs.
"""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

import httpx
import numpy as np
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import roc_auc_score

import motion

HOUR = timedelta(hours=1)
RISKY = 0.5


@dataclass
class Payment:
    id: int
    ts: int  # milliseconds since the epoch
    card: int
    amount: float
    spent: Annotated[float, motion.Window("payment.amount", by="card", within=HOUR, agg="sum")]
    times: Annotated[int, motion.Window("payment.amount", by="card", within=HOUR, agg="count")]
    risk: float
    fraud: bool


def features(amount: Any, spent: Any, times: Any) -> np.ndarray:
    return np.column_stack([np.log1p(amount), np.log1p(spent), np.log1p(times)])


def features_of(rows: list[Payment]) -> np.ndarray:
    return features(*zip(*((row.amount, row.spent, row.times) for row in rows), strict=True))


def taught(model: SGDClassifier, given: np.ndarray, labels: list[bool]) -> SGDClassifier:
    for _ in range(20):
        model.partial_fit(given, labels, classes=[False, True])
    return model


class Fraud(motion.Component):
    """Learns online: each fit goes on from the live model, and takes its place only if it ranks unseen labels better."""

    def setup(self) -> SGDClassifier:
        model = SGDClassifier(loss="log_loss", alpha=0.01, random_state=0)
        return taught(model, features([1, 10, 100, 10_000], [0] * 4, [0] * 4), [False] * 3 + [True])

    @motion.infer(on=("payment.amount", "payment.spent", "payment.times"), sets="payment.risk")
    def score(self, model: SGDClassifier, amount: float, spent: float, times: int) -> float:
        return float(model.predict_proba(features([amount], [spent], [times]))[0, 1])

    @motion.fit(
        on="payment.fraud", seen_by="payment.risk",  # as scored, whatever has come late since
        every=50, holdout=0.3, promote=motion.if_better("auc"),
    )  # fmt: skip
    def learn(self, model: SGDClassifier, rows: list[Payment]) -> SGDClassifier:
        return taught(copy.deepcopy(model), features_of(rows), [row.fraud for row in rows])

    def evaluate(self, model: SGDClassifier, rows: list[Payment]) -> dict[str, float]:
        risks = model.predict_proba(features_of(rows))[:, 1]
        return {"auc": float(roc_auc_score([row.fraud for row in rows], risks))}


@motion.trigger(on="payment.risk", when=lambda row: row.risk >= RISKY, once=True, retries=5)
def alert(id: int, card: int, risk: float) -> None:
    """Tell of a payment once, whatever is known of it later. Should the process end in mid-call, the key tells the other
    side that it has had this one."""
    headers = {"Idempotency-Key": f"payment-{id}"}
    told = {"payment": id, "card": card, "risk": round(risk, 3)}
    httpx.post(os.environ["WEBHOOK"], json=told, headers=headers, timeout=10).raise_for_status()


def open_bank(url: str | None = None) -> motion.Store:
    return motion.create_store(
        "bank", schemas={"payment": Payment}, triggers=[Fraud(), alert], url=url
    )


if __name__ == "__main__":
    with open_bank() as store:
        store.set("payment", card=7, amount=5000.0)
        store.wait(timeout=60)
        print(store.rows("payment")[0], store.status().done_once)
