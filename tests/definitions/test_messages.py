"""What a newcomer is told: typical mistakes are refused at once, with what was given, what is allowed and what to do;
and what is printed is made to be read."""

from __future__ import annotations

import dataclasses
import inspect
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest

import motion
from tests.conftest import OpenStore


class Colour(Enum):
    RED = 0
    BLUE = 1


@dataclass
class Doc:
    id: int
    text: str
    colour: Colour
    words: int
    vector: Annotated[np.ndarray, motion.Vector(3)]


def count(text: str) -> int:
    return len(text.split())


def declared(**options: Any) -> Any:
    def count_here(text: str) -> int:
        return count(text)

    return motion.trigger(**{"on": "doc.text", "sets": "doc.words", **options})(count_here)


@pytest.fixture
def store(open_store: OpenStore) -> motion.Store:
    return open_store(schemas={"doc": Doc}, triggers=[declared()], run=True)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"on": 3}, r"on= takes a key.*or several in a tuple, a schedule.*given 3"),
        ({"on": None}, "on= takes a key.*given None"),
        ({"on": ("doc.text", 3)}, "on= takes a key"),
        ({"sets": 3}, "sets= takes a key.*given 3"),
        ({"page": 3}, "page= takes the name of a page key, but was given 3"),
        ({"name": 3}, "name= takes a str of 1 to 200 printable characters, but was given 3"),
        (
            {"when": "text"},
            "when= takes a function of the row, and no async one, but was given 'text'",
        ),
        ({"inline": "no"}, "inline= takes True, False or None, but was given 'no'"),
        ({"memo": "yes"}, "memo= takes True or False, but was given 'yes'"),
        ({"timeout": 0}, "timeout must be above 0"),
        ({"version": 3}, "version= takes a str, such as version='3', but was given 3"),
    ],
)
def test_an_option_of_another_type_is_refused_where_the_trigger_is_declared(
    options: dict[str, Any], told: str
) -> None:
    with pytest.raises(motion.TriggerError, match=told):
        declared(**options)


def test_a_trigger_on_a_schedule_is_told_that_it_has_no_row(open_store: OpenStore) -> None:
    on_time = motion.trigger(on=motion.every(seconds=60))(lambda text: None)
    with pytest.raises(motion.TriggerError, match=r"schedule, so there is no row.*'text'.*View"):
        open_store(schemas={"doc": Doc}, triggers=[on_time])


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (
            lambda store: store.set("doc", text="a").wait(60),
            r"wait\(key\) takes.*wait\(timeout=60\)",
        ),
        (lambda store: store.wait(timeout="60"), "takes a number of seconds, but was given '60'"),
        (lambda store: store.rows("doc", limit=-1), r"limit=\) takes an int of at least 0.*-1"),
        (lambda store: store.rows("doc", limit="3"), r"limit=\) takes an int of at least 0.*'3'"),
        (
            lambda store: store.rows("doc", where={"words": 1}, params=[1]),
            r"params= takes values for the \?",
        ),
        (
            lambda store: store.search("doc.text", text="a", where={"words": 1}, params=[1]),
            r"params= takes values for the \?",
        ),
        (
            lambda store: store.set_many("doc", 5),
            r"set_many\(rows\) takes dicts, instances of Doc.*5",
        ),
        (lambda store: store.model("Encoder"), r"name of a component.*has none.*'Encoder'"),
        (lambda store: store.change(1 << 40), r"key of a change, an int up to \d+"),
        (lambda store: store.change("1"), r"key of a change.*'1' \(str\)"),
    ],
)
def test_an_argument_that_a_call_does_not_take_is_refused_by_name(
    store: motion.Store, call: Callable[[motion.Store], Any], told: str
) -> None:
    with pytest.raises(motion.InvalidArgument, match=told):
        call(store)


@pytest.mark.parametrize("mark", [motion.trigger, motion.infer, motion.fit])
def test_a_mark_without_its_brackets_says_what_goes_into_them(mark: Any) -> None:
    with pytest.raises(motion.TriggerError, match=rf"@motion\.{mark.__name__}\(on='table\.key'\)"):
        mark(count)


@pytest.mark.parametrize(
    ("extras", "says"),
    [
        ([motion.Vector], r"motion\.Vector needs its values, such as motion\.Vector\(512\)"),
        ([motion.Key], r"motion\.Key needs its values"),
        ([motion.Vector(2), motion.Vector(3)], r"more than one motion\.Vector"),
    ],
)
def test_no_annotation_of_a_key_is_passed_over(
    open_store: OpenStore, extras: list[Any], says: str
) -> None:
    kind = np.ndarray
    for extra in extras:
        kind = Annotated[kind, extra]  # type: ignore[assignment]  # made as the program runs
    with pytest.raises(motion.SchemaError, match=says):
        open_store(schemas={"doc": dataclasses.make_dataclass("Doc", [("id", int), ("at", kind)])})


def test_a_store_that_cannot_be_called_or_live_so_says_what_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(motion.SchemaError, match="at most 200 long"):
        motion.create_store("x" * 300, schemas={"doc": Doc}, url=":memory:")
    for url in (5, tmp_path):
        with pytest.raises(motion.MotionError, match="'sqlite:///some/folder'"):
            motion.create_store("docs", schemas={"doc": Doc}, url=url)  # type: ignore[arg-type]  # a mistake


def test_sql_that_is_no_text_is_refused(store: motion.Store) -> None:
    with pytest.raises(motion.InvalidArgument, match=r"sql\(query\).*None"):
        store.sql(None)  # type: ignore[arg-type]  # a mistake


def test_a_version_is_promoted_by_its_number_and_not_by_its_text(open_store: OpenStore) -> None:
    class Mean(motion.Component):
        def setup(self) -> float:
            return 1.0

        @motion.infer(on="doc.text", sets="doc.words")
        def count(self, mean: float, text: str) -> int:
            return len(text)

    store = open_store(schemas={"doc": Doc}, triggers=[Mean()], run=True)
    store.set("doc", text="a").wait()
    with pytest.raises(motion.InvalidArgument, match=r"number of a version.*'1' \(str\)"):
        store.model("Mean").promote("1")  # type: ignore[arg-type]  # on purpose
    with pytest.raises(motion.InvalidArgument, match="has Mean"):
        store.model("Median")
    assert repr(store.model("Mean")) == "<motion model 'Mean' of store 'shop'>"


def test_a_table_on_disk_that_was_not_opened_is_told_apart_from_one_that_is_not_there(
    open_store: OpenStore,
) -> None:
    open_store(schemas={"doc": Doc}).close()
    store = open_store(schemas={})
    with pytest.raises(motion.UnknownTable, match=r"opened without its schema.*schemas="):
        store.set("doc", text="a")
    with pytest.raises(motion.UnknownTable, match="has no table 'dok'"):
        store.set("dok", text="a")


def test_a_change_found_by_its_key_says_that_it_does_not_know_its_rows(store: motion.Store) -> None:
    change = store.set("doc", text="a").wait()
    found = store.change(change.key).wait()
    for ask in (found.rows, lambda: list(found.stream("words")), lambda: found.wait("words")):
        with pytest.raises(motion.MotionError, match="its work and not its rows"):
            ask()


def test_text_given_where_a_vector_is_expected_is_shown_the_way(store: motion.Store) -> None:
    with pytest.raises(motion.SearchError, match=r"holds text, not vectors.*with text="):
        store.search("doc.text", "red dress")
    with pytest.raises(motion.SearchError, match=r"compared with a vector.*text= is looked for in"):
        store.search("doc.vector", text="red dress")


def test_a_misspelt_member_of_an_enum_is_told_as_a_sentence(store: motion.Store) -> None:
    with pytest.raises(motion.InvalidValue, match=r"given 'GREED' \(str\)\. Did you mean 'RED'\?$"):
        store.set("doc", colour="GREED")


def test_a_closed_store_begins_no_transaction(store: motion.Store) -> None:
    store.close()
    with pytest.raises(motion.StoreClosed), store.transaction():
        pass


def test_a_dead_letter_is_written_to_be_read(open_store: OpenStore) -> None:
    @motion.trigger(on="doc.text", sets="doc.words")
    def fail(text: str) -> int:
        raise ConnectionError("the service said 503")

    store = open_store(schemas={"doc": Doc}, triggers=[fail], run=True)
    store.set("doc", text="a").wait(raise_errors=False)
    lines = str(store.errors()[0]).splitlines()
    assert lines[0] == "trigger fail gave up on doc id=1 after 1 attempt(s), with text='a':"
    assert lines[-1] == "ConnectionError: the service said 503"


def test_an_error_of_one_line_is_told_once(open_store: OpenStore) -> None:
    store = open_store(
        schemas={"doc": Doc},
        triggers=[motion.trigger(on="doc.text", sets="doc.words")(lambda text: "many")],
        run=True,
    )
    with pytest.raises(motion.TaskFailed) as caught:
        store.set("doc", text="a").wait()
    assert str(caught.value).count("doc.words takes int, but was given 'many' (str)") == 1


def test_progress_of_a_fit_is_a_line_of_the_status(store: motion.Store) -> None:
    told = motion.Progress(3, 5, {"loss": 0.33333}, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert str(told) == "step 3 of 5, loss 0.3333 (03:04:05 UTC)"
    status = store.status()
    shown = str(dataclasses.replace(status, fit_progress={"Mean": told}))
    assert shown.splitlines()[-1] == f"Mean: its fit is at {told}"


def test_a_progress_bar_shows_work_and_nothing_where_there_is_none(
    store: motion.Store, capsys: pytest.CaptureFixture[str]
) -> None:
    store.wait(progress=True)
    assert "".join(capsys.readouterr()).strip() == ""
    store.set_many("doc", [{"text": str(n)} for n in range(50)]).wait()
    store.backfill("count_here", force=True).wait(progress=True)
    assert "50/50" in capsys.readouterr().err


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: store.rows("doc", where="txt = 'a'"),
        lambda store: store.rows("doc", order_by="txt"),
        lambda store: store.search("doc.text", text="a", where="txt = 'a'"),
        lambda store: store.search("doc.vector", [1, 0, 0], where="txt = 'a'"),
    ],
)
def test_sql_that_names_no_key_is_told_the_keys_there_are(
    store: motion.Store, ask: Callable[[motion.Store], Any]
) -> None:
    store.set("doc", text="a", vector=np.ones(3)).wait()
    with pytest.raises(motion.SqlError, match=r"no such column: txt; table 'doc' has id, text"):
        ask(store)


@pytest.mark.parametrize("refresh", ["never", "after", "before"])
def test_vectors_that_a_fit_would_leave_of_several_versions_are_told_at_opening(
    open_store: OpenStore, caplog: pytest.LogCaptureFixture, refresh: Any
) -> None:
    class Encoder(motion.Component):
        def setup(self) -> float:
            return 1.0

        @motion.infer(on="doc.text", sets="doc.vector", refresh=refresh)
        def embed(self, weight: float, text: str) -> np.ndarray:
            return np.full(3, weight)

        @motion.fit(on="doc.words")
        def learn(self, weight: float, rows: list[Doc]) -> float:
            return weight + 1

    open_store(schemas={"doc": Doc}, triggers=[Encoder()])
    told = [each.getMessage() for each in caplog.records]
    mixed = [line for line in told if "Encoder.embed sets doc.vector" in line]
    assert [("refresh='before'" in line) for line in mixed] == [True] * (refresh != "before")


@pytest.mark.parametrize(
    "method",
    [
        lambda self, rows, weight: weight,
        lambda self, weight, rows, rate=0.1: weight,
        lambda self, weight, store: weight,
        lambda self: 1.0,
    ],
)
@pytest.mark.parametrize("name", ["learn", "evaluate"])
def test_a_fit_that_would_take_its_arguments_for_others_is_refused(
    open_store: OpenStore, name: str, method: Callable[..., Any]
) -> None:
    class Learner(motion.Component):
        @motion.fit(on="doc.words")
        def learn(self, weight: float, rows: list[Doc], store: motion.View) -> float:
            return weight

    wrong = motion.fit(on="doc.words")(method) if name == "learn" else method
    setattr(Learner, name, wrong)
    method.__name__ = name
    with pytest.raises(motion.TriggerError, match=r"is given \(self, state, rows, store\)"):
        open_store(schemas={"doc": Doc}, triggers=[Learner()])


WITH_FACTS = [
    each
    for each in vars(motion.errors).values()
    if isinstance(each, type) and issubclass(each, motion.MotionError) and "__init__" in vars(each)
]


@pytest.mark.parametrize("kind", WITH_FACTS, ids=lambda kind: kind.__name__)
def test_an_error_can_be_made_again_of_its_facts(kind: type[motion.MotionError]) -> None:
    """As in another process, or at the other end of a connection."""
    some: dict[str, Any] = {
        "int": 1, "float": 1.0, "Mapping[str, Any]": {"id": 1}, "Sequence[tuple[str, str]]": (("x", "y"),),
    }  # fmt: skip
    taken = list(inspect.signature(kind).parameters.values())
    facts = [some.get(each.annotation, "x") for each in taken if each.kind != each.KEYWORD_ONLY]
    error = kind(*facts)
    again = kind(*error.args)
    assert (str(again), vars(again)) == (str(error), vars(error))
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
