"""Decoders are made by one thread at a time: msgspec ends the process where two make one of the same class."""

from __future__ import annotations

import subprocess
import sys

RACE = """
import sys, threading
from dataclasses import make_dataclass
from typing import Optional
from motion.definitions.values.decoders import decoder_of, from_json

sys.setswitchinterval(1e-6)
names = [f"key_{i}" for i in range(30)]
text = "{" + ", ".join(f'"{name}": 1' for name in names) + "}"
for turn in range(150):
    kind = make_dataclass(f"Kind{turn}", [(name, Optional[int]) for name in names])
    go, read = threading.Barrier(4), []
    def own(): go.wait(); read.append(from_json(text, kind))
    def of_users(): go.wait(); read.append(decoder_of(kind).decode(text))
    threads = [threading.Thread(target=each) for each in (own, of_users) * 2]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert [each.key_29 for each in read] == [1] * 4
print("done")
"""


def test_threads_that_read_a_type_first_at_the_same_time_get_its_values() -> None:
    done = subprocess.run([sys.executable, "-c", RACE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
