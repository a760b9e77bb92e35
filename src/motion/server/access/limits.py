"""Limits: how much one request may ask for. Plain numbers, told by `GET /v1`."""

from __future__ import annotations

from dataclasses import dataclass

from motion.definitions.triggers.rates import rate_of
from motion.definitions.values.arguments import check_count, check_seconds

MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """What bounds a request, whoever makes it.

    Attributes:
        body_bytes: of a request's body; a larger one is refused before it is read.
        rows: that one answer holds; `default_rows` where nothing is said.
        k: hits of a search.
        sql_seconds: that SQL, or a condition in SQL, may take.
        wait_seconds: that a request may wait for a change.
        streams: open at once, of all clients.
        rate: requests of one client, by its token or its address, such as "600/min"; None is without end.
    """

    body_bytes: int = 64 * MIB
    rows: int = 10_000
    default_rows: int = 100
    k: int = 1_000
    sql_seconds: float = 10.0
    wait_seconds: float = 60.0
    streams: int = 1_000
    rate: str | None = None

    def __post_init__(self) -> None:
        for count in ("body_bytes", "rows", "default_rows", "k", "streams"):
            check_count(f"Limits({count}=)", getattr(self, count))
        for seconds in ("sql_seconds", "wait_seconds"):
            check_seconds(f"Limits({seconds}=)", getattr(self, seconds))
        if self.rate is not None:
            rate_of(self.rate)
