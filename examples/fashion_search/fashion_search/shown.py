"""Shown: figures as tables of a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from fashion_search.evaluation import Line
    from fashion_search.learn import Learned
    from fashion_search.retrieval import Figures
    from fashion_search.soak import Soaked
    from fashion_search.unseen import Change


def table_of(figures: Figures) -> Table:
    table = Table("kind", box=None, pad_edge=False)
    for name in ("queries", "first hit", "hit@10"):
        table.add_column(name, justify="right")
    for kind, found in figures["kinds"].items():
        table.add_row(
            kind, str(found["queries"]), f"{found['first_hit']:.2f}", f"{found['hit_at_10']:.2f}"
        )
    return table


def table_of_parts(lines: Sequence[Line]) -> Table:
    """Return a table with a line for each ranking and kind, and a column for before a fit and one for after."""
    shown = Table(
        "titles",
        "ranking",
        "kind",
        box=None,
        pad_edge=False,
        title="Titles not learned from; first hit / one of ten, in %, with 95 % intervals",
    )
    for name in ("queries", "clean", "after one fit"):
        shown.add_column(name, justify="right")
    after = {
        (line.titles, line.ranking, line.kind): line for line in lines if line.heads == "fitted"
    }
    for line in lines:
        if line.heads == "clean":
            both = (
                _told_line(each) for each in (line, after[line.titles, line.ranking, line.kind])
            )
            shown.add_row(line.titles, line.ranking, line.kind, str(line.queries), *both)
    return shown


def table_of_changes(changes: Sequence[Change]) -> Table:
    shown = Table("200 pairs of ten unseen types", box=None, pad_edge=False)
    for name in ("count", "before", "after", "gain, points, 95 %"):
        shown.add_column(name, justify="right")
    for each in changes:
        low, high = (100 * bound for bound in each.gain)
        shown.add_row(
            each.what, f"{each.count:,}", f"{each.before:.1%}", f"{each.after:.1%}", Text(f"[{low:+.1f}, {high:+.1f}]")
        )  # fmt: skip
    return shown


def table_of_learned(found: Learned) -> Table:
    table = Table("share of the first eight", box=None, pad_edge=False)
    for name in ("before", "after", "gain", "95 % interval"):
        table.add_column(name, justify="right")
    for name, change in (
        ("what the words mean, whoever asks", found.meant),
        ("what fits who asks, taste unknown", found.fits_without_taste),
        ("what fits who asks, taste known", found.fits),
    ):
        gain = change.after - change.before
        told = f"[{100 * change.low:+.1f}, {100 * change.high:+.1f}]"
        if not change.is_proven:
            told += " not above 0"
        table.add_row(
            name, f"{change.before:.1%}", f"{change.after:.1%}", f"{100 * gain:+.1f}", Text(told)
        )
    return table


def table_of_soaked(found: Soaked) -> Table:
    table = Table("what must hold", box=None, pad_edge=False)
    for name in ("", "found"):
        table.add_column(name)
    for check in found.checks:
        held = {True: "holds", False: "FAILS", None: "not told"}[check.holds]
        style = {True: "green", False: "red", None: "dim"}[check.holds]
        table.add_row(check.what, Text(held, style), check.told)
    return table


def _told_line(line: Line) -> str:
    def told(share: float, interval: tuple[float, float]) -> str:
        return f"{100 * share:.0f} [{100 * interval[0]:.0f}, {100 * interval[1]:.0f}]"

    return f"{told(line.first_hit, line.first_hit_interval)} / {told(line.hit_at_10, line.hit_at_10_interval)}"
