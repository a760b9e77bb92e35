"""Ray on three nodes, one of which is killed half way: all is done, nothing twice, and within seconds."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

import motion
from tests.conftest import OpenStore, until

pytest.importorskip("ray", reason="Ray is not installed here; 'make test-ray' installs it")

HEALTH = {
    "health_check_period_ms": 1000,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 3,
}
"""As the guide says: a node that does not answer for three seconds is dead."""

ROWS = 60


@dataclass
class Job:
    id: int
    text: str
    loud: str
    times: int = 0


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Three nodes of one core on this machine."""
    import ray
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 100_000_000, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args={**node, "_system_config": HEALTH})
    made.others = [made.add_node(**node) for _ in range(2)]
    made.wait_for_nodes()
    ray.init(address=made.address, logging_level="warning", log_to_driver=False)
    yield made
    ray.shutdown()
    made.shutdown()


def killed(cluster: Any, node: Any) -> None:
    cluster.remove_node(node, allow_graceful=False)


def silenced(cluster: Any, node: Any) -> None:
    """Let a node say nothing any more, as one whose machine has lost its power or its network: no connection is closed."""
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    for each in [raylet, *raylet.children(recursive=True)]:
        each.send_signal(signal.SIGSTOP)


@pytest.fixture(params=[killed, silenced])
def ended(cluster: Any, request: pytest.FixtureRequest) -> Iterator[Callable[[Any], None]]:
    """A function that ends a node."""
    processes: list[psutil.Process] = []

    def end(node: Any) -> None:
        raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
        processes.extend([raylet, *raylet.children(recursive=True)])
        request.param(cluster, node)

    yield end
    for each in processes:
        if each.is_running():
            each.kill()


@pytest.mark.slow
def test_a_node_that_ends_costs_seconds_and_no_result(
    cluster: Any,
    ended: Callable[[Any], None],
    open_store: OpenStore,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    begun = tmp_path / "begun"
    begun.mkdir()

    @motion.trigger(on="job.text", executor="ray", concurrency=3)
    def shout(id: int, text: str, store: motion.View) -> None:
        import ray

        node = ray.get_runtime_context().get_node_id()
        (begun / f"{id}_{node}_{os.getpid()}").touch()
        time.sleep(0.2)
        job = store.get(Job, id)
        assert job is not None
        store.set(Job, id=id, loud=text.upper(), times=job.times + 1)

    store = open_store(schemas={"job": Job}, triggers=[shout])
    store.set_many("job", [{"id": i, "text": f"t{i}"} for i in range(ROWS)])

    def done() -> set[int]:
        return {job.id for job in store.rows(Job) if job.loud}

    def under_way(node: str) -> set[int]:
        there = {int(each.name.split("_")[0]) for each in begun.glob(f"*_{node}_*")}
        return there - done()

    victim = cluster.others[0]
    until(store, lambda: len(done()) >= ROWS // 2 and bool(under_way(victim.node_id)))
    ended(victim)
    began_s, lost = time.monotonic(), under_way(victim.node_id)
    until(store, lambda: lost <= done())
    lost_s = time.monotonic() - began_s
    store.wait(timeout=100)
    jobs = store.rows(Job)
    assert [(job.loud, job.times) for job in jobs] == [(f"T{i}", 1) for i in range(ROWS)]
    assert store.errors() == []
    with capsys.disabled():
        sys.stdout.write(f"\n{len(lost)} row(s) under way there were done {lost_s:.1f} s later\n")


class Learns(motion.Component):
    """Its first fit waits on the node that runs it, which is said in a file."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    @motion.infer(on="job.text", sets="job.times", executor="ray")
    def count(self, state: list[int], text: str) -> int:
        return len(state)

    @motion.fit(on="job.loud")
    def learn(self, state: list[int] | None, rows: list[Job]) -> list[int]:
        import ray

        begun = Path(self.folder) / "begun"
        if not begun.exists():
            begun.write_text(ray.get_runtime_context().get_node_id())
            time.sleep(1000)
        return [*(state or []), *(row.id for row in rows)]


@pytest.mark.slow
def test_a_node_that_ends_under_a_fit_costs_another_call_and_no_label(
    cluster: Any,
    ended: Callable[[Any], None],
    open_store: OpenStore,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import ray

    head = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        cluster.head_node.node_id, soft=False
    )
    taken = ray.remote(Job).options(num_cpus=1, scheduling_strategy=head).remote(0, "", "")
    store = open_store(schemas={"job": Job}, triggers=[Learns(str(tmp_path))])
    store.set_many("job", [{"id": i, "loud": "yes"} for i in range(5)])
    asked = store.model("Learns").fit()
    until(store, lambda: bool((tmp_path / "begun").exists() and (tmp_path / "begun").read_text()))
    there = (tmp_path / "begun").read_text()
    ended(next(node for node in cluster.others if node.node_id == there))
    began_s = time.monotonic()
    asked.wait(timeout=200)
    took_s = time.monotonic() - began_s
    store.wait(timeout=100)
    (made,) = store.model("Learns").versions()
    with store.model("Learns").live() as (state, _):
        assert (made.number, made.status, made.rows, state) == (1, "live", 5, [0, 1, 2, 3, 4])
    ray.kill(taken)
    with capsys.disabled():
        sys.stdout.write(f"\nthe fit that was under way there was live {took_s:.1f} s later\n")
