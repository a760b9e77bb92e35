"""Executors keep their contract."""

from __future__ import annotations

from motion.executors.base import Executor
from motion.executors.inline import InlineExecutor
from motion.executors.processes import ProcessExecutor
from motion.executors.threads import ThreadExecutor
from motion.testing.contracts import ExecutorContract


class TestInline(ExecutorContract):
    stops_waiting = False

    def make(self) -> Executor:
        return InlineExecutor()


class TestThreads(ExecutorContract):
    def make(self) -> Executor:
        return ThreadExecutor("contract")


class TestProcesses(ExecutorContract):
    is_elsewhere = True

    def make(self) -> Executor:
        return ProcessExecutor("contract")
