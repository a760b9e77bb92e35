"""What a server, a database, a role or the environment says of values and statements changes nothing of a store in PostgreSQL, or the
store is refused before anything is made."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

import motion
from tests.backends.test_postgres_pooled import pooled  # noqa: F401 - a fixture
from tests.postgres import Server

WAIT_S = 120


class Kind(Enum):
    PLAIN = 1
    ODD = 2


@dataclass
class Thing:
    id: int
    kind: Kind | None = None
    number: float | None = None
    text: str | None = None
    raw: bytes | None = None
    at: datetime | None = None
    day: date | None = None
    more: dict[str, Any] | None = None
    sums: float | None = None
    shout: str | None = None
    late: datetime | None = None
    page: int = 0
    word: str | None = None


@motion.trigger(on="thing.number", sets="thing.sums", inline=False)
def add(number: float) -> float:
    return number / 3


@motion.trigger(on="thing.text", sets="thing.shout", inline=True)
def cry(text: str) -> str:
    return text + "\\'!"


@motion.trigger(on="thing.at", sets="thing.late", inline=False)
def move(at: datetime) -> datetime:
    return at.replace(year=2001)


@motion.trigger(on="thing.shout", sets="thing.word", page="page", inline=False)
def split(shout: str) -> list[str]:
    return shout.split(" ")


def values(number: int) -> dict[str, Any]:
    """Return the values of a row, every third unset."""
    found = {
        "kind": list(Kind)[number % 2],
        "number": [0.1 + 0.2, 5e-324, 1 / 3, -math.inf, 1e308, 2.0**53 + 2][number % 6],
        "text": [r"\n back\\slash", "it's \\' quoted", "ÀéЖ€😀 NULL", '{a,"b"}', ""][number % 5],
        "raw": [b"\\x00\\", b"\x00\xff'", b"\\000"][number % 3],
        "at": datetime(2024, 2, 1 + number % 20, 23, 59, 59, number, tzinfo=UTC),
        "day": date(2024, 2, 1 + number % 20),
        "more": {"a\\": ["NULL", None, 0.1 + 0.2, "é\\u00e9"]},
    }
    return {key: each for i, (key, each) in enumerate(found.items()) if (number + i) % 3}


ROWS = 24


def lived(url: str) -> list[Any]:
    """Let a store live, and return all that was seen of it."""
    options: dict[str, Any] = {"url": url, "schemas": {"thing": Thing}}
    seen: list[Any] = []
    with motion.create_store("shop", triggers=[add, cry, move, split], **options) as store:
        store.set_many("thing", [{"id": n, **values(n)} for n in range(1, ROWS)])
        for n in range(1, ROWS, 5):
            store.set("thing", id=n, **values(n + 1))
        store.set("thing", id=3, more=None, text="\\")
        store.delete("thing", 4)
        store.wait(timeout=WAIT_S)
        seen += [each.error for each in store.errors()]
        for n in (5, 7):
            for key, value in values(n).items():
                seen.append([row.id for row in store.rows("thing", where={key: value})])
        seen.append(store.rows("thing", where="text = ? OR number > ?", params=["\\", 1e300]))
        seen.append(store.rows("thing", where="text = 'it''s \\'' quoted'"))
        asked = "SELECT id, number, sums, text, raw, at, day FROM thing ORDER BY id, page"
        seen.append(store.sql(asked).to_pylist())
        seen.append([hit.id for hit in store.search("thing.text", text="quoted NULL", k=9)])
    with motion.create_store("shop", **options) as store:
        rows = store.rows("thing")
        for row in rows:
            given = values(row.id)
            assert row.id % 5 == 1 or row.id == 3 or row.number == given.get("number")
        return [*seen, rows]


SETTINGS: Mapping[str, str] = {
    "standard_conforming_strings": "off", "escape_string_warning": "on", "backslash_quote": "on",
    "TimeZone": "Asia/Kolkata", "DateStyle": "SQL, DMY", "IntervalStyle": "sql_standard", "bytea_output": "escape",
    "extra_float_digits": "-15", "array_nulls": "off", "transform_null_equals": "on", "search_path": "nowhere",
    "default_transaction_isolation": "serializable", "default_transaction_deferrable": "on", "quote_all_identifiers": "on",
    "client_encoding": "LATIN1", "default_text_search_config": "pg_catalog.english",
}  # fmt: skip


def as_options(settings: Mapping[str, str]) -> str:
    return " ".join(
        f"-c {name}={value.replace(' ', chr(92) + ' ')}" for name, value in settings.items()
    )


Place = Callable[[str], str]


@pytest.fixture
def place(postgres_server: Server, tmp_path: Path) -> Iterator[Place]:
    """Return the URL of a schema of this test's own."""
    made: list[str] = []

    def of(word: str) -> str:
        made.append(f"set_{os.getpid()}_{word}")
        postgres_server.execute(f'DROP SCHEMA IF EXISTS "{made[-1]}" CASCADE')
        return f"{postgres_server.url}&motion_schema={made[-1]}&motion_folder={tmp_path / word}"

    yield of
    for schema in made:
        postgres_server.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')


@pytest.mark.parametrize("setting", [*SETTINGS, "all"])
def test_a_setting_in_the_url_changes_nothing(place: Place, setting: str) -> None:
    plain = lived(place("plain"))
    settings = SETTINGS if setting == "all" else {setting: SETTINGS[setting]}
    url = place("other").replace("&motion", f"&options={quote(as_options(settings))}&motion", 1)
    assert lived(url) == plain


@pytest.mark.parametrize(
    "environment",
    [
        {"PGCLIENTENCODING": "LATIN1"},
        {"PGTZ": "Asia/Kolkata", "PGDATESTYLE": "SQL, DMY"},
        {"PGOPTIONS": as_options(SETTINGS)},
    ],
)
def test_the_environment_changes_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    plain = lived(place("plain"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert lived(place("other")) == plain


@pytest.fixture
def database(postgres_server: Server) -> Iterator[Callable[[str], str]]:
    """Return the URL of a new database, made as is said."""
    made: list[str] = []

    def make(how: str) -> str:
        made.append(f"own_{os.getpid()}_{len(made)}")
        postgres_server.execute(f"CREATE DATABASE {made[-1]} TEMPLATE template0 {how}")
        return postgres_server.url.replace("/postgres?", f"/{made[-1]}?")

    yield make
    for name in made:
        postgres_server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_what_a_database_sets_changes_nothing(
    place: Place, database: Callable[[str], str], postgres_server: Server, tmp_path: Path
) -> None:
    plain = lived(place("plain"))
    url = database("ENCODING 'UTF8'")
    name = url.partition("?")[0].rpartition("/")[2]
    for setting, value in SETTINGS.items():
        given = value if setting == "search_path" else f"'{value}'"
        postgres_server.execute(f"ALTER DATABASE {name} SET {setting} TO {given}")
    assert lived(f"{url}&motion_folder={tmp_path / 'own'}") == plain


def test_what_a_database_sets_changes_nothing_through_a_pooler_either(
    place: Place,
    pooled: str,  # noqa: F811
    postgres_server: Server,
) -> None:
    plain = lived(place("plain"))
    for setting, value in SETTINGS.items():
        given = value if setting == "search_path" else f"'{value}'"
        postgres_server.execute(f"ALTER DATABASE postgres SET {setting} TO {given}")
    try:
        assert lived(pooled) == plain
    finally:
        postgres_server.execute("ALTER DATABASE postgres RESET ALL")


def test_a_folder_that_cannot_be_made_is_told(
    database: Callable[[str], str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    url = f"{database('')}&motion_folder={tmp_path / 'file' / 'folder'}"
    with pytest.raises(motion.StoreUnavailable, match="Not a directory"):
        motion.create_store("shop", schemas={"thing": Thing}, url=url)


def test_two_folders_of_one_store_are_refused_and_one_that_has_moved_is_taken(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    named = place("moved")
    url, _, folder = named.partition("&motion_folder=")
    options: dict[str, Any] = {"schemas": {"thing": Thing}}
    motion.create_store("shop", url=named, **options).close()
    with motion.create_store("shop", url=url, **options) as store:
        assert str(store._database.backend.folder) == str(Path(folder).resolve())
    with pytest.raises(motion.StoreUnavailable, match=r"and the URL names .*other"):
        motion.create_store("shop", url=f"{url}&motion_folder={tmp_path / 'other'}", **options)
    Path(folder).rename(tmp_path / "other")
    with pytest.raises(motion.StoreUnavailable, match="not on this machine"):
        motion.create_store("shop", url=url, **options)
    for each in (f"{url}&motion_folder={tmp_path / 'other'}", url):
        motion.create_store("shop", url=each, **options).close()


@pytest.mark.parametrize("names_folder", [True, False])
@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1", "EUC_JP"])
def test_a_database_in_another_encoding_is_refused_before_anything_is_made(
    database: Callable[[str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    encoding: str,
    names_folder: bool,
) -> None:
    monkeypatch.chdir(tmp_path)
    url = database(f"ENCODING '{encoding}' LOCALE 'C'")
    further = f"&motion_folder={tmp_path / 'folder'}" if names_folder else ""
    for _ in range(2):
        with pytest.raises(motion.StoreUnavailable) as caught:
            motion.create_store("shop", schemas={"thing": Thing}, url=url + further)
        assert f"is encoded in {encoding}, and a store takes UTF8" in str(caught.value)
        assert "CREATE DATABASE" in str(caught.value)
    with psycopg.connect(url, client_encoding="utf8") as connection:
        sql = "SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%'"
        assert {str(row[0]) for row in connection.execute(sql)} == {"information_schema", "public"}
    assert list(tmp_path.iterdir()) == []
