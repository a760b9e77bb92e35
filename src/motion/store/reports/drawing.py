"""Drawing a pipeline: its tables, keys, triggers and components, as lines of text, as Mermaid and as an SVG.

What is drawn is the graph alone, so it costs the same however many rows there are. Names may be anybody's: each form escapes
them in its own way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Literal

from motion.store.reports.pipeline import Pipeline, PipelineFit, PipelineTrigger

Kind = Literal["key", "vector", "rows", "trigger", "schedule", "component", "fit"]

Bond = Literal["fires", "reads", "searches", "sets", "uses", "learns"]

MODELS, SCHEDULES = "models", "schedules"
"""Lanes beside those of tables."""


@dataclass(frozen=True)
class Node:
    """Something that is drawn.

    Attributes:
        lane: the table, or `models` or `schedules`.
        column: how far from what is given from outside.
        told: what else there is to say of it, in a few words.
    """

    name: str
    kind: Kind
    label: str
    lane: str
    column: int
    told: str = ""


@dataclass(frozen=True)
class Edge:
    """One node does something to another: a key fires a trigger or is only read by it, a trigger sets a key, a component's
    state is used by a trigger, a fit learns from a key or makes a component's state."""

    source: str
    target: str
    bond: Bond


@dataclass
class Drawing:
    """A pipeline as it is drawn: what is in it from left to right, in lanes."""

    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    idle: dict[str, list[str]] = field(default_factory=dict)
    """Table -> its keys that no trigger has to do with."""

    @property
    def lanes(self) -> list[str]:
        return list(dict.fromkeys([*self.idle, *(node.lane for node in self.nodes.values())]))

    def into(self, target: str, *bonds: Bond) -> list[Node]:
        found = [each for each in self.edges if each.target == target and each.bond in bonds]
        return [self.nodes[each.source] for each in found]

    def out_of(self, source: str, *bonds: Bond) -> list[Node]:
        found = [each for each in self.edges if each.source == source and each.bond in bonds]
        return [self.nodes[each.target] for each in found]


def drawing_of(pipeline: Pipeline, versions: Mapping[str, int | None] | None = None) -> Drawing:
    """Return a pipeline as it is drawn.

    Args:
        versions: component -> its live version, to be told beside it.
    """
    return _Drawer(pipeline, versions or {}).drawn()


class _Drawer:
    def __init__(self, pipeline: Pipeline, versions: Mapping[str, int | None]) -> None:
        self._pipeline, self._versions = pipeline, versions
        self._kinds = {f"{t.name}.{key.name}": key.kind for t in pipeline.tables for key in t.keys}
        self._drawing = Drawing()
        self._first: dict[str, int] = {}  # table -> the column where what it is given stands

    def drawn(self) -> Drawing:
        drawing, pipeline = self._drawing, self._pipeline
        drawing.idle = {table.name: [] for table in pipeline.tables}
        for trigger in pipeline.triggers:
            self._trigger(trigger)
        for fit in pipeline.fits:
            self._fit(fit)
        for name in pipeline.components:
            self._component(name, 0)
        for table in pipeline.tables:
            drawing.idle[table.name] = [
                key.name
                for key in table.keys
                if key.name != "id"
                and not key.is_page
                and f"{table.name}.{key.name}" not in drawing.nodes
            ]
        return drawing

    def _trigger(self, trigger: PipelineTrigger) -> None:
        fires = self._keys((*trigger.on, *trigger.looks_up, *trigger.holds))
        fires += self._events(trigger)
        read, searched = self._keys(trigger.reads), self._keys(trigger.searches)
        column = 1 + max(
            (self._drawing.nodes[e].column for e in [*fires, *read, *searched]), default=0
        )
        lane = SCHEDULES if trigger.schedule else trigger.on_deleted or trigger.table
        name = self._node(
            f"trigger {trigger.name}", "trigger", trigger.name, lane, column, _told(trigger)
        )
        self._join(fires, name, "fires")
        self._join(read, name, "reads")
        self._join(searched, name, "searches")
        self._join([self._component(each, column) for each in trigger.uses], name, "uses")
        for target in self._targets(trigger, column + 1):
            self._join([name], target, "sets")

    def _targets(self, trigger: PipelineTrigger, column: int) -> list[str]:
        if trigger.sets_table is None:
            return [self._key(key, column) for key in trigger.sets]
        self._first.setdefault(trigger.sets_table, column)
        return [
            self._node(f"table {trigger.sets_table}", "rows", "rows", trigger.sets_table, column)
        ]

    def _fit(self, fit: PipelineFit) -> None:
        keys = self._keys(fit.on)
        column = 1 + max((self._drawing.nodes[each].column for each in keys), default=0)
        often = [f"every {fit.every} labels"] if fit.every else []
        often += [fit.schedule] if fit.schedule else []
        label = fit.name.removeprefix(f"{fit.component}.")
        name = self._node(f"fit {fit.name}", "fit", label, MODELS, column, ", ".join(often))
        self._join(keys, name, "learns")
        self._join([name], self._component(fit.component, column + 1), "learns")

    def _events(self, trigger: PipelineTrigger) -> list[str]:
        if trigger.schedule:
            return [
                self._node(f"schedule {trigger.name}", "schedule", trigger.schedule, SCHEDULES, 0)
            ]
        if trigger.on_deleted:
            name = f"deleted {trigger.on_deleted}"
            return [self._node(name, "schedule", "a row is deleted", trigger.on_deleted, 0)]
        return []

    def _component(self, component: str, column: int) -> str:
        live = self._versions.get(component)
        told = f"version {live} is live" if live is not None else ""
        return self._node(f"component {component}", "component", component, MODELS, column, told)

    def _keys(self, keys: Iterable[str]) -> list[str]:
        return [self._key(key) for key in keys]

    def _key(self, path: str, column: int | None = None) -> str:
        table, _, key = path.partition(".")
        at = self._first.get(table, 0) if column is None else column
        held = self._kinds.get(path, "")
        kind: Kind = "vector" if held.startswith("vector ") else "key"
        return self._node(path, kind, key, table, at, held if kind == "vector" else "")

    def _node(
        self, name: str, kind: Kind, label: str, lane: str, column: int, told: str = ""
    ) -> str:
        self._drawing.nodes.setdefault(name, Node(name, kind, label, lane, column, told))
        return name

    def _join(self, sources: Iterable[str], target: str, bond: Bond) -> None:
        self._drawing.edges += [Edge(source, target, bond) for source in dict.fromkeys(sources)]


def _told(trigger: PipelineTrigger) -> str:
    facts = [f"one {trigger.page} for each item"] if trigger.page else []
    facts += [f"batches of {trigger.batch}"] if trigger.batch else []
    facts += (
        [f"refresh {trigger.refresh}"] if trigger.component and trigger.refresh != "never" else []
    )
    return ", ".join(facts)


# -- lines of text --


def as_lines(drawing: Drawing) -> Iterator[str]:
    """Yield the pipeline as lines: for each table what its triggers make of what."""
    for lane in drawing.lanes:
        yield lane
        nodes = [node for node in drawing.nodes.values() if node.lane == lane]
        for node in nodes:
            if node.kind == "trigger":
                yield f"  {_line_of(drawing, node)}"
            elif node.kind == "component":
                yield f"  {node.label}{_beside(node)}"
            elif node.kind == "fit":
                yield f"  {_named(drawing.into(node.name, 'learns'), lane)} -> {_fit_line(drawing, node)}"
        idle = drawing.idle.get(lane)
        if idle:
            yield f"  {', '.join(idle)}"


def _line_of(drawing: Drawing, node: Node) -> str:
    """Return what a trigger makes of what: on -> trigger (beside) -> sets."""
    read = drawing.into(node.name, "reads", "searches", "uses")
    beside = f" + {_named(read, node.lane)}" if read else ""
    made = drawing.out_of(node.name, "sets")
    sets = f" -> {_named(made, node.lane)}" if made else ""
    return f"{_named(drawing.into(node.name, 'fires'), node.lane)}{beside} -> [{node.label}]{_beside(node)}{sets}"


def _fit_line(drawing: Drawing, node: Node) -> str:
    return (
        f"[{node.label}]{_beside(node)} -> {_named(drawing.out_of(node.name, 'learns'), node.lane)}"
    )


def _named(nodes: Sequence[Node], lane: str) -> str:
    return ", ".join(
        node.label
        if node.lane == lane or node.kind in ("component", "schedule")
        else f"{node.lane}.{node.label}"
        for node in nodes
    )


def _beside(node: Node) -> str:
    return f" ({node.told})" if node.told else ""


# -- Mermaid --

SHAPES: Mapping[Kind, tuple[str, str]] = {
    "key": ("[", "]"), "vector": ("[", "]"), "rows": ("[[", "]]"), "trigger": ("(", ")"), "schedule": ("([", "])"),
    "component": ("{{", "}}"), "fit": ("(", ")"),
}  # fmt: skip

ARROWS: Mapping[Bond, str] = {
    "fires": "-->",
    "reads": "-.->",
    "sets": "-->",
    "uses": "-.->",
    "searches": "-.->",
    "learns": "==>",
}


def as_mermaid(drawing: Drawing) -> Iterator[str]:
    """Yield the pipeline as the lines of a Mermaid flow chart, as GitHub and many editors show."""
    numbers = {name: f"n{number}" for number, name in enumerate(drawing.nodes)}
    yield "flowchart LR"
    for number, lane in enumerate(drawing.lanes):
        yield f'  subgraph t{number}["{_mermaid(lane)}"]'
        for node in drawing.nodes.values():
            if node.lane == lane:
                begin, end = SHAPES[node.kind]
                yield f'    {numbers[node.name]}{begin}"{_mermaid(node.label)}"{end}'
        for place, key in enumerate(drawing.idle.get(lane, ())):
            yield f'    t{number}k{place}["{_mermaid(key)}"]'
        yield "  end"
    for edge in drawing.edges:
        yield f"  {numbers[edge.source]} {ARROWS[edge.bond]} {numbers[edge.target]}"


def _mermaid(text: str) -> str:
    """Return a text for a Mermaid label: every character that could mean something by its number."""
    return "".join(
        each if each.isalnum() or each in " _.-,:/" else f"#{ord(each)};" for each in text
    )


# -- SVG --

ROW, LETTER, PADDING, GAP, HEAD = 34, 7.3, 10, 44, 30

HEIGHT, LEFT = 24, 16

LONGEST = 28
"""Letters of a name that are drawn: a longer one is cut in its middle."""

STYLE = """
.motion-graph{--ground:#f6f6f3;--lane:#fff;--ink:#1a1e26;--notes:#545c69;--line:#a5adb9;--blue:#1463b8;--violet:#6a3fc0;--tint:#efeafa;
font:12px ui-monospace,SFMono-Regular,Menlo,monospace;background:var(--ground)}
.motion-graph .lane{fill:var(--lane);stroke:var(--line);stroke-opacity:.5}.motion-graph text{fill:var(--ink)}
.motion-graph .notes{fill:var(--notes);font-size:11px}.motion-graph .head{font:600 13px system-ui,sans-serif}
.motion-graph .key,.motion-graph .rows,.motion-graph .schedule{fill:var(--lane);stroke:var(--notes)}
.motion-graph .vector{fill:var(--tint);stroke:var(--violet)}.motion-graph .trigger{fill:var(--lane);stroke:var(--blue)}
.motion-graph .fit,.motion-graph .component{fill:var(--tint);stroke:var(--violet)}
.motion-graph path{fill:none;stroke:var(--notes)}.motion-graph .reads,.motion-graph .searches{stroke-dasharray:2 3}
.motion-graph .uses,.motion-graph .learns{stroke:var(--violet)}.motion-graph .uses{stroke-dasharray:2 3}
@media (prefers-color-scheme:dark){.motion-graph.follows{--ground:#12151a;--lane:#1a1e26;--ink:#e7e9ed;--notes:#a5adb9;--line:#545c69;
--blue:#74b8ff;--violet:#bda4ff;--tint:#241f38}}
"""


def as_svg(drawing: Drawing, title: str = "pipeline", *, follows_theme: bool = True) -> str:
    """Return the pipeline as an SVG that needs nothing from outside.

    Args:
        follows_theme: it is dark where the reader's system is; in a page of its own colours it should not be.
    """
    return _Painter(drawing).painted(title, follows_theme)


class _Painter:
    """Places nodes: lanes from top to bottom, columns from left to right, as wide as their longest name."""

    def __init__(self, drawing: Drawing) -> None:
        self._drawing = drawing
        self._places: dict[str, tuple[float, float, float]] = {}
        self._lanes: list[tuple[str, float, float]] = []
        self._width = self._place()

    def _place(self) -> float:
        nodes = self._drawing.nodes.values()
        last = max((node.column for node in nodes), default=0)
        widths = [
            max((_width(node) for node in nodes if node.column == column), default=0.0)
            for column in range(last + 1)
        ]
        starts = [LEFT + sum(widths[:column]) + GAP * column for column in range(last + 1)]
        top = 8.0
        for lane in self._drawing.lanes:
            within = [node for node in nodes if node.lane == lane]
            counts: dict[int, int] = {}
            for node in within:
                row = counts[node.column] = counts.get(node.column, -1) + 1
                self._places[node.name] = (
                    starts[node.column],
                    top + HEAD + row * ROW,
                    _width(node),
                )
            rows = max(counts.values(), default=-1) + 1
            height = HEAD + rows * ROW + (20 if self._drawing.idle.get(lane) else 4)
            self._lanes.append((lane, top, height))
            top += height + 10
        self._height = top
        return max(starts[-1] + widths[-1] + LEFT, 320.0)

    def painted(self, title: str, follows_theme: bool) -> str:
        kind = "motion-graph follows" if follows_theme else "motion-graph"
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="{kind}" role="img" width="{self._width:.0f}" '
            f'height="{self._height:.0f}" viewBox="0 0 {self._width:.0f} {self._height:.0f}">',
            f"<title>{escape(title)}</title><style>{STYLE}</style>",
            '<defs><marker id="motion-tip" markerWidth="7" markerHeight="7" refX="6" refY="3" orient="auto">'
            '<path d="M0,0 L6,3 L0,6" /></marker></defs>',
            *map(self._lane, self._lanes),
            *map(self._edge, self._drawing.edges),
            *map(self._node, self._drawing.nodes.values()),
        ]
        return "\n".join([*parts, "</svg>"])

    def _lane(self, lane: tuple[str, float, float]) -> str:
        name, top, height = lane
        idle = self._drawing.idle.get(name, [])
        also = f'<text class="notes" x="{LEFT}" y="{top + height - 9:.0f}">{escape(_cut(", ".join(idle), 90))}</text>'
        return (
            f'<rect class="lane" x="4" y="{top:.0f}" width="{self._width - 8:.0f}" height="{height:.0f}" rx="8"/>'
            f'<text class="head" x="{LEFT}" y="{top + 19:.0f}">{escape(name)}</text>{also if idle else ""}'
        )

    def _edge(self, edge: Edge) -> str:
        (x1, y1, width), (x2, y2, _) = self._places[edge.source], self._places[edge.target]
        x1, y1, y2 = x1 + width, y1 + HEIGHT / 2, y2 + HEIGHT / 2
        bend = max(abs(x2 - x1) / 2, 24)
        line = f"M{x1:.0f},{y1:.0f} C{x1 + bend:.0f},{y1:.0f} {x2 - bend:.0f},{y2:.0f} {x2:.0f},{y2:.0f}"
        return f'<path class="{edge.bond}" d="{line}" marker-end="url(#motion-tip)"/>'

    def _node(self, node: Node) -> str:
        x, y, width = self._places[node.name]
        round_ = {"trigger": 12, "fit": 12, "schedule": 12, "component": 2}.get(node.kind, 4)
        told = f"{node.lane}: {node.label}{_beside(node)}"
        return (
            f"<g><title>{escape(told)}</title>"
            f'<rect class="{node.kind}" x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{HEIGHT}" rx="{round_}"/>'
            f'<text x="{x + PADDING:.0f}" y="{y + 16:.0f}">{escape(_cut(node.label, LONGEST))}</text></g>'
        )


def _width(node: Node) -> float:
    return 2 * PADDING + LETTER * len(_cut(node.label, LONGEST))


def _cut(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    half = (longest - 1) // 2
    return f"{text[:half]}…{text[-half:]}"
