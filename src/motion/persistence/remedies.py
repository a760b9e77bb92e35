"""Remedies: what helps where a schema does not fit its stored table: what 'motion migrate' does, and what it does not."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from motion.definitions.tables.schema import Table
from motion.definitions.triggers.specs import TriggerSpec
from motion.errors import SchemaMismatch, listed


def mismatch(
    table: Table,
    stored: Mapping[str, str],
    differences: Mapping[str, str],
    known: Mapping[str, TriggerSpec],
) -> SchemaMismatch:
    """Return the error of keys that differ.

    Args:
        stored: key -> how it is stored.
        differences: key -> what differs.
        known: the triggers that the store knows.
    """
    naming = [key for key in differences if key == "id" or _is_page(table, stored, key)]
    kept = {
        key: spec.name
        for spec in known.values()
        if spec.is_versioned and spec.table == table.name
        for key in spec.sets
        if key in differences
    }
    movable = [key for key in differences if key not in naming and key not in kept]
    gone = [key for key in movable if key not in table.keys]
    remedies = [
        *_migration(table.name, gone, [key for key in movable if key not in gone]),
        *_of_names(table, stored, naming),
        *(
            f"{key} is kept once for each state version, by {name}: no command renames, converts or drops it so far."
            for key, name in kept.items()
        ),
    ]
    told = [f"{key} {difference}" for key, difference in differences.items()]
    return SchemaMismatch(table.name, told, remedies, has_own_name=not (naming or kept))


def _is_page(table: Table, stored: Mapping[str, str], key: str) -> bool:
    is_now = key in table.keys and table.keys[key].is_page
    return is_now or stored.get(key, "").startswith("page ")


def _migration(table: str, gone: Sequence[str], others: Sequence[str]) -> Iterator[str]:
    """Give the commands that do to the store what has been done to the schema."""
    if gone:
        drops = " ".join(f"--drop-key {table}.{key}" for key in gone)
        yield (
            f"Where it has another name now, 'motion migrate STORE --rename-key {table}.{gone[0]}=NEW' keeps its values; "
            f"'motion migrate STORE {drops}' drops them."
        )
    if others:
        ways = [f"'motion migrate STORE --convert {table}.{key}=MODULE:FUNCTION'" for key in others]
        yield f"{listed(ways)} makes what is stored anew, by a function of yours that returns the new type."


def _of_names(table: Table, stored: Mapping[str, str], naming: Collection[str]) -> Iterator[str]:
    """Give what helps with keys that name rows."""
    if not naming:
        return
    yield (
        f"{', '.join(naming)}: what names the rows stays as it is in a store, and no command renames, converts, drops or adds it."
    )
    plain = [key for key in naming if not stored.get(key, "").startswith("page ") and key != "id"]
    if plain and all(key in table.keys for key in naming):
        kind = table.keys[plain[0]].codec.expected
        yield f"Annotated[{kind}, motion.Key(page=False)] declares {plain[0]} as a key that names none."
