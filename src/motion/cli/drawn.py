"""The command that draws: a store's pipeline in the terminal, as an SVG, or as Mermaid."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from motion.cli.app import (
    JsonOption,
    StoreArgument,
    app,
    console,
    looked_at,
    on_path,
    print_json,
    shown,
)
from motion.definitions.values.plain import plain
from motion.store.reports.drawing import as_lines, as_mermaid, as_svg, drawing_of


class Form(Enum):
    TEXT = "text"
    MERMAID = "mermaid"
    SVG = "svg"


@app.command()
def graph(
    store: StoreArgument,
    form: Annotated[Form, typer.Option("--as", help="how it is drawn")] = Form.TEXT,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="write it to this file")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Draw the pipeline: which keys fire which triggers, what they set, which models they use and learn.

    Example: motion graph shop.motion --as svg -o shop.svg
    """
    with looked_at(store) as opened:
        pipeline = opened.pipeline()
        drawing = drawing_of(pipeline, opened.status().versions)
        name = opened.name
    if as_json:
        print_json({**plain(pipeline), "edges": pipeline.edges})
        return
    drawn = as_svg(drawing, f"store {name}") if form is Form.SVG else None
    text = drawn or "\n".join(as_mermaid(drawing) if form is Form.MERMAID else as_lines(drawing))
    if output is not None:
        with on_path(output):
            output.write_text(text + "\n", encoding="utf-8")
        console.print(shown(f"drawn to {output}."))
    elif form is Form.TEXT:
        console.print(shown(text or "the store has no tables."), soft_wrap=True)
    else:
        print(text)
