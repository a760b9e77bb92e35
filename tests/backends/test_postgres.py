"""A store in PostgreSQL: what is promised of any store holds of it, and what it cannot do yet it refuses."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, make_dataclass
from datetime import UTC, date, datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
from typer.testing import CliRunner

import motion
import motion.cli  # so that all commands are there
from motion import faults
from motion.backends.postgres_sql import in_order
from motion.cli.app import app
from motion.errors import NotOnPostgres
from motion.persistence.rows.reading import unset_first
from tests.conftest import pause, until
from tests.on_postgres.differences import DIFFERENCES
from tests.postgres import Server

WAIT_S = 120
LONG_S = 600


@dataclass
class Garment:
    id: int
    price: float | None = None
    doubled: float | None = None
    label: str | None = None
    is_new: bool | None = None
    made: Annotated[np.ndarray, motion.Vector(3)] | None = None


@motion.trigger(on="garment.price", sets="garment.doubled", inline=False)
def double(price: float) -> float:
    return 2 * price


@motion.trigger(on="garment.doubled", sets="garment.label", inline=True)
def name(doubled: float) -> str:
    return f"for {doubled:g}"


@pytest.fixture
def url(postgres_server: Server, tmp_path: Path) -> Iterator[str]:
    """The URL of a schema, and of a folder, that are this test's own."""
    schema = f"t_{os.getpid()}_{threading.get_ident()}_{abs(hash(tmp_path)) % 10**8}"
    yield f"{postgres_server.url}&motion_schema={schema}&motion_folder={tmp_path / 'folder'}"
    postgres_server.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')


@pytest.fixture
def open_shop(url: str) -> Iterator[Callable[..., motion.Store]]:
    opened: list[motion.Store] = []

    def open_shop(**options: Any) -> motion.Store:
        options = {"schemas": {"garment": Garment}, "triggers": [double, name], **options}
        opened.append(motion.create_store("shop", url=url, **options))
        return opened[-1]

    yield open_shop
    for store in opened:
        store.close()


def test_a_value_goes_from_set_to_the_last_derived_one(
    open_shop: Callable[..., motion.Store],
) -> None:
    store = open_shop()
    change = store.set("garment", price=1.5, is_new=True, made=np.array([1, 2, 3], np.float32))
    change.wait(timeout=WAIT_S)
    row = store.get("garment", change.id)
    assert (row.doubled, row.label, row.is_new, row.made.tolist()) == (3, "for 3", True, [1, 2, 3])


def test_what_was_set_is_there_when_the_store_is_opened_again(
    open_shop: Callable[..., motion.Store],
) -> None:
    store = open_shop()
    store.set_many("garment", [{"id": n, "price": float(n)} for n in range(300)]).wait(
        timeout=WAIT_S
    )
    store.delete("garment", 7)
    store.close()
    again = open_shop()
    found = again.rows("garment", where="doubled > ?", params=[500])
    assert [(row.id, row.label) for row in found] == [(n, f"for {2 * n}") for n in range(251, 300)]
    assert again.get("garment", 7) is None
    assert again.set("garment").id == 300


def test_sql_of_users_gives_values_as_they_are_and_only_reads(
    open_shop: Callable[..., motion.Store],
) -> None:
    store = open_shop(triggers=[])
    store.set("garment", id=1, is_new=False, made=np.array([1, 2, 3], np.float32))
    found = store.sql("SELECT is_new, made FROM garment WHERE id = ?", [1]).to_pylist()
    assert found == [{"is_new": False, "made": [1, 2, 3]}]
    for statement in (
        "DELETE FROM motion_rows_garment",
        "SELECT 1; DELETE FROM motion_rows_garment",
        "COMMIT",
        "WITH gone AS (DELETE FROM motion_rows_garment RETURNING id) SELECT * FROM gone",
        "SELECT set_config('transaction_read_only', 'off', false)::int",
        "nonsense",
    ):
        with pytest.raises(motion.SqlError):
            store.sql(statement)
    assert len(store.rows("garment")) == 1


def condition_that_goes_on(store: motion.Store) -> str:
    """What comes before it is whole with its beginning, and what comes after with its end."""
    schema = getattr(store._database.backend, "schema")  # noqa: B009 - of this back end alone
    return (
        f"1 = 1))) c ON true; COMMIT; DELETE FROM {schema}.motion_rows_garment; SELECT r.id FROM {schema}.garment r "
        f'JOIN (SELECT ":row", 1 AS ":place" FROM (SELECT id AS ":row", id FROM {schema}.garment WHERE (1 = 1'
    )


def test_a_condition_of_a_user_cannot_end_the_statement_and_begin_another(
    open_shop: Callable[..., motion.Store],
) -> None:
    store = open_shop()
    store.set("garment", id=1, price=1.0).wait(timeout=WAIT_S)
    wrong = condition_that_goes_on(store)
    with pytest.raises(motion.SqlError):
        store.rows("garment", where=wrong)
    with pytest.raises(motion.SqlError):
        store.backfill("double", where=wrong)
    assert len(store.rows("garment")) == 1


@dataclass
class Visit:
    id: int
    text: str
    facts: dict[str, Any]
    at: datetime
    day: date
    is_new: bool
    told: str


@motion.trigger(
    on="visit.text", sets=("visit.facts", "visit.at", "visit.day", "visit.is_new"), inline=False
)
def read(text: str) -> dict[str, Any]:
    at = datetime(2024, 1, 1, tzinfo=UTC)
    return {"facts": {"of": text}, "at": at, "day": at.date(), "is_new": True}


@motion.trigger(
    on=("visit.facts", "visit.at", "visit.day", "visit.is_new"), sets="visit.told", inline=False
)
def tell_all(facts: dict[str, Any], at: datetime, day: date, is_new: bool) -> str:
    return f"{facts} {at:%Y} {day} {is_new}"


def test_derived_values_of_every_type_are_derived_from(
    open_shop: Callable[..., motion.Store],
) -> None:
    store = open_shop(schemas={"visit": Visit}, triggers=[read, tell_all])
    store.set("visit", id=1, text="a").wait(timeout=60)
    store.set("visit", id=1, text="b").wait(timeout=60)
    store.set_many("visit", [{"id": i, "text": "c"} for i in range(2, 302)]).wait(timeout=60)
    told = {row.told for row in store.rows(Visit)}
    assert told == {f"{{'of': '{text}'}} 2024 2024-01-01 True" for text in "bc"}


class Mood(Enum):
    GLAD = "glad"
    CALM = "calm"


OF_EVERY_TYPE: list[tuple[Any, Any, Any]] = [
    (bool, True, False),
    (int, 2, 3),
    (float, 0.5, 1.5),
    (str, "a", "b"),
    (bytes, b"a", b"b"),
    (dict[str, Any], {"a": 1}, {"b": [2]}),
    (list[int], [1, 2], [3]),
    (datetime, datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)),
    (date, date(2024, 1, 1), date(2025, 1, 1)),
    (Mood, Mood.GLAD, Mood.CALM),
    (np.ndarray, np.ones(2, np.float32), np.zeros(3, np.float32)),
    (Annotated[np.ndarray, motion.Vector(2)], np.ones(2, np.float32), np.zeros(2, np.float32)),
]


@pytest.mark.parametrize(("kind", "first", "second"), OF_EVERY_TYPE)
@pytest.mark.parametrize("inline", [True, False])
def test_a_derived_value_of_every_type_is_derived_from_and_unset_again(
    open_shop: Callable[..., motion.Store], kind: Any, first: Any, second: Any, inline: bool
) -> None:
    fields = [("id", int), ("step", int), ("value", kind), ("told", str)]
    every = make_dataclass("Every", fields)

    @motion.trigger(on="every.step", sets="every.value", inline=inline)
    def make(step: int) -> Any:
        return (first, second, None)[step]

    @motion.trigger(on="every.value", sets="every.told", inline=inline)
    def tell(value: Any) -> str:
        return str(value)

    store = open_shop(schemas={"every": every}, triggers=[make, tell])
    for step, told in ((0, first), (1, second), (2, None), (1, second), (None, None), (0, first)):
        store.set("every", id=1, step=step).wait(timeout=60)
        assert store.get("every", 1).told == (None if told is None else str(told))
        assert not store.errors()


def test_dead_letters_of_rows_that_were_read_whole_are_tried_again(
    open_shop: Callable[..., motion.Store],
) -> None:
    is_well: list[bool] = []

    @motion.trigger(on="garment.price", sets="garment.label", inline=False)
    def told(row: Garment) -> str:
        if not is_well:
            raise ValueError("not yet")
        return f"{row.price:g}"

    store = open_shop(triggers=[told])
    store.set("garment", id=1, price=1.5)
    store.wait(timeout=WAIT_S)
    assert [each.trigger for each in store.errors()] == ["told"]
    is_well.append(True)
    store.retry()
    store.wait(timeout=WAIT_S)
    assert store.get("garment", 1).label == "1.5"


def test_rows_without_a_value_come_first_as_everywhere(
    open_shop: Callable[..., motion.Store],
) -> None:
    store = open_shop(triggers=[])
    store.set_many("garment", [{"id": 1, "price": 2.0}, {"id": 2}, {"id": 3, "price": 1.0}])
    assert [row.id for row in store.rows("garment", order_by="price")] == [2, 3, 1]
    assert [row.id for row in store.rows("garment", order_by="price desc, id")] == [1, 3, 2]
    assert unset_first("LENGTH(a), b") == "LENGTH(a), b"


def test_vectors_are_found_by_their_nearness(open_shop: Callable[..., motion.Store]) -> None:
    store = open_shop(triggers=[])
    vectors = np.eye(3, dtype=np.float32)
    store.set_many("garment", [{"id": n, "made": vectors[n]} for n in range(3)])
    hits = store.search("garment.made", vectors[1], k=2, where="id > ?", params=[0])
    assert [hit.id for hit in hits] == [1, 2]


class Eye(motion.Component):
    def setup(self) -> dict[str, int]:
        return {"factor": 2}

    @motion.infer(on="garment.price", sets="garment.made")
    def look(self, state: dict[str, int], price: float) -> np.ndarray:
        return np.full(3, state["factor"] * price, np.float32)


def test_what_a_search_finds_has_the_vector_of_the_state_version_searched(
    open_shop: Callable[..., motion.Store],
) -> None:
    store = open_shop(triggers=[Eye()])
    store.set("garment", id=1, price=1.5).wait(timeout=WAIT_S)
    (hit,) = store.search("garment.made", np.ones(3, np.float32), k=1)
    assert hit.row.made.tolist() == [3, 3, 3]


def test_what_it_cannot_do_yet_is_refused_before_anything_is_done(
    open_shop: Callable[..., motion.Store],
) -> None:
    store = open_shop(triggers=[])
    store.set("garment", id=1, label="red")
    with pytest.raises(NotOnPostgres, match="NUL"):
        store.set("garment", id=1, label="a\0b")
    assert store.get("garment", 1).label == "red"


def test_a_snapshot_is_a_store_in_a_folder(
    open_shop: Callable[..., motion.Store], tmp_path: Path
) -> None:
    with open_shop() as store:
        store.set("garment", id=1, price=1.5).wait(timeout=WAIT_S)
        store.snapshot(tmp_path / "copy")
        store.set("garment", id=1, price=9.0).wait(timeout=WAIT_S)
    url, schemas = f"sqlite:///{tmp_path / 'copy'}", {"garment": Garment}
    with motion.create_store("restored", url=url, schemas=schemas, triggers=[double, name]) as copy:
        assert [(row.price, row.label) for row in copy.rows("garment")] == [(1.5, "for 3")]
        assert copy.explain("garment", 1, "doubled").made_by == "double"
        copy.set("garment", id=1, price=2.0).wait(timeout=WAIT_S)
        assert copy.get("garment", 1).label == "for 4"


@dataclass
class Dress:
    """What a garment is called from some day on, with a key of another name and one of another type."""

    id: int
    cost: float | None = None
    doubled: float | None = None
    label: str | None = None
    is_new: str | None = None
    made: Annotated[np.ndarray, motion.Vector(3)] | None = None


def shown_as(is_new: bool) -> str:
    return "new" if is_new else "used"


def test_names_and_types_that_a_store_keeps_are_migrated(
    url: str, open_shop: Callable[..., motion.Store]
) -> None:
    with open_shop() as store:
        store.set("garment", id=1, price=2.0, is_new=True).wait(timeout=WAIT_S)
        store.set("garment", id=2, price=3.0).wait(timeout=WAIT_S)
    convert = ["--convert", f"garment.is_new={__name__}:shown_as"]
    rename = ["--rename-key", "garment.price=cost", "--rename-table", "garment=dress"]
    for steps in (convert, rename):
        done = CliRunner().invoke(app, ["migrate", url, *steps, "--yes"])
        assert done.exit_code == 0, (done.output, done.exception)

    @motion.trigger(on="dress.cost", sets="dress.doubled", inline=False)
    def double(cost: float) -> float:
        return 2 * cost

    @motion.trigger(on="dress.doubled", sets="dress.label", inline=True)
    def name(doubled: float) -> str:
        return f"for {doubled:g}"

    store = open_shop(schemas={"dress": Dress}, triggers=[double, name])
    store.set("dress", id=2, cost=5.0).wait(timeout=WAIT_S)
    found = [(row.id, row.cost, row.label, row.is_new) for row in store.rows("dress")]
    assert found == [(1, 2.0, "for 4", "new"), (2, 5.0, "for 10", None)]


def test_words_are_found_as_they_are_committed(open_shop: Callable[..., motion.Store]) -> None:
    store = open_shop(triggers=[])

    def ids(text: str, **options: Any) -> list[int]:
        return [hit.id for hit in store.search("garment.label", text=text, **options)]

    store.set_many(
        "garment", [{"id": 1, "label": "red dresses"}, {"id": 2, "label": "Blue Café, 40cm"}]
    )
    assert (ids("dress"), ids("cafe"), ids("40 cm")) == ([1], [2], [2])
    store.set("garment", id=1, label="a red, red dress")
    store.set("garment", id=3, label="a red hat and a long scarf")
    assert ids("red") == [1, 3]
    assert ids("red", where="id > ?", params=[1]) == [3]
    store.set("garment", id=1, label=None)
    store.delete("garment", 2)
    assert (ids("red"), ids("cafe"), ids("' & | !")) == ([3], [], [])


@dataclass
class Payment:
    id: int
    ts: int
    card: str
    amount: float | None = None
    total: float | None = None
    spent: float | None = None


@dataclass
class Card:
    id: str
    history: str | None = None


TotalOfCard = Annotated[float, motion.Window("payment.amount", by="card", agg="sum", itself=True)]


@motion.trigger(on="payment.amount", sets="payment.total")
def sum_up(amount: float, total: TotalOfCard) -> float:
    return total


@motion.fold(on="payment.amount", by="payment.card", sets="card.history")
def tell(history: str | None, amount: float) -> str:
    return f"{history or ''}{amount:g};"


@motion.trigger(on="payment.amount", sets="payment.spent", serial_by="payment.card")
def spend(amount: float, row: Payment) -> float:
    return amount


def test_windows_and_folds_are_right_after_late_rows_moves_and_deletes(
    open_shop: Callable[..., motion.Store],
) -> None:
    store = open_shop(
        schemas={"payment": Payment, "card": Card},
        triggers=[sum_up, tell, spend],
        durability="normal",
    )
    for n, ts in enumerate((5, 100, 20, 3), start=1):  # as numbers, and not as texts, in this order
        store.set("payment", id=n, ts=ts, card="a", amount=float(n))
    store.wait(timeout=WAIT_S)
    assert {row.id: row.total for row in store.rows("payment")} == {1: 5, 2: 10, 3: 8, 4: 4}
    assert store.get("card", "a").history == "4;1;3;2;"
    store.set("payment", id=4, ts=30)  # later than it was
    store.set("payment", id=2, card="b")
    store.delete("payment", 1)
    store.wait(timeout=WAIT_S)
    assert {row.id: row.total for row in store.rows("payment")} == {2: 2, 3: 3, 4: 7}
    assert [store.get("card", name).history for name in ("a", "b")] == ["3;4;", "2;"]
    assert {row.id: row.spent for row in store.rows("payment")} == {2: 2, 3: 3, 4: 4}


def test_every_test_that_is_skipped_on_postgresql_is_there() -> None:
    for test in (each for names in DIFFERENCES.values() for each in names):
        file, _, name = test.partition("::")
        text = (Path(__file__).parents[2] / file).read_text(encoding="utf-8")
        assert f"def {name.partition('[')[0]}(" in text, test


def test_places_in_a_line_are_in_the_order_of_their_values() -> None:
    numbers = [-(2**63), -10, -9, 0, 9, 10, 99, 100, 2**63 - 1]
    assert sorted(numbers, key=in_order) == numbers
    texts = ["", "A", "a", "ab", "b", "é"]
    assert sorted(texts, key=in_order) == texts
    assert in_order(None) < min(in_order(-(2**63)), in_order(""))


def test_another_process_finds_the_store_and_its_folder_by_the_url_alone(
    postgres_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    schema = f"found_{os.getpid()}"
    url = f"{postgres_server.url}&motion_schema={schema}"
    try:
        with motion.create_store("shop", url=url, schemas={"garment": Garment}) as store:
            store.set("garment", id=1, label="here")
            folder = store._database.backend.folder
            program = textwrap.dedent(f"""
                import motion
                from tests.backends.test_postgres import Garment
                with motion.create_store("shop", url={url!r}, schemas={{"garment": Garment}}) as store:
                    print(store.get("garment", 1).label, store._database.backend.folder)
                    store.set("garment", id=1, label="there")
            """)
            done = subprocess.run(
                [sys.executable, "-c", program],
                capture_output=True, text=True, timeout=WAIT_S, cwd=Path(__file__).parents[2],
            )  # fmt: skip
            assert done.stdout.split() == ["here", str(folder)], done.stderr
            assert store.get("garment", 1).label == "there"
        folder.rename(tmp_path / "elsewhere")
        with pytest.raises(motion.StoreUnavailable, match="not on this machine"):
            motion.create_store("shop", url=url, schemas={"garment": Garment})
    finally:
        postgres_server.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')


def test_a_role_that_owns_its_schema_and_nothing_else_is_enough(
    postgres_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = f"small_{os.getpid()}"
    postgres_server.execute(f"CREATE ROLE {role} LOGIN")
    postgres_server.execute(f"CREATE SCHEMA {role} AUTHORIZATION {role}")
    monkeypatch.chdir(tmp_path)  # where the store's folder is made
    try:
        url = f"{postgres_server.url.replace('postgres:@', f'{role}:@')}&motion_schema={role}"
        schemas = {"garment": Garment}
        with motion.create_store(
            "small", schemas=schemas, triggers=[double, name], url=url
        ) as store:
            store.set("garment", id=1, price=2.0).wait(timeout=WAIT_S)
            assert store.get("garment", 1).label == "for 4"
            assert store.forget("garment", 1).rows == {"garment": 1}
    finally:
        postgres_server.execute(f"DROP SCHEMA IF EXISTS {role} CASCADE")
        postgres_server.execute(f"DROP ROLE {role}")


def test_a_role_that_may_not_write_is_told_why(postgres_server: Server) -> None:
    role = f"reader_{os.getpid()}"
    postgres_server.execute(f"CREATE ROLE {role} LOGIN")
    postgres_server.execute(f"ALTER ROLE {role} SET default_transaction_read_only TO on")
    postgres_server.execute(f"CREATE SCHEMA {role} AUTHORIZATION {role}")
    try:
        url = f"{postgres_server.url.replace('postgres:@', f'{role}:@')}&motion_schema={role}"
        with pytest.raises(motion.StoreUnavailable, match="default_transaction_read_only"):
            motion.create_store("reader", schemas={"garment": Garment}, triggers=[], url=url)
    finally:
        postgres_server.execute(f"DROP SCHEMA IF EXISTS {role} CASCADE")
        postgres_server.execute(f"DROP ROLE {role}")


def test_a_server_that_is_killed_loses_nothing_and_nothing_is_done_twice(
    postgres_server: Server, open_shop: Callable[..., motion.Store]
) -> None:
    calls: list[float] = []

    @motion.trigger(on="garment.price", sets="garment.doubled", inline=False)
    def noted(price: float) -> float:
        calls.append(price)
        return 2 * price

    store = open_shop(triggers=[noted, name], durability="full")
    set_until_now = 0
    for round_ in range(2):
        killed = threading.Thread(target=kill_and_start, args=(postgres_server,))
        killed.start()
        while killed.is_alive() or set_until_now < 100 * (round_ + 1):
            with suppress(motion.StoreUnavailable):  # what it read just then; it is said again
                store.set("garment", id=set_until_now, price=float(set_until_now))
                set_until_now += 1
        killed.join(LONG_S)
    store.wait(timeout=LONG_S)
    rows = store.rows("garment")
    assert [(row.id, row.doubled) for row in rows] == [(n, 2.0 * n) for n in range(set_until_now)]
    assert store.sql("SELECT count(*) AS n FROM motion_tasks").to_pylist() == [{"n": 0}]


def test_a_write_that_a_crash_of_the_server_took_is_not_taken_for_a_later_one(
    postgres_server: Server, open_shop: Callable[..., motion.Store]
) -> None:
    store = open_shop(triggers=[], durability="full")
    crashes = [1]

    def crash(point: str) -> None:
        if point == "write.applied" and crashes:
            crashes.pop()
            postgres_server.kill()
            postgres_server.start()
            for _ in range(50):  # others get the numbers that its transactions had
                postgres_server.execute("SELECT pg_current_xact_id()")

    faults.arm(crash)
    try:
        change = store.set("garment")
    finally:
        faults.arm(None)
    assert not crashes
    assert [row.id for row in store.rows("garment")] == [change.id]


def test_a_commit_whose_connection_is_lost_before_it_is_told_of_is_not_made_again(
    postgres_server: Server, open_shop: Callable[..., motion.Store]
) -> None:
    store = open_shop(triggers=[], durability="full")
    with _waiting_for_a_standby(postgres_server, store):
        told: list[motion.Change] = []
        setting = threading.Thread(target=lambda: told.append(store.set("garment")))
        setting.start()
        until(store, lambda: bool(postgres_server.execute(STOP_WHO_WAITS)))
    setting.join(LONG_S)
    assert [row.id for row in store.rows("garment")] == [change.id for change in told]
    assert len(told) == 1


def test_a_write_that_a_crash_took_is_not_taken_for_one_before_that_was_interrupted(
    postgres_server: Server, open_shop: Callable[..., motion.Store]
) -> None:
    store = open_shop(triggers=[], durability="full")
    store.set("garment", price=1.0)
    with _waiting_for_a_standby(postgres_server, store):
        interrupting = threading.Thread(target=_interrupt_who_waits, args=(postgres_server,))
        interrupting.start()
        with pytest.raises(KeyboardInterrupt):
            store.set("garment", price=2.0)  # which is committed, and nobody is told of it
        interrupting.join(LONG_S)
    crashes = [1]

    def crash(point: str) -> None:
        if point == "write.applied" and crashes:
            crashes.pop()
            kill_and_start(postgres_server)

    faults.arm(crash)
    try:
        store.set("garment", price=3.0)
    finally:
        faults.arm(None)
    assert not crashes
    assert [row.price for row in store.rows("garment")] == [1.0, 2.0, 3.0]


def test_connections_that_the_server_ends_as_they_idle_are_made_again(
    postgres_server: Server, url: str
) -> None:
    limited = f"{url}&options=-c%20idle_session_timeout%3D200"
    with motion.create_store("idle", url=limited, schemas={"garment": Garment}) as store:
        for price in (1.0, 2.0):
            change = store.set("garment", price=price)
            assert store.get("garment", change.id).price == price
            _wait_until_gone(postgres_server)


def test_a_write_whose_connection_the_server_ends_as_it_takes_long_is_made_again(
    postgres_server: Server, url: str
) -> None:
    limited = f"{url}&options=-c%20idle_in_transaction_session_timeout%3D200"
    ended = [1]

    def take_long(point: str) -> None:
        if point == "write.applied" and ended:
            ended.pop()
            _wait_until_gone(postgres_server, "AND state LIKE 'idle in transaction%'")

    with motion.create_store("idle", url=limited, schemas={"garment": Garment}) as store:
        faults.arm(take_long)
        try:
            change = store.set("garment", price=1.0)
        finally:
            faults.arm(None)
        assert not ended
        assert [row.id for row in store.rows("garment")] == [change.id]


def test_vectors_that_take_the_numbers_of_what_a_crash_has_lost_are_found(
    postgres_server: Server, open_shop: Callable[..., motion.Store]
) -> None:
    store = open_shop(triggers=[], durability="normal")
    store.set("garment", id=1, made=HERE)
    with writing_its_log_late(postgres_server, store):
        store.set_many("garment", [{"id": id, "made": HERE} for id in range(100, 140)])
        assert len(store.search("garment.made", HERE, k=50)) == 41
        kill_and_start(postgres_server)
    store.set_many("garment", [{"id": id, "made": HERE} for id in (2, 3)])
    found = sorted(hit.id for hit in store.search("garment.made", HERE, k=50))
    assert found == [row.id for row in store.rows("garment")]


HERE = np.array([1.0, 0.0, 0.0])


@contextmanager
def writing_its_log_late(server: Server, store: motion.Store) -> Iterator[None]:
    """Let a crash take what was acknowledged meanwhile, where it was not to be waited for."""
    late = {"wal_writer_delay": "10s", "wal_writer_flush_after": "800000kB"}
    try:
        for setting, value in late.items():
            server.execute(f"ALTER SYSTEM SET {setting} = '{value}'")
        server.execute("SELECT pg_reload_conf()")
        until(store, lambda: server.execute("SHOW wal_writer_delay") == [("10s",)])
        server.execute("CHECKPOINT")
        yield
    finally:
        for setting in late:
            server.execute(f"ALTER SYSTEM RESET {setting}")
        server.execute("SELECT pg_reload_conf()")


STOP_WHO_WAITS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
)


@contextmanager
def _waiting_for_a_standby(server: Server, store: motion.Store) -> Iterator[None]:
    """Let commits be made, and not be told of."""
    server.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    try:
        server.execute("SELECT pg_reload_conf()")
        until(store, lambda: server.execute("SHOW synchronous_standby_names") == [("nobody",)])
        yield
    finally:
        server.execute("ALTER SYSTEM RESET synchronous_standby_names")
        server.execute("SELECT pg_reload_conf()")


def _interrupt_who_waits(server: Server) -> None:
    while not server.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"):
        pause()
    os.kill(os.getpid(), signal.SIGINT)


def _wait_until_gone(server: Server, which: str = "") -> None:
    sql = f"SELECT 1 FROM pg_stat_activity WHERE application_name = 'motion idle' {which}"
    while server.execute(sql):
        pause()


def kill_and_start(server: Server) -> None:
    server.kill()
    server.start()


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        ("/postgres?", "/nothing_of_this_name?", 'database "nothing_of_this_name" does not exist'),
        ("postgres:@", "nobody:@", 'role "nobody" does not exist'),
        (
            "&motion_schema",
            "&options=-c%20nonsense%3D1&motion_schema",
            "unrecognized configuration parameter",
        ),
    ],
)
def test_what_the_server_will_not_have_is_said_at_once(
    url: str, caplog: pytest.LogCaptureFixture, good: str, bad: str, said: str
) -> None:
    assert url.count(good) == 1
    with (
        caplog.at_level("INFO", "motion"),
        pytest.raises(motion.StoreUnavailable, match=said) as caught,
    ):
        motion.create_store("shop", schemas={"garment": Garment}, url=url.replace(good, bad))
    assert "in the URL" in str(caught.value)
    assert "trying again" not in caplog.text


ENDS_ITSELF = "SELECT pg_terminate_backend(pg_backend_pid())"


def losing_its_connection(way: str, calls: list[int]) -> Any:
    """Return a trigger whose first call loses the connection that it reads with."""

    def read(store: motion.View) -> None:
        calls.append(1)
        if len(calls) == 1:
            store.sql(ENDS_ITSELF)

    def wrapped(price: float, store: motion.View) -> str:
        try:
            read(store)
        except motion.StoreUnavailable as exc:
            raise ValueError("no prices") from exc
        return "read"

    def plain(price: float, store: motion.View) -> str:
        read(store)
        return "read"

    async def later(price: float, store: motion.View) -> str:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.to_thread(read, store))
        return "read"

    def batched(price: list[float], store: motion.View) -> list[str]:
        read(store)
        return ["read"] * len(price)

    functions: dict[str, Any] = {"wrapped": wrapped, "later": later, "batched": batched}
    options: dict[str, Any] = {"timed": {"timeout": 60}, "batched": {"batch": 10}}
    return motion.trigger(on="garment.price", sets="garment.label", **options.get(way, {}))(
        functions.get(way, plain)
    )


@pytest.mark.parametrize("way", ["plain", "wrapped", "timed", "later", "batched"])
def test_p10_a_row_whose_call_loses_the_stores_connection_is_called_again(
    open_shop: Callable[..., motion.Store], way: str
) -> None:
    calls: list[int] = []
    store = open_shop(triggers=[losing_its_connection(way, calls)])
    store.set_many("garment", [{"id": n, "price": 1.0} for n in range(3)]).wait(timeout=WAIT_S)
    assert [row.label for row in store.rows("garment")] == ["read"] * 3
    assert store.errors() == []
    assert len(calls) > 1
