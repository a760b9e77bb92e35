"""Sources are read in any number of threads: Python before 3.13 counts the depth of all trees in the making together."""

from __future__ import annotations

import subprocess
import sys

RACE = """
import gc, sys, threading
from motion.definitions.functions.sources import parsed

sys.setswitchinterval(1e-6)
gc.set_threshold(20)  # what it collects runs code of Python in the middle of a tree, where another thread may come on
text = "\\n".join(f"def f{i}(a, b=({i}, [1, 2])):\\n    return [a + b for c in {{a: b}}]" for i in range(60))

class Cycle:
    def __init__(self): self.me = self
    def __del__(self): sum(range(50))

def read():
    for _ in range(40):
        for _ in range(5): Cycle()
        assert len(parsed(text).body) == 60
        done.append(1)

done = []
threads = [threading.Thread(target=read) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(done))
"""


def test_threads_that_read_sources_at_the_same_time_get_their_trees() -> None:
    found = subprocess.run(
        [sys.executable, "-c", RACE], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout) == (0, "160\n"), found.stderr
