"""`motion migrate` with triggers of every kind: whichever of their names are others, the code that has the new ones finds what was
made, makes what is due, and takes back what goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, make_dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import pytest
from typer.testing import CliRunner

import motion
import motion.cli  # so that all commands are there
from motion.cli.app import app


@dataclass(frozen=True)
class Names:
    """How the parts of the world are called."""

    source: str = "entry"
    other: str = "person"
    target: str = "tag"
    paper: str = "paper"
    visit: str = "visit"
    key: str = "amount"
    by: str = "who"
    kept: str = "before"
    suffix: str = ""


TRIGGERS = ("plus", "tags", "words", "loud", "once", "line", "gone", "total", "applied", "follows", "named", "later")  # fmt: skip


@dataclass
class World:
    names: Names
    called: list[str] = field(default_factory=list)

    @property
    def schemas(self) -> dict[str, type]:
        n = self.names
        window = motion.Window(f"{n.source}.{n.key}", by=n.by, agg="sum")
        name = motion.Lookup(f"{n.other}.name", by=n.by)
        source = [
            ("id", int), (n.by, int), (n.key, int), ("due", int), ("plus", int), ("line", int), ("seen", str),
            (n.kept, Annotated[int | None, window]), ("name", Annotated[str | None, name]), ("named", str), ("mood", int),
        ]  # fmt: skip
        other = [("id", int), ("name", str), ("total", int), ("applied", int)]
        visit = [("id", int), (n.by, Annotated[int, motion.Ref(n.source, delete=True)])]
        tables: dict[str, Sequence[Any]] = {
            n.source: source, n.other: other, n.paper: [("id", int), (n.key, int), ("page", int), ("word", str), ("loud", str)],
            n.target: [("id", str), ("n", int)], n.visit: visit, "note": [("id", str), ("n", int)],
        }  # fmt: skip
        return {name: make_dataclass(name.title(), keys) for name, keys in tables.items()}

    @property
    def triggers(self) -> list[Any]:
        n, on = self.names, f"{self.names.source}.{self.names.key}"
        row = f"id: int, {n.key}: int, store: motion.View"
        looked_up = f'found: Annotated[str, motion.Lookup("{n.other}.name", by="{n.by}")]'
        count = f"store.set({n.source!r}, id=id, line=1 + (store.get({n.source!r}, id, keys=('line',)).line or 0))"
        read = f"store.get({n.other!r}, {n.by}, keys=('name',)).name"
        return [
            self.trigger("plus", f"{n.key}: int", f"{n.key} + 1", on, sets=f"{n.source}.plus", priority=n.key),
            self.trigger("tags", f"{n.key}: int", f"[dict(id=str({n.key} % 3), n={n.key} % 3)]", on, sets=n.target),
            self.trigger("words", f"{n.key}: int", f"[str(i) for i in range({n.key} % 4)]", f"{n.paper}.{n.key}",
                         sets=f"{n.paper}.word", page="page"),
            self.trigger("loud", "word: str", "word + '!'", f"{n.paper}.word", sets=f"{n.paper}.loud"),
            self.trigger("once", row, "store.set('note', id=f'once {id}', n=1)", on, once=True),
            self.trigger("line", row, count, on, serial_by=f"{n.source}.{n.by}"),
            self.trigger("gone", "id: int, store: motion.View", "store.set('note', id=f'gone {id}', n=1)",
                         motion.deleted(n.source)),
            self.trigger("follows", f"{n.by}: int, store: motion.View", read, f"{n.source}.{n.by}",
                         sets=f"{n.source}.seen", follow=True),
            self.trigger("named", looked_up, "found + '?'", f"{n.source}.{n.by}", sets=f"{n.source}.named"),
            self.trigger("later", row, "store.set('note', id=f'later {id}', n=1)",
                         motion.after(f"{n.source}.due", seconds=1)),
            self.fold("total"), self.fold("applied", replay=False), self.learner(),
        ]  # fmt: skip

    def trigger(self, name: str, parameters: str, body: str, on: Any, **options: Any) -> Any:
        named = name + self.names.suffix
        made = motion.trigger(on=on, name=named, version="1", inline=False, **options)
        return made(self.function(name, parameters, body))

    def fold(self, name: str, **options: Any) -> Any:
        n = self.names
        made = motion.fold(
            name=name + n.suffix, version="1", on=f"{n.source}.{n.key}", by=f"{n.source}.{n.by}",
            sets=f"{n.other}.{name}", **options,
        )  # fmt: skip
        body = f"({name} or 0) + {n.key}"
        return made(self.function(name, f"{name}: int | None, {n.key}: int", body))

    def function(self, name: str, parameters: str, body: str) -> Callable[..., Any]:
        """Return a function whose parameters are keys as they are called now."""
        given = {"motion": motion, "called": self.called, "Annotated": Annotated}
        text = f"def {name}({parameters}):\n    called.append({name!r})\n    return {body}"
        exec(text, given)
        made: Callable[..., Any] = given[name]  # type: ignore[assignment]
        return made

    def learner(self) -> motion.Component:
        n = self.names

        class Learner(motion.Component):
            def setup(self) -> int:
                return 0

            @motion.fit(on=f"{n.source}.mood", every=100, promote=motion.always)
            def learn(self, state: int, rows: list[Any]) -> int:
                return state + sum(int(getattr(row, n.key)) for row in rows)

        return Learner()

    def opened(self, folder: Path, *triggers: Any, run: bool = True) -> motion.Store:
        place = f"sqlite:///{folder}"
        return motion.create_store(
            "world", schemas=self.schemas, triggers=triggers, url=place, run=run
        )

    def put(self, store: motion.Store, entries: dict[int, tuple[int, int]]) -> None:
        n = self.names
        for number, (who, amount) in entries.items():
            store.set_many(n.source, [{"id": number, "due": 1, n.by: who, n.key: amount}])
            store.set_many(n.paper, [{"id": number, n.key: amount}])
            store.set_many(n.visit, [{"id": number, n.by: number}])

    def check(self, store: motion.Store, entries: dict[int, tuple[int, int]]) -> None:
        """Hold all that is in the store against what it should be made from."""
        n = self.names
        found = {row.id: row for row in store.rows(n.source)}
        assert found.keys() == entries.keys()
        sums: dict[int, int] = {}
        people = {row.id: row for row in store.rows(n.other)}
        for number, (who, amount) in entries.items():
            row, pages = found[number], store.rows(n.paper, id=number)
            names = (people[who].name, f"{people[who].name}?", people[who].name)
            assert (row.name, row.named, row.seen) == names
            assert (row.plus, getattr(row, n.kept)) == (amount + 1, sums.get(who, 0))
            sums[who] = sums.get(who, 0) + amount
            words: list[str | None] = [*map(str, range(amount % 4))] or [None]
            assert [page.word for page in pages] == words
            assert [page.loud for page in pages] == [word and f"{word}!" for word in words]
        assert {who: people[who].total for who in sums} == sums
        tags = {str(amount % 3) for _, amount in entries.values()}
        assert {row.id for row in store.rows(n.target)} == tags
        assert {row.id for row in store.rows(n.visit)} == entries.keys()
        notes = {row.id for row in store.rows("note")}
        assert {f"{what} {number}" for what in ("once", "later") for number in entries} <= notes


def words_for(now: Names, then: Names) -> list[str]:
    """Return what `motion migrate` is told: triggers first, then keys, then tables."""
    words: list[str] = []
    if now.suffix != then.suffix:
        for name in TRIGGERS:
            words += ["--rename-trigger", f"{name}{now.suffix}={name}{then.suffix}"]
    keys = {(now.source, "key"), (now.paper, "key"), (now.source, "by"), (now.visit, "by"), (now.source, "kept")}  # fmt: skip
    for table, part in sorted(keys):
        if getattr(now, part) != getattr(then, part):
            words += ["--rename-key", f"{table}.{getattr(now, part)}={getattr(then, part)}"]
    for part in ("source", "other", "target", "paper", "visit"):
        if getattr(now, part) != getattr(then, part):
            words += ["--rename-table", f"{getattr(now, part)}={getattr(then, part)}"]
    return words


def migrated(folder: Path, *words: str) -> None:
    done = CliRunner().invoke(app, ["migrate", str(folder), *words, "--yes"])
    assert done.exit_code == 0, (done.output, done.exception)


@pytest.mark.parametrize(
    "parts",
    [
        ["source"], ["target"], ["source", "target"], ["other"], ["paper"], ["visit"], ["key"], ["by"], ["kept"],
        ["source", "suffix"], ["source", "key", "by", "kept"], list(vars(Names())),
    ],
    ids="+".join,
)  # fmt: skip
def test_code_with_new_names_goes_on_where_the_old_one_was(
    tmp_path: Path, parts: list[str]
) -> None:
    world = World(Names())
    people = {1: "Ann", 2: "Bob"}
    entries = {number: (1 + number % 2, number) for number in range(1, 6)}
    with world.opened(tmp_path, *world.triggers) as store:
        store.set_many("person", [{"id": number, "name": name} for number, name in people.items()])
        world.put(store, entries)
        store.set("entry", id=1, mood=1)
        store.wait(timeout=60)
        world.check(store, entries)
    with world.opened(tmp_path, *world.triggers, run=False) as store:  # work waits
        entries |= {1: (2, 8), 6: (1, 4)}
        world.put(store, entries)
        store.delete("paper", 2)
        store.delete("entry", 2)
        del entries[2]
    then = replace(Names(), **{part: getattr(world.names, part) + "_new" for part in parts})
    migrated(tmp_path, *words_for(world.names, then))
    world = World(then)
    n = then
    with motion.create_store(  # nobody is here who knows the triggers
        "world", schemas=world.schemas, url=f"sqlite:///{tmp_path}", triggers=None, run=False
    ) as store:
        store.delete(n.paper, 3)
        store.delete(n.source, 3)
        del entries[3]
    with world.opened(tmp_path, *world.triggers) as store:
        store.wait(timeout=60)
        world.check(store, entries)
        entries |= {4: (2, 9), 7: (1, 3)}
        world.put(store, {4: (2, 9), 7: (1, 3)})
        store.set(n.other, id=2, name="Zoe")
        store.delete(n.paper, 5)
        store.delete(n.source, 5)
        del entries[5]
        store.wait(timeout=60)
        world.check(store, entries)
        assert "gone 5" in {row.id for row in store.rows("note")}
        assert not store.errors()
        assert store.status().orphaned == 0
        store.model("Learner").fit().wait(timeout=60)
        with store.model("Learner").live() as (state, _):
            assert state == 1  # the label is of the row as it was


@pytest.mark.parametrize("parts", [["by"], ["source"], ["source", "by", "suffix"]], ids="+".join)
def test_rows_that_a_change_elsewhere_made_due_are_made_under_new_names(
    tmp_path: Path, parts: list[str]
) -> None:
    world, rows = World(Names()), [{"id": number, "who": 1} for number in range(1, 502)]
    with world.opened(tmp_path, *world.triggers) as store:
        store.set("person", id=1, name="Ann")
        store.set_many("entry", rows)
        store.wait(timeout=60)
    with world.opened(tmp_path, *world.triggers, run=False) as store:
        store.set("person", id=1, name="Zoe")  # more than are made due at once
    then = replace(Names(), **{part: getattr(world.names, part) + "_new" for part in parts})
    migrated(tmp_path, *words_for(world.names, then))
    world = World(then)
    with world.opened(tmp_path, *world.triggers) as store:
        store.wait(timeout=60)
        found = store.rows(then.source)
    assert {(row.name, row.named, row.seen) for row in found} == {("Zoe", "Zoe?", "Zoe")}


def test_what_was_made_under_a_tables_former_name_is_not_made_again(tmp_path: Path) -> None:
    world = World(Names())
    with world.opened(tmp_path, *world.triggers) as store:
        store.set("person", id=1, name="Ann")
        world.put(store, {1: (1, 2)})
        store.wait(timeout=60)
    migrated(tmp_path, "--rename-table", "entry=entry_new", "--rename-table", "paper=paper_new")
    world = World(replace(Names(), source="entry_new", paper="paper_new"))
    with world.opened(tmp_path, *world.triggers) as store:
        store.wait(timeout=60)
        stale = {name: each.stale for name, each in store.status().triggers.items() if each.stale}
        # Of these the table is part of what they are declared as.
        assert stale.keys() <= {"later", "total", "applied", "line", "entry_new.before"}
        assert not {"plus", "tags", "words", "loud", "once", "line"} & {*world.called}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--rename-key", "entry.amount=sum"], "entry.amount cannot be migrated now"),
        (["--drop-key", "entry.mood"], None),
        (["--rename-table", "person=people"], "table 'person' cannot be migrated now"),
    ],
)
def test_what_a_waiting_backfill_goes_by_keeps_its_name(
    tmp_path: Path, words: list[str], told: str | None
) -> None:
    world = World(Names())
    with world.opened(tmp_path, *world.triggers) as store:
        store.set("person", id=1, name="Ann")
        world.put(store, {1: (1, 2)})
        store.wait(timeout=60)
    with world.opened(tmp_path, *world.triggers, run=False) as store:
        store.backfill("plus", where="amount = 2 AND who IN (SELECT id FROM person)", force=True)
    done = CliRunner().invoke(app, ["migrate", str(tmp_path), *words, "--yes"])
    assert done.exit_code == (told is not None)
    assert told is None or told in done.output
    world.called.clear()
    with world.opened(tmp_path, *(world.triggers if told else ())) as store:
        store.wait(timeout=60)
    assert world.called.count("plus") == (told is not None)
