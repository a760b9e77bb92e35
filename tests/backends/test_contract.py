"""Back ends keep their contract."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from motion.backends.base import Backend
from motion.backends.sqlite import SqliteBackend
from motion.testing.contracts import BackendContract
from tests.postgres import Server


@pytest.mark.parametrize("durability", ["full", "normal"], scope="class")
class TestSqlite(BackendContract):
    @pytest.fixture(autouse=True)
    def _choose(self, durability: Literal["full", "normal"]) -> None:
        self.durability = durability

    def make(self, folder: Path) -> Backend:
        return SqliteBackend("contract", folder, self.durability)


@pytest.mark.parametrize("durability", ["full", "normal"], scope="class")
class TestPostgres(BackendContract):
    @pytest.fixture(autouse=True)
    def _choose(self, durability: Literal["full", "normal"], postgres_server: Server) -> None:
        self.durability, self.server = durability, postgres_server

    def make(self, folder: Path) -> Backend:
        return self.server.backend("contract", folder, self.durability)
