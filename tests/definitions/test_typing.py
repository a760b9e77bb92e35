"""What type checkers tell of the public surface."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import motion

PROGRAM = """
from dataclasses import dataclass
from typing import Annotated

import numpy as np

import motion

@dataclass
class Offer:
    id: int
    text: str
    at: Annotated[np.ndarray, motion.Vector(2)]
    price: float | None = None

store = motion.create_store("offers", schemas={"offer": Offer})
one, several = np.zeros(2), np.zeros((3, 2))
queries: np.ndarray = np.ones((2, 2))
"""

REVEALED = {
    'store.search("at", [1.0, 0.0], table=Offer)': "list[Hit[Offer]]",
    'store.search("at", [1.0, 0.0], table=Offer)[0].row.price': "float | None",
    'store.search("text", text="dress", table=Offer)': "list[Hit[Offer]]",
    'store.search(["at", "text"], [1, 0], text="dress", table=Offer)': "list[Hit[Offer]]",
    'store.search("at", one, table=Offer)': "list[Hit[Offer]]",
    'store.search("at", several, table=Offer)': "list[list[Hit[Offer]]]",
    'store.search("at", [[1, 0], [0, 1]], table=Offer)': "list[list[Hit[Offer]]]",
    'store.search("text", text=["dress", "boots"], table=Offer)': "list[list[Hit[Offer]]]",
    'store.search("offer.at", [1, 0])': "list[Hit[Any]]",
    'store.search("offer.text", text=["dress"])': "list[list[Hit[Any]]]",
    'store.search("at", queries, table=Offer)': "list[Any]",  # one vector, or one a row
    "store.get(Offer, 1)": "Offer | None",
    "store.rows(Offer)": "list[Offer]",
}


def test_type_checkers_know_the_rows_of_a_class(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM + "".join(f"reveal_type({each})\n" for each in REVEALED))
    source = str(Path(motion.__file__).parents[1])
    told = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--no-pretty", program.name],
        cwd=tmp_path,
        env={"MYPYPATH": source},
        capture_output=True,
        text=True,
    ).stdout  # fmt: skip
    revealed = [line.split('"')[1] for line in told.splitlines() if "Revealed type" in line]
    assert [re.sub(r"\w+\.", "", each) for each in revealed] == list(REVEALED.values()), told
    assert "error:" not in told
