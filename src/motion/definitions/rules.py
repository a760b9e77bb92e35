"""What triggers and fits of a graph must keep to together: by which keys they may go, look up, fold and stand in line."""

from __future__ import annotations

from collections.abc import Iterable

from motion.definitions.graph import Graph, runs_on
from motion.definitions.tables.lookups import Lookup
from motion.definitions.tables.schema import Table
from motion.definitions.tables.windows import Window
from motion.definitions.triggers.specs import TriggerSpec
from motion.errors import TriggerError


def checked(graph: Graph) -> Graph:
    """Return a graph whose triggers go together.

    Raises:
        TriggerError: they do not.
    """
    _check_pages(graph)
    _check_lookups(graph)
    _check_lines(graph)
    _check_seen(graph)
    return graph


def _check_lookups(graph: Graph) -> None:
    for name, rows in graph.rows_folded.items():
        rows.check(name)
    for spec in graph.triggers.values():
        for key in spec.fold.watched if spec.fold is not None else ():
            maker = graph.kept_by_version(spec.source, key)
            if maker is not None:
                raise TriggerError(
                    f"fold {spec.name!r}: {spec.source}.{key} is kept for each state version of {maker.component!r}, and "
                    f"such a key cannot be folded so far. {_instead(spec.source, key, 'fold')}."
                )
        for taken in spec.elsewhere:
            _check_kept_once(graph, spec, taken)
        for window in spec.windows:
            window.check_levels(spec.name, graph.levels[window.table])
        for lookup in spec.lookups:
            if len({graph.levels[spec.table][key] for key in lookup.bys}) > 1:
                raise TriggerError(
                    f"trigger {spec.name!r}: by={lookup.by!r} names keys that different page keys tell apart; a row is "
                    f"looked up by keys of one page level."
                )
            maker = graph.triggers.get(graph.producers.get((lookup.table, lookup.name), ""))
            if maker is not None and lookup.follow is None:
                _check_comes_around(graph, spec, lookup, maker)


def _check_kept_once(graph: Graph, spec: TriggerSpec, taken: Lookup | Window) -> None:
    """Refuse to go by keys that are kept by state version: which rows are taken would be another matter in each."""
    if isinstance(taken, Lookup):
        others, own = [] if taken.to is None else [taken.to_key], taken.bys
    else:
        narrowed = (key for key, _ in taken.narrowed)
        others, own = [taken.other_by, taken.other_order, *narrowed], taken.own_keys
    keys = [*((taken.table, key) for key in others), *((spec.table, key) for key in own)]
    for key in keys:
        maker = graph.kept_by_version(*key)
        if maker is not None:
            raise TriggerError(
                f"trigger {spec.name!r}: {'.'.join(key)} is kept for each state version of {maker.component!r}, and "
                f"lookups and windows do not go by keys that are. {_instead(*key, 'go by')}; or read such rows "
                f"through 'store', or say refresh='after' where {maker.name!r} is declared."
            )


def _check_comes_around(
    graph: Graph, spec: TriggerSpec, lookup: Lookup, maker: TriggerSpec
) -> None:
    """Refuse a lookup of what derives from the trigger's own table by a fold or a window, unless it says `follow=`."""
    waiting, seen = [maker], {maker.name}
    while waiting:
        each = waiting.pop()
        goes_over = {window.table for window in each.windows}
        goes_over |= {each.fold.source} if each.fold is not None else set()
        if spec.table in goes_over:
            raise TriggerError(
                f"trigger {spec.name!r}: {lookup.key} derives from rows of {spec.table!r} by {each.name!r}, so each row "
                f"that comes would have all earlier ones of its entity run again. Say so with follow=True, or read it "
                f"once for each row with follow=False."
            )
        for table, key in runs_on(each):
            name = graph.producers.get((table, key), "")
            if name and name not in seen:
                seen.add(name)
                waiting.append(graph.triggers[name])


def _check_lines(graph: Graph) -> None:
    for spec in graph.triggers.values():
        maker = graph.kept_by_version(spec.table, spec.serial_by or "")
        if maker is not None:
            raise TriggerError(
                f"trigger {spec.name!r}: serial_by={spec.serial_by!r} is kept for each state version of "
                f"{maker.component!r}, so it is not one value that rows could stand in a line by. "
                f"{_instead(spec.table, spec.serial_by or '', 'name')}."
            )


def _check_seen(graph: Graph) -> None:
    for fit in graph.fits.values():
        if fit.seen_by is None:
            continue
        shown = f"fit {fit.name!r}: seen_by='{fit.table}.{fit.seen_by}'"
        levels = graph.levels[fit.table]
        maker = graph.triggers.get(graph.producers.get((fit.table, fit.seen_by), ""))
        if maker is None or maker.fold is not None:
            what = "no trigger sets" if maker is None else "a fold keeps"
            raise TriggerError(
                f"{shown} is a key that {what}; labels are rows as a trigger saw them when it set the key, so name one "
                f"that a trigger has in its sets=."
            )
        if levels[fit.seen_by] != frozenset().union(*(levels[key] for key in fit.on)):
            raise TriggerError(
                f"{shown} is told apart by other page keys than {', '.join(fit.on)}, so a labelled row is not the row that "
                f"the key was set on."
            )


def _check_pages(graph: Graph) -> None:
    for spec in graph.triggers.values():
        table = graph.tables.get(spec.table)
        if spec.page and not _is_after(table, spec.page, graph.row_level(spec)):
            raise TriggerError(
                f"trigger {spec.name!r}: page={spec.page!r} must come after the page keys of its inputs "
                f"({', '.join(sorted(graph.row_level(spec)))}), as each row it runs on gets pages of its own."
            )


def _instead(table: str, key: str, what: str) -> str:
    """Say how a key that is kept by state version comes to be one that is not."""
    return (
        f"Let a trigger on {table}.{key} copy it into a key of its own, and {what} that: it is the live version's, and follows "
        f"each switch"
    )


def _is_after(table: Table, page: str, others: Iterable[str]) -> bool:
    position = table.page_keys.index(page)
    return all(table.page_keys.index(other) < position for other in others)
