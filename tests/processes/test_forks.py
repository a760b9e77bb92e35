"""Forks: what a child may use of its parent's stores, and what it must leave alone. In real processes, as they are made."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from motion import clock
from tests.conftest import is_running, pause

PREAMBLE = """
import json, os, signal, sys, threading, time
from dataclasses import dataclass

import motion

@dataclass
class Doc:
    id: int
    text: str
    size: int

@dataclass
class Note:
    id: str
    text: str

def length(text):
    return len(text)

size = motion.trigger(on="doc.text", sets="doc.size", name="size", version="1", inline=False)(length)

def opened(name="docs", url=None, **options):
    return motion.create_store(
        name, schemas={"doc": Doc, "note": Note}, url=url or f"sqlite:///{sys.argv[1]}/docs",
        **{"durability": "normal", **options},
    )

def in_child(function, how=os._exit):
    "Run a function in a forked child, and return what it returned, an error's name, or that it hangs."
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(here)
        signal.alarm(90)
        try:
            told = function()
        except motion.MotionError as exc:
            told = f"{type(exc).__name__}: {exc}"
        os.write(there, json.dumps(told).encode())
        os.close(there)
        how(0)
    os.close(there)
    with os.fdopen(here) as pipe:
        told = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return json.loads(told) if told else f"ended by {code}"

def say(told):
    print(json.dumps(told), flush=True)

"""


def run(code: str, folder: Path, *, timeout_s: float = 200) -> list[str]:
    """Run lines in a process of their own, whose warnings and complaints at exit are errors; return what it said."""
    done = subprocess.run(
        [
            sys.executable, "-W", "error", "-W", "ignore:This process:DeprecationWarning",
            "-c", PREAMBLE + code, str(folder),
        ],
        capture_output=True, text=True, timeout=timeout_s,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout.splitlines()


def until_said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def start(code: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + code, str(folder)],
        stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True,
    )  # fmt: skip


def until_ended(process: int, timeout_s: float = 100) -> None:
    deadline = clock.monotonic_s() + timeout_s
    while is_running(process):
        assert clock.monotonic_s() < deadline
        pause()


# -- a child that uses nothing --


@pytest.mark.parametrize("how", ["sys.exit", "os._exit", "lambda code: 1 / 0"])
@pytest.mark.parametrize("url", ["None", "':memory:'"])
def test_a_child_that_uses_nothing_takes_nothing_with_it(
    tmp_path: Path, how: str, url: str
) -> None:
    end = (
        "exec('try:\\n 1 / 0\\nexcept ZeroDivisionError:\\n sys.exit(0)')" if "1 / 0" in how else ""
    )
    said = run(
        f"""
store = opened(url={url}, triggers=[size])
store.set("doc", text="one").wait(timeout=60)
folder = store._database.backend.folder
files = lambda: sorted(os.path.join(at, name) for at, _, names in os.walk(folder) for name in names)
of_server = "MOTION_TEST_SERVER" in os.environ  # which tells processes of each other's commits without files
while not of_server and not os.listdir(os.path.join(folder, "listeners")):  # a thread of the store's makes it when it comes to it
    time.sleep(0.01)
before = files()
def leave(code):
    {end or f"({how})(code)"}
in_child(lambda: "", leave)
say(files() == before)
say(store.set("doc", id=1, text="three").wait(timeout=60).rows()[0].size)
store.close()
""",
        tmp_path,
    )
    assert said == ["true", "5"]


def test_a_child_keeps_no_file_of_its_parents_open(tmp_path: Path) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("shows what is open")
    said = run(
        """
store = opened(triggers=[size])
store.set("doc", text="one").wait(timeout=60)
store.sql("select 1")
def open_here():
    names = []
    for each in os.listdir("/proc/self/fd"):
        try:
            names.append(os.readlink(f"/proc/self/fd/{each}"))
        except FileNotFoundError:
            pass
    return [name for name in names if sys.argv[1] in name]
say(bool(open_here()))
say(in_child(open_here))
store.close()
""",
        tmp_path,
    )
    assert said == ["true", "[]"]


def test_tasks_of_a_killed_process_are_taken_over_though_a_child_of_it_lives(
    tmp_path: Path,
) -> None:
    parent = start(
        """
def stuck(text):
    say("claimed")
    time.sleep(1000)
slow = motion.trigger(on="doc.text", sets="doc.size", name="size", version="1", inline=False)(stuck)
store = opened(triggers=[slow])
child = os.fork()
if child == 0:
    time.sleep(1000)
say(child)
store.set("doc", text="one")
time.sleep(1000)
""",
        tmp_path,
    )
    child = int(until_said(parent))
    try:
        assert until_said(parent) == '"claimed"'
        parent.kill()
        parent.wait()
        said = run(
            """
with opened(triggers=[size]) as store:
    store.wait(timeout=60)
    say(store.get("doc", 1).size)
""",
            tmp_path,
        )
        assert said == ["3"]
        assert is_running(child)
    finally:
        os.kill(child, signal.SIGKILL)
        parent.communicate()


def test_a_process_killed_within_a_write_holds_up_nobody_though_a_child_of_it_lives(
    tmp_path: Path,
) -> None:
    parent = start(
        """
from motion import faults
def kill(point):
    if point == "write.applied":
        os.kill(os.getpid(), signal.SIGKILL)
store = opened(triggers=[])
child = os.fork()
if child == 0:
    time.sleep(1000)
say(child)
faults.arm(kill)
store.set("doc", text="one")
""",
        tmp_path,
    )
    child = int(until_said(parent))
    try:
        parent.wait(timeout=60)
        said = run(
            """
with opened(triggers=[]) as store:
    say(store.set("doc", text="two").id)
    say(len(store.rows("doc")))
""",
            tmp_path,
            timeout_s=100,
        )
        assert said == ["1", "1"]
        assert is_running(child)
    finally:
        os.kill(child, signal.SIGKILL)
        parent.communicate()


def test_processes_of_an_executor_end_with_the_one_they_serve_though_a_child_of_it_lives(
    tmp_path: Path,
) -> None:
    parent = start(
        """
begun = sys.argv[1] + "/begun"
def who(text):
    if text == "stuck":
        open(begun, "w").close()
        time.sleep(1000)
    return os.getpid()
there = motion.trigger(on="doc.text", sets="doc.size", name="size", executor="process")(who)
store = opened(triggers=[there])
say(store.set("doc", text="one").wait(timeout=60).rows()[0].size)
store.set("doc", text="stuck")
while not os.path.exists(begun):
    time.sleep(0.01)
child = os.fork()
if child == 0:
    time.sleep(1000)
say(child)
time.sleep(1000)
""",
        tmp_path,
    )
    worker, child = int(until_said(parent)), int(until_said(parent))
    try:
        assert is_running(worker)
        parent.kill()
        parent.wait()
        until_ended(worker)
        assert is_running(child)
    finally:
        os.kill(child, signal.SIGKILL)
        parent.communicate()


# -- a child that goes on --


@pytest.mark.parametrize("closes_files", [False, True])
def test_a_daemon_goes_on_with_the_store_that_it_opened_before(
    tmp_path: Path, closes_files: bool
) -> None:
    done = subprocess.run(
        [
            sys.executable, "-c", PREAMBLE + f"""
store = opened(triggers=[size])
store.set("doc", text="by the parent").wait(timeout=60)
here, there = os.pipe()
if os.fork():
    sys.exit(0)
os.close(there)
os.setsid()
if os.fork():
    os._exit(0)
os.read(here, 1)  # until the parent has ended
if {closes_files}:
    os.closerange(3, 1024)
for i in range(3):
    store.set("doc", text=f"by the child {{i}}").wait(timeout=60)
with store.transaction() as tx:
    tx.set("doc", text="at last")
store.wait(timeout=60)
store.close()
print("closed", flush=True)
""", str(tmp_path),
        ],
        stdout=subprocess.PIPE, text=True, timeout=90, check=True,
    )  # fmt: skip
    assert done.stdout == "closed\n"
    said = run(
        'with opened(run=False) as store: say([(row.text, row.size) for row in store.rows("doc")])',
        tmp_path,
    )
    texts = ["by the parent", *(f"by the child {i}" for i in range(3)), "at last"]
    assert said == [str([[text, len(text)] for text in texts]).replace("'", '"')]


@pytest.mark.parametrize("url", ["None", "':memory:'"])
def test_a_pool_of_children_and_their_parent_write_at_once(tmp_path: Path, url: str) -> None:
    said = run(
        f"""
import multiprocessing
store = opened(url={url}, triggers=[size])
store.set("doc", text="before").wait(timeout=60)

def work(n):
    ids = [store.set("doc", text="x" * n).id for i in range(10)]
    ids += store.set_many("doc", [{{"text": "y" * n}}] * 10)._ids if n == 3 else []
    notes = [store.set("note", text="a").id for i in range(5)]
    assert store.get("doc", ids[0]).text == "x" * n
    return ids, notes

with multiprocessing.get_context("fork").Pool(3) as pool:
    result = pool.map_async(work, range(1, 7))
    own = [store.set("doc", text="parent").id for i in range(20)]
    found = result.get(timeout=60)
    pool.close()
    pool.join()
store.wait(timeout=60)
ids = [each for some, _ in found for each in some] + own
notes = [each for _, some in found for each in some]
say([len(ids), len(set(ids)), len(set(notes)), len(store.rows("doc")), len(store.rows("note"))])
say(all(row.size == len(row.text) for row in store.rows("doc")))
store.close()
""",
        tmp_path,
    )
    assert said == ["[90, 90, 30, 91, 30]", "true"]


def test_a_pool_of_children_runs_triggers_in_processes_of_their_own(tmp_path: Path) -> None:
    said = run(
        """
import multiprocessing
size = motion.trigger(on="doc.text", sets="doc.size", executor="process", version="1", inline=False)(length)
store = opened(triggers=[size])

def work(n):
    store.set("doc", id=n, text="x" * n).wait(timeout=60)
    return store.get("doc", n).size

with multiprocessing.get_context("fork").Pool(2) as pool:
    say(pool.map(work, range(1, 7)))
say([letter.error for letter in store.errors()])
store.close()
""",
        tmp_path,
    )
    assert said == ["[1, 2, 3, 4, 5, 6]", "[]"]


@pytest.mark.parametrize("how", ["fork", "forkserver"])
def test_a_child_that_leaves_its_store_open_does_not_wait_for_the_processes_of_triggers(
    tmp_path: Path, how: str
) -> None:
    (tmp_path / "served.py").write_text(
        PREAMBLE
        + """
size = motion.trigger(on="doc.text", sets="doc.size", executor="process", version="1", inline=False)(length)

def work():
    from motion.executors import processes
    processes.IDLE_S = 3600.0
    store = opened(triggers=[size])
    store.set("doc", text="xx").wait(timeout=60)
    print(store.get("doc", 1).size, flush=True)
"""
    )
    said = run(
        f"""
import multiprocessing
sys.path.insert(0, {str(tmp_path)!r})
import served
child = multiprocessing.get_context({how!r}).Process(target=served.work)
child.start()
child.join(60)
say(child.exitcode)
child.kill()
""",
        tmp_path,
    )
    assert said == ["2", "0"]


def test_children_of_a_server_that_opened_the_store_before_work_when_it_does_not(
    tmp_path: Path,
) -> None:
    said = run(
        """
store = opened(triggers=[size])
store.set("doc", text="one").wait(timeout=60)
pipes = []
for n in range(2):
    ready, go = os.pipe(), os.pipe()
    if os.fork() == 0:
        signal.alarm(60)
        os.write(ready[1], b".")
        os.read(go[0], 1)
        store.set("doc", text="by" * n).wait(timeout=60)
        told = in_child(lambda: store.set("doc", text="a grandchild").id)
        assert isinstance(told, int), told
        store.wait(timeout=60)
        store.close()
        os._exit(0)
    pipes.append((ready[0], go[1]))
for ready, _ in pipes:
    os.read(ready, 1)
store.close()
for _, go in pipes:
    os.write(go, b".")
say([os.waitstatus_to_exitcode(os.wait()[1]) for _ in pipes])
with opened(run=False) as store:
    say(sorted((row.text, row.size) for row in store.rows("doc")))
""",
        tmp_path,
    )
    assert said == ["[0, 0]", '[["", 0], ["a grandchild", 12], ["a grandchild", 12], ["by", 2], ["one", 3]]']  # fmt: skip


def test_a_child_may_open_the_store_anew_or_give_it_other_triggers(tmp_path: Path) -> None:
    said = run(
        """
store = opened(run=False)
store.set("doc", text="one")
def again():
    double = motion.trigger(on="doc.text", sets="doc.size", inline=False)(lambda text: 2 * len(text))
    with opened(triggers=[double]) as here:
        return here.set("doc", text="two").wait(timeout=60).rows()[0].size
say(in_child(again))
say(len(store.rows("doc")))
store.close()
""",
        tmp_path,
    )
    assert said == ["6", "2"]


def test_a_child_that_leaves_a_block_leaves_the_parents_store_open(tmp_path: Path) -> None:
    said = run(
        """
with opened(triggers=[size]) as store:
    store.set("doc", text="one").wait(timeout=60)
    child = os.fork()
    if child == 0:
        sys.exit(0)
    say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    say(store.set("doc", text="three").wait(timeout=60).rows()[0].size)
""",
        tmp_path,
    )
    assert said == ["0", "5"]


def test_a_command_that_is_started_with_code_before_it_disturbs_nothing(tmp_path: Path) -> None:
    said = run(
        """
import subprocess
store = opened(triggers=[size])
for i in range(5):
    change = store.set("doc", text="one")
    told = subprocess.run(["echo", "ok"], preexec_fn=os.setsid, capture_output=True, text=True).stdout
    assert told == "ok\\n"
    change.wait(timeout=60)
say(len(store.rows("doc")))
store.close()
""",
        tmp_path,
    )
    assert said == ["5"]


# -- a fork in the midst of work --


def test_a_pool_that_is_first_used_while_the_process_forks_makes_no_complaint(
    tmp_path: Path,
) -> None:
    said = run(
        """
def pooled():
    from concurrent.futures import ThreadPoolExecutor
os.register_at_fork(before=pooled)
store = opened(triggers=[size])
say(in_child(lambda: store.set("doc", text="child").id))
store.close()
""",
        tmp_path,
    )
    assert said == ["1"]


def test_children_that_are_made_while_other_threads_write_and_read_neither_hang_nor_lose(
    tmp_path: Path,
) -> None:
    said = run(
        """
store = opened(triggers=[size])
over = threading.Event()
def busy(n):
    while not over.is_set():
        store.set("doc", id=n, text="b" * n)
        store.rows("doc", limit=5)
        store.sql("select count(*) from doc")
        store.set("note", text="n")
threads = [threading.Thread(target=busy, args=(n,)) for n in range(1, 5)]
for thread in threads:
    thread.start()
def use():
    change = store.set("doc", text="child")
    return store.get("doc", change.id).text, store.set("note", text="child").id != ""
told = [in_child(use) for _ in range(15)]
over.set()
for thread in threads:
    thread.join()
store.wait(timeout=60)
say([each for each in told if each != ["child", True] and "StoreForked" not in each])
done = told.count(["child", True])
say([done > 0, len(store.rows("doc", where="text = 'child'")) == done])
if "MOTION_TEST_SERVER" not in os.environ:
    assert store.sql("pragma integrity_check")["integrity_check"].to_pylist() == ["ok"]
store.close()
""",
        tmp_path,
    )
    assert said == ["[]", "[true, true]"]


def test_a_child_that_is_made_in_the_midst_of_a_long_read_refuses_and_says_what_to_do(
    tmp_path: Path,
) -> None:
    said = run(
        """
store = opened(triggers=[size])
store.set("doc", text="one").wait(timeout=60)
class Telling(list):
    def __iter__(self):
        begun.set()
        return super().__iter__()
begun = threading.Event()
def ask():
    try:
        store.sql("with recursive c(x) as (select 1 union all select x + 1 from c) select max(x) from c", Telling())
    except motion.StoreClosed:
        pass
thread = threading.Thread(target=ask)
thread.start()
begun.wait(20)
time.sleep(0.2)
say(in_child(lambda: store.get("doc", 1).text))
say(in_child(lambda: store.set("doc", text="lost").id))
say(in_child(lambda: opened().get("doc", 1).text))
say(in_child(lambda: opened("other_name").get("doc", 1).text))
say(store.set("doc", text="parent").wait(timeout=60).rows()[0].size)
store.close()
thread.join()
""",
        tmp_path,
    )
    assert [line.split(":")[0] for line in said[:4]] == ['"StoreForked'] * 4
    assert "get_context('spawn')" in said[0]
    assert said[4] == "6"


def test_what_was_made_before_a_fork_is_the_parents(tmp_path: Path) -> None:
    said = run(
        """
store = opened(triggers=[size])
change = store.set("doc", text="one").wait(timeout=60)
say(in_child(lambda: change.wait(timeout=5)))
say(in_child(lambda: change.rows()))
say(in_child(lambda: store.change(change.key).wait(timeout=60).key == change.key))
with store.transaction() as tx:
    tx.set("doc", text="once")
    say(in_child(lambda: tx.set("doc", text="twice")))
    say(in_child(lambda: tx.get("doc", 1)))
def commits():
    with store.transaction() as inner:
        inner.set("doc", text="in both?")
        return in_child(lambda: "")
try:
    with store.transaction() as tx:
        tx.set("doc", text="by one")
        child = os.fork()
except motion.StoreForked:
    os._exit(7)
say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
say([row.text for row in store.rows("doc")])
store.close()
""",
        tmp_path,
    )
    refused = [said[0], said[1], said[3], said[4]]
    assert [line.split(":")[0] for line in refused] == ['"StoreForked'] * 4
    assert said[2] == "true"
    assert said[5:] == ["7", '["one", "once", "by one"]']


# -- functions that fork --

FORKING = """
def forking(text):
    if text.startswith("fork") and os.fork() == 0:
        signal.alarm(90)
        if text == "fork, exit":
            sys.exit(0)
        if text == "fork, raise":
            sys.stderr.close()
            raise ValueError(text)
        if text == "fork, write":
            store.set("note", text="by the child")
            os._exit(0)
        text += " in the child"
    return len(text)
"""


@pytest.mark.parametrize(
    "options",
    [
        "inline=False",
        "inline=True",
        "inline=False, timeout=60",
        'executor="process"',
        'executor="process", timeout=60',
    ],
)
def test_rows_get_their_own_values_though_a_function_forks(tmp_path: Path, options: str) -> None:
    said = run(
        f"""{FORKING}
size = motion.trigger(on="doc.text", sets="doc.size", name="size", {options})(forking)
texts = ["a", "fork, exit", "bc", "fork, raise", "def", "fork, return", "ghij"]
with opened(url=":memory:", triggers=[size]) as store:
    for text in texts:
        store.set("doc", text=text).wait(timeout=60)
    store.set_many("doc", [{{"text": text}} for text in texts]).wait(timeout=60)
    say([row.text for row in store.rows("doc") if row.size != len(row.text)])
    say([len(store.rows("doc")), len(store.errors())])
""",
        tmp_path,
    )
    assert said == ["[]", "[14, 0]"]


@pytest.mark.parametrize("end", ["sys.exit(3)", "1 / 0", "pass"])
def test_a_child_that_a_fold_forks_ends_with_its_call(tmp_path: Path, end: str) -> None:
    said = run(
        f"""
@motion.fold(on="doc.text", by="doc.size", sets="total.text")
def folded(text: list | None, id: int) -> list:
    with open(sys.argv[1] + "/calls", "a") as calls:
        calls.write(str(id))
    if id == 2 and os.fork() == 0:
        signal.alarm(90)
        sys.stderr = open(os.devnull, "w")
        {end}
    elif id == 2:
        os.wait()
    return [*(text or []), id]

@dataclass
class Total:
    id: int
    text: list

with motion.create_store("docs", schemas={{"doc": Doc, "total": Total}}, url=":memory:", triggers=[folded]) as store:
    store.set_many("doc", [{{"id": i, "size": 1, "text": "a"}} for i in range(1, 6)]).wait(timeout=60)
    say([store.get("total", 1).text, len(store.errors())])
with open(sys.argv[1] + "/calls") as calls:
    say(sorted(calls.read()))
""",
        tmp_path,
    )
    assert said == ["[[1, 2, 3, 4, 5], 0]", '["1", "2", "3", "4", "5"]']


def test_a_child_of_a_run_writes_for_itself(tmp_path: Path) -> None:
    said = run(
        f"""{FORKING}
size = motion.trigger(on="doc.text", sets="doc.size", name="size", inline=False)(forking)
with opened(triggers=[size]) as store:
    store.set("doc", text="fork, write").wait(timeout=60)
    os.wait()
    say([row.text for row in store.rows("note")])
""",
        tmp_path,
    )
    assert said == ['["by the child"]']


def test_what_a_child_of_a_run_leaves_with_the_runs_view_is_refused(tmp_path: Path) -> None:
    said = run(
        """
def forking(text: str, store: motion.View) -> int:
    if os.fork() == 0:
        try:
            store.set("note", text="nowhere")
        except motion.StoreForked:
            os._exit(7)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.wait()[1])
size = motion.trigger(on="doc.text", sets="doc.size", name="size", inline=False)(forking)
with opened(triggers=[size]) as store:
    say(store.set("doc", text="one").wait(timeout=60).rows()[0].size)
""",
        tmp_path,
    )
    assert said == ["7"]


SERVED = """
from motion.server import serve

def served(**options):
    store = opened(**options)
    on = serve(store, port=0)
    on.__enter__()
    return store, on, motion.connect(on.url, schemas={"doc": Doc, "note": Note})
"""


def test_a_client_of_a_server_that_is_used_on_both_sides_of_a_fork_gives_each_its_own_answers(
    tmp_path: Path,
) -> None:
    said = run(
        SERVED
        + """
store, on, remote = served()
store.set_many("doc", [{"id": i, "size": i} for i in range(200)])
assert remote.get("doc", 1).size == 1  # from now on there is a connection that could be shared

def asked(who):
    return [i for n in range(150) if remote.get("doc", i := (who * 40 + n) % 200).id != i]

def children():
    found = [threading.Thread(target=lambda who=who: told.append(in_child(lambda: asked(who)))) for who in (1, 2, 3)]
    for each in found:
        each.start()
    return found

told = []
started = children()
mine = asked(0)
for each in started:
    each.join()
say([mine, *told])

def closed():
    remote.close()
    return "closed"

change = remote.set("doc", text="a")
say([in_child(closed), change.wait(timeout=60).rows()[0].text])
remote.close()
on.stop()
store.close()
""",
        tmp_path,
    )
    assert said == ["[[], [], [], []]", '["closed", "a"]']


def test_a_stream_that_a_child_reads_on_gives_parent_and_child_every_row(tmp_path: Path) -> None:
    said = run(
        SERVED
        + """
go, (here, there) = threading.Event(), os.pipe()

@motion.trigger(on="doc.text", sets="doc.size", inline=False)
def measured(text: str) -> int:
    go.wait(60)
    return len(text)

store, on, remote = served(triggers=[measured])
change = remote.set_many("doc", [{"id": 0, "size": 0}, *({"id": i, "text": "ab"} for i in range(1, 10))])
stream = remote.change(change.key, table="doc", ids=range(10)).stream("size")
first = next(stream).id

def rest():
    return sorted([first, *(row.id for row in stream)])

def of_child():
    os.write(there, b"!")
    return rest()

told = []
child = threading.Thread(target=lambda: told.append(in_child(of_child)))
child.start()
os.read(here, 1)
go.set()
told.append(rest())
child.join()
say(told)
remote.close()
on.stop()
store.close()
""",
        tmp_path,
    )
    assert said == [str([[*range(10)], [*range(10)]])]
