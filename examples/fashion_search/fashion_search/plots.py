"""Plots: a run of simulated shoppers as SVG, to be read light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as Xml

import numpy as np

WIDE, HIGH = 760, 340
LEFT, RIGHT, TOP, BOTTOM = 52, 20, 44, 44
WINDOW = 200
"""Sessions that one point of the line is the mean of."""

_STYLE = """
text{font:12px system-ui,sans-serif;fill:#545c69}.title{font-size:14px;font-weight:600;fill:#1a1e26}
.ground{fill:#fff}.grid{stroke:#e3e3df}.line{fill:none;stroke:#3c49c4;stroke-width:2.5}.switch{stroke:#6a3fc0;stroke-dasharray:3 3}.version{fill:#6a3fc0}.point{fill:#8f3d2b}
@media(prefers-color-scheme:dark){text{fill:#a5adb9}.title{fill:#e7e9ed}.ground{fill:#12151a}.grid{stroke:#2a2f38}.line{stroke:#9aa8ff}.switch{stroke:#bda4ff}.version{fill:#bda4ff}.point{fill:#f0a08a}}
"""


def write_course(
    path: Path,
    course: Sequence[float],
    switches: Sequence[tuple[int, int]],
    title: str,
    measured: tuple[float, float] | None = None,
) -> None:
    """Write how the share of answers that fit went, and when which version went live.

    Visits ask for other things each time, so the line goes up and down; `measured` is the share of the same questions before all
    visits and after them.
    """
    window = max(1, min(WINDOW, len(course) // 4))
    means = np.convolve(np.asarray(course), np.ones(window) / window, "valid")
    top = max(1, int(np.ceil(10 * max(means.max(initial=0.1), *(measured or (0.0,)))))) / 10

    def x(session: float) -> float:
        return LEFT + (WIDE - LEFT - RIGHT) * session / max(1, len(course))

    def y(share: float) -> float:
        return HIGH - BOTTOM - (HIGH - TOP - BOTTOM) * share / top

    svg = Xml.Element("svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {WIDE} {HIGH}", role="img")  # fmt: skip
    Xml.SubElement(svg, "title").text = title
    Xml.SubElement(svg, "style").text = _STYLE
    _put(svg, "rect", "ground", x=0, y=0, width=WIDE, height=HIGH, rx=8)
    _write(svg, "title", LEFT, 24, title)
    for share in np.arange(0, top + 0.01, 0.1):
        _put(svg, "line", "grid", x1=LEFT, x2=WIDE - RIGHT, y1=y(share), y2=y(share))
        _write(svg, "", LEFT - 8, y(share) + 4, f"{100 * share:.0f} %", anchor="end")
    for step in range(5):
        sessions = len(course) * step / 4
        _write(svg, "", x(sessions), HIGH - BOTTOM + 18, f"{sessions:,.0f}", anchor="middle")
    _write(svg, "", (LEFT + WIDE - RIGHT) / 2, HIGH - 8, f"visits (line: the mean of the last {window}; dots: the same questions before and after)", anchor="middle")  # fmt: skip
    last = -99.0
    for session, version in switches:
        _put(svg, "line", "switch", x1=x(session), x2=x(session), y1=TOP, y2=HIGH - BOTTOM)
        if x(session) - last > 26:  # names do not lie on each other
            is_late = x(session) > WIDE - 60
            _write(
                svg,
                "version",
                x(session) + (-4 if is_late else 4),
                TOP + 12,
                f"v{version}",
                anchor="end" if is_late else "start",
            )
            last = x(session)
    points = " ".join(
        f"{x(place + window):.1f},{y(share):.1f}" for place, share in enumerate(means)
    )
    _put(svg, "polyline", "line", points=points)
    for session, share in zip((0, len(course)), measured or (), strict=False):
        _put(svg, "circle", "point", cx=x(session), cy=y(share), r=6)
        anchor, aside = ("start", 12) if session == 0 else ("end", -12)
        _write(
            svg, "title", x(session) + aside, y(share) - 10, f"{100 * share:.1f} %", anchor=anchor
        )
    path.write_text(Xml.tostring(svg, encoding="unicode"), encoding="utf-8")


def _put(svg: Xml.Element, tag: str, kind: str, **values: float | str) -> None:
    told = {
        name: f"{value:.1f}" if isinstance(value, float) else str(value)
        for name, value in values.items()
    }
    Xml.SubElement(svg, tag, {"class": kind, **told})


def _write(
    svg: Xml.Element, kind: str, x: float, y: float, text: str, anchor: str = "start"
) -> None:
    Xml.SubElement(svg, "text", {"class": kind, "x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor}).text = text  # fmt: skip
