"""P14 over switches of state versions: lookups and windows of what is kept by version, and what is read of it by hand and
followed, are as if the live versions had made all of it, in a store that goes on being written to, and whose processes are killed."""

from __future__ import annotations

import random
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import motion
from tests.across_rows.test_lists_of_versions import many
from tests.conftest import OpenStore, copied

ROOT = Path(__file__).parents[2]


@dataclass
class Product:
    id: int
    ts: int
    kind: int
    code: int
    n: int
    guess: int
    label: int


@dataclass
class Like:
    id: int
    ts: int
    user: int
    kind: int
    product: int
    code: int
    seen: Annotated[int, motion.Lookup("product.guess", by="product")]
    sum: Annotated[int, motion.Window("product.guess", by="kind", agg="sum")]
    found: Annotated[int, motion.Lookup("product.guess", by="code", to="product.code")]
    spread: Annotated[float, motion.Window("product.guess", by="kind", agg="std")]
    various: Annotated[list[int], motion.Window("product.guess", by="kind", agg="distinct", rows=3)]
    pairs: Annotated[
        list[tuple[int, int]],
        motion.Window(("product.guess", "product.n"), by="kind", where={"code": 1}),
    ]
    link: str
    vec: int
    narrow: str
    last: list[int]
    taste: str
    told: str
    mixed: str
    picks: list[int]
    held: Annotated[list[int | None], motion.Lookup("product.guess", by="picks")]
    picked: str
    total: int
    peers: list[int]
    round: str
    chosen: str
    hand: str
    chain: list[int]
    blend: str
    noted: str
    label: int


class Guesser(motion.Component):
    """What it guesses is the same in all versions where `n` is even."""

    def setup(self) -> int:
        return 1

    @motion.infer(on="product.n", sets="product.guess", refresh="before")
    def guess(self, state: int, n: int) -> int:
        return guessed(state, n)

    @motion.infer(on="like.ts", sets="like.vec", refresh="before")
    def look(
        self, state: int, guess: Annotated[int, motion.Lookup("product.guess", by="product")]
    ) -> int:
        return guess + state

    @motion.infer(on="like.ts", sets="like.last", refresh="before", batch=8)
    def collect(
        self,
        state: int,
        vecs: Annotated[list[list[int]], motion.Window("like.vec", by="user", rows=2, itself=True)],
    ) -> list[list[int]]:
        return [[state, *each] for each in vecs]

    @motion.infer(on="like.last", sets="like.taste", refresh="before")
    def sum_up(self, state: int, last: list[int]) -> str:
        return f"{state} {last}"

    @motion.infer(on="like.picks", sets="like.total", refresh="before", batch=4)
    def add_up(
        self,
        state: int,
        guesses: Annotated[list[list[int]], motion.Lookup("product.guess", by="picks")],
    ) -> list[int]:
        return [state + sum(each) for each in guesses]

    @motion.infer(on="like.peers", sets="like.round", refresh="before")
    def go_round(
        self,
        state: int,
        totals: Annotated[list[int | None], motion.Lookup("like.total", by="peers")],
    ) -> str:
        return f"{state} {totals}"

    @motion.infer(on="like.ts", sets="like.narrow", refresh="before")
    def narrow(
        self,
        state: int,
        guess: Annotated[int | None, motion.Lookup("product.guess", by="code", to="product.code")],
        vecs: Annotated[
            list[int],
            motion.Window("like.vec", by="user", where={"kind": 1}, agg="distinct", itself=True),
        ],
    ) -> str:
        return f"{state} {guess} {vecs}"

    @motion.infer(on="like.product", sets="like.hand", refresh="before", follow=True, batch=4)
    def read(self, state: int, product: list[int], store: motion.View) -> list[str]:
        found = [store.get(Product, each, keys=("guess", "kind")) for each in product]
        return [f"{state} {each and (each.guess, each.kind)}" for each in found]

    @motion.infer(on="like.ts", sets="like.chain", refresh="before", follow=True)
    def go_along(self, state: int, id: int, store: motion.View) -> list[int]:
        before = store.get(Like, id - 1, keys=("chain", "vec"))
        return [state] if before is None else chained(before.chain, before.vec)

    @motion.fit(on="product.label", promote=motion.manual)
    def learn(self, state: int, rows: list[Product]) -> int:
        return rows[-1].label


class Mixer(motion.Component):
    """Its versions are made of the live one of another component."""

    def setup(self) -> int:
        return 1

    @motion.infer(on="like.ts", sets="like.mixed", refresh="before")
    def mix(
        self,
        state: int,
        guess: Annotated[int | None, motion.Lookup("product.guess", by="product")],
        vecs: Annotated[list[int], motion.Window("like.vec", by="user")],
    ) -> str:
        return f"{state} {guess} {vecs}"

    @motion.infer(on="like.picks", sets="like.chosen", refresh="before")
    def choose(
        self,
        state: int,
        guesses: Annotated[list[int], motion.Lookup("product.guess", by="picks")],
        totals: Annotated[list[int | None] | None, motion.Lookup("like.total", by="peers")],
    ) -> str:
        return f"{state} {guesses} {totals}"

    @motion.infer(on="like.ts", sets="like.blend", refresh="before", follow=True)
    async def blend(self, state: int, id: int, store: motion.View) -> str:
        before = store.get(Like, id - 1, keys=("blend", "chain"))
        return f"{state} {before and (before.chain, (before.blend or '')[:20])}"

    @motion.fit(on="like.label", promote=motion.manual)
    def learn(self, state: int, rows: list[Like]) -> int:
        return rows[-1].label


@motion.trigger(on="like.ts", sets="like.link")
def link(guess: Annotated[int, motion.Lookup("product.guess", by="product")]) -> str:
    return f"/{guess}"


@motion.trigger(on="like.vec", sets="like.told")
async def tell(
    vec: int, vecs: Annotated[list[int], motion.Window("like.vec", by="user", itself=True)]
) -> str:
    return f"{vec} {vecs}"


@motion.trigger(on="like.picks", sets="like.picked", batch=3)
def pick(
    guesses: Annotated[list[list[int]], motion.Lookup("product.guess", by="picks")],
) -> list[str]:
    return [str(each) for each in guesses]


@motion.trigger(on="like.ts", sets="like.noted", follow=True)
def note(id: int, store: motion.View) -> str:
    row = store.get(Like, id, keys=("hand", "mixed"))
    return f"{row and (row.hand, row.mixed)}"


def chained(chain: list[int] | None, vec: int | None) -> list[int]:
    return [*(chain or []), vec or 0][-4:]


def guessed(state: int, n: int) -> int:
    return n * state if n % 2 else n


def opened(folder: Path | str) -> motion.Store:
    url = folder if isinstance(folder, str) else f"sqlite:///{folder}"
    return motion.create_store(
        "taken", schemas={"product": Product, "like": Like},
        triggers=[Guesser(), Mixer(), link, tell, pick, note], url=url, durability="normal",
    )  # fmt: skip


STATES = {"Guesser": {1: 1, 2: 10, 3: 100}, "Mixer": {1: 1, 2: 20}}


@pytest.fixture(scope="module")
def with_versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with several versions of each component, of which the first is live."""
    folder = tmp_path_factory.mktemp("taken") / "taken"
    make_versions(folder)
    return folder


def make_versions(folder: Path | str) -> None:
    with opened(folder) as store:
        for component, table in (("Guesser", "product"), ("Mixer", "like")):
            for label in list(STATES[component].values())[1:]:
                store.set(table, id=1, ts=1, label=label)
                store.model(component).fit()
                store.wait(timeout=120)
            store.model(component).promote(1)
            store.wait(timeout=120)
        store.delete("product", 1)
        store.delete("like", 1)
        store.wait(timeout=120)


products = st.fixed_dictionaries(
    {"id": st.integers(1, 4)},
    optional={
        "ts": st.integers(1, 5),
        "kind": st.integers(1, 2),
        "code": st.one_of(st.integers(1, 3), st.none()),
        "n": st.one_of(st.integers(1, 6), st.none()),
    },
).map(lambda row: ("product", row))
likes = st.fixed_dictionaries(
    {"id": st.integers(1, 6)},
    optional={
        "ts": st.integers(1, 5),
        "user": st.integers(1, 2),
        "kind": st.integers(1, 2),
        "product": st.one_of(st.integers(1, 4), st.none()),
        "picks": st.one_of(st.lists(st.integers(1, 4), max_size=3), st.none()),
        "peers": st.one_of(st.lists(st.integers(1, 6), max_size=2), st.none()),
        "code": st.one_of(st.integers(1, 3), st.none()),
    },
).map(lambda row: ("like", row))
promotions = st.one_of(
    st.tuples(st.just("promote"), st.just("Guesser"), st.integers(1, 3)),
    st.tuples(st.just("promote"), st.just("Mixer"), st.integers(1, 2)),
)
changes = st.one_of(
    products,
    products,
    likes,
    likes,
    st.tuples(st.just("delete"), st.sampled_from(["product", "like"]), st.integers(1, 4)),
    st.tuples(st.just("give"), st.integers(1, 4), st.one_of(st.integers(0, 9), st.none())),
    promotions,
    promotions.map(lambda asked: (*asked, "wait")),
    st.just(("wait",)),
)
stories = st.lists(changes, min_size=8, max_size=24)
quick = settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))


few_or_many = st.sampled_from([500, 2, 1])


@quick
@given(stories, st.integers(1, 3), st.integers(1, 2), few_or_many)
def test_p14_what_is_taken_by_version_is_as_if_the_live_versions_had_made_all(
    with_versions: Path,
    tmp_path_factory: pytest.TempPathFactory,
    story: list[Any],
    guesser: int,
    mixer: int,
    at_once: int,
) -> None:
    with many(at_once):
        play(with_versions, tmp_path_factory, story, guesser, mixer)


@pytest.mark.crash
@settings(quick, max_examples=600)
@given(stories, st.integers(1, 3), st.integers(1, 2), few_or_many)
def test_p14_so_it_is_after_hundreds_of_stories(
    with_versions: Path,
    tmp_path_factory: pytest.TempPathFactory,
    story: list[Any],
    guesser: int,
    mixer: int,
    at_once: int,
) -> None:
    with many(at_once):
        play(with_versions, tmp_path_factory, story, guesser, mixer)


def play(
    source: Path,
    folders: pytest.TempPathFactory,
    story: Sequence[Any],
    guesser: int,
    mixer: int,
) -> None:
    folder = folders.mktemp("played") / "taken"
    copied(source, folder)
    given: dict[int, int | None] = {}
    with opened(folder) as store:
        rows: Any = [
            {"id": i, "ts": i, "kind": 1 + i % 2, "code": 1 + i % 2, "n": i} for i in range(1, 5)
        ]
        store.set_many("product", rows)
        rows = [
            {
                "id": i,
                "ts": i,
                "user": 1,
                "kind": 1,
                "product": i % 4,
                "code": 1,
                "picks": [i % 4, 2],
                "peers": [i],
            }
            for i in range(1, 6)
        ]
        store.set_many("like", rows)
        for op in story:
            do(store, op, given)
        for component, number in (("Guesser", guesser), ("Mixer", mixer)):
            store.model(component).promote(number)
        store.wait(timeout=120)
        assert not store.errors()
        check(store, STATES["Guesser"][guesser], STATES["Mixer"][mixer], given)
    shutil.rmtree(folder, ignore_errors=True)


def do(store: motion.Store, op: tuple[Any, ...], given: dict[int, int | None]) -> None:
    """Do what happens in a story.

    Args:
        given: product -> a user's guess, which stays until `n` changes.
    """
    match op:
        case ("product" | "like" as table, row):
            before: Any = store.get(table, row["id"])
            if before is None:
                row = {"ts": 3, **row}  # else a new row has that of the clock
            if table == "product" and "n" in row and row["n"] != (before and before.n):
                given.pop(row["id"], None)
            store.set(table, **row)
        case ("delete", table, id):
            store.delete(table, id)
            if table == "product":
                given.pop(id, None)
        case ("give", id, guess):
            if store.get("product", id) is not None:
                given[id] = guess
                store.set("product", id=id, guess=guess)
        case ("promote", component, number, *waits):
            change = store.model(component).promote(number)
            if waits:
                change.wait(timeout=120)
        case _:
            store.wait(timeout=120)


def check(store: motion.Store, guesser: int, mixer: int, given: dict[int, int | None]) -> None:
    """Hold the store against what the states give from scratch."""
    products: Any = {row.id: row for row in store.rows("product")}
    guesses = {
        id: None if row.n is None else guessed(guesser, row.n) for id, row in products.items()
    } | given
    assert {id: row.guess for id, row in products.items()} == guesses
    check_by_hand({row.id: row for row in store.rows("like")}, products, guesses, guesser, mixer)
    likes: Any = sorted(store.rows("like"), key=lambda row: (row.ts, row.id))
    vecs: dict[int | None, list[int]] = {}
    narrow: dict[int | None, list[int]] = {}
    totals: dict[int, int] = {}
    for row in likes:
        held: Any = None if row.picks is None else [guesses.get(id) for id in row.picks]
        assert row.held == held
        if held is None or None in held:
            assert (row.picked, row.total, row.chosen) == (None, None, None)
        else:
            totals[row.id] = guesser + sum(held)
            assert (row.picked, row.total) == (str(held), totals[row.id])
    for row in likes:
        of_peers = None if row.peers is None else [totals.get(id) for id in row.peers]
        assert row.round == (None if of_peers is None else f"{guesser} {of_peers}")
        if row.picked is not None:
            assert row.chosen == f"{mixer} {row.picked} {of_peers}"
    for row in likes:
        check_words(row, products, guesses)
        guess = guesses.get(row.product)
        held = [guesses[id] for id, p in products.items() if p.kind == row.kind and p.ts <= row.ts]
        assert row.seen == guess
        assert row.sum == (None if row.kind is None else sum(g for g in held if g is not None))
        assert row.link == (None if guess is None else f"/{guess}")
        vec = None if guess is None else guess + guesser
        assert row.vec == vec
        before = vecs.setdefault(row.user, [])
        mixed = None if row.user is None else f"{mixer} {guess} {before}"
        before += [] if vec is None else [vec]
        some = narrow.setdefault(row.user, [])
        some += [vec] if vec is not None and row.kind == 1 and vec not in some else []
        first = first_of(products, row.code)
        found = f"{guesser} {first and guesses[first]} {some}"
        assert row.narrow == (None if row.user is None else found)
        last = None if row.user is None else [guesser, *before[-2:]]
        told = None if vec is None or row.user is None else f"{vec} {before}"
        assert (row.last, row.told, row.mixed) == (last, told, mixed)
        assert row.taste == (None if last is None else f"{guesser} {last}")


def check_by_hand(
    likes: dict[int, Any],
    products: dict[int, Any],
    guesses: dict[int, int | None],
    guesser: int,
    mixer: int,
) -> None:
    """Hold what was read by hand against a recompute."""
    made: dict[int, tuple[list[int], str]] = {}
    for id, row in sorted(likes.items()):
        found = products.get(row.product)
        read = f"{guesser} {found and (guesses[row.product], found.kind)}"
        assert row.hand == (None if row.product is None else read)
        before = likes.get(id - 1)
        chain, blend = made.get(id - 1, ([], ""))
        along = [guesser] if before is None else chained(chain, before.vec)
        made[id] = along, f"{mixer} {before and (chain, blend[:20])}"
        assert (row.chain, row.blend) == made[id]
        assert row.noted == f"{(row.hand, row.mixed)}"


def first_of(products: dict[int, Any], code: int | None) -> int | None:
    """Return the first product with a code."""
    having = [id for id, row in products.items() if code is not None and row.code == code]
    return min(having, default=None)


def check_words(row: Like, products: dict[int, Any], guesses: dict[int, int | None]) -> None:
    """Hold what a row has by another key, of some rows only, and added up in other ways, against a recompute."""
    first = first_of(products, row.code)
    assert row.found == (first and guesses[first])
    if row.kind is None:
        assert (row.spread, row.various, row.pairs) == (None, None, None)
        return
    order = sorted(
        (p.ts, id) for id, p in products.items() if p.kind == row.kind and p.ts <= row.ts
    )
    held = [(guesses[id], products[id]) for _, id in order if guesses[id] is not None]
    values = [guess for guess, _ in held]
    assert row.spread == (statistics.stdev(values) if len(values) > 1 else None)  # type: ignore[type-var]
    assert row.various == list(dict.fromkeys(values[-3:]))
    assert row.pairs == [(guess, p.n) for guess, p in held if p.n is not None and p.code == 1]


# -- killed --


def write(folder: str, seed: int) -> None:
    """Write and promote without end, saying so after each. Runs in a process of its own."""
    chance, store = random.Random(seed), opened(folder)
    while True:
        match chance.randrange(8):
            case 0:
                store.model("Guesser").promote(chance.randrange(1, 4))
            case 1:
                store.model("Mixer").promote(chance.randrange(1, 3))
            case 2:
                store.delete(chance.choice(["product", "like"]), chance.randrange(1, 5))
            case 3 | 4:
                store.set(
                    "product",
                    id=chance.randrange(1, 5),
                    ts=chance.randrange(1, 6),
                    kind=chance.randrange(1, 3),
                    code=chance.randrange(1, 4),
                    n=chance.randrange(7),
                )
            case _:
                store.set(
                    "like",
                    id=chance.randrange(1, 7),
                    ts=chance.randrange(1, 6),
                    user=chance.randrange(1, 3),
                    kind=chance.randrange(1, 3),
                    product=chance.randrange(1, 5),
                    code=chance.randrange(1, 4),
                    picks=[chance.randrange(1, 5) for _ in range(chance.randrange(4))],
                    peers=[chance.randrange(1, 7) for _ in range(chance.randrange(3))],
                )
        print("done", flush=True)  # noqa: T201 - the message to the process that kills this one


def start(folder: str, seed: int) -> subprocess.Popen[str]:
    code = f"import tests.promises.test_taken_by_version as here; here.write({folder!r}, {seed})"
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_p14_it_is_so_after_kills_in_two_processes_that_promote(
    open_store: OpenStore, tmp_path: Path, seed: int
) -> None:
    chance, folder = random.Random(seed), f"sqlite:///{tmp_path / 'taken.motion'}"
    make_versions(folder)
    for kill in range(3):
        processes = [start(folder, 100 * seed + 2 * kill + i) for i in (0, 1)]
        lines = chance.randrange(5, 40)
        for process in processes:
            assert process.stdout is not None
            for _ in range(lines):
                assert process.stdout.readline() == "done\n"
        for process in processes:
            process.kill()
            process.communicate()
    with opened(folder) as store:
        store.model("Guesser").promote(3)
        store.model("Mixer").promote(2)
        store.wait(timeout=120)
        assert not store.errors()
        check(store, 100, 20, {})
