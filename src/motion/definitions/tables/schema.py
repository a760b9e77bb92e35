"""Schemas: a dataclass becomes a `Table` of `Key`s, with its page keys and its checks.

Owns what a table *is*. Which keys feed which triggers, and so what a page key tells apart beyond the rules of the
schema itself, is the graph's.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np

from motion.definitions.functions.signatures import beside, check_beside
from motion.definitions.tables.instances import reader_of
from motion.definitions.tables.lookups import Lookup
from motion.definitions.tables.windows import Window
from motion.definitions.values.codecs import (
    ALLOWED_TYPES,
    Codec,
    EnumCodec,
    IntCodec,
    PageCodec,
    Refused,
    Stored,
    StrCodec,
    VectorCodec,
    codec_for,
)
from motion.definitions.values.nested import Unsupported
from motion.errors import (
    InvalidArgument,
    InvalidValue,
    MotionError,
    SchemaError,
    UnknownKey,
    UnknownTable,
    listed,
    nearest,
    shortened,
)

Metric = Literal["cosine", "dot", "l2"]

METRICS: tuple[Metric, ...] = ("cosine", "dot", "l2")

IndexKind = Literal["auto", "exact", "hnsw"]

INDEX_KINDS: tuple[IndexKind, ...] = ("auto", "exact", "hnsw")

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")

RESERVED_PREFIXES = ("motion_", "sqlite_")

NO_KEYS = {
    "true": "SQL takes for the truth value, even in quotes",
    "false": "SQL takes for the truth value, even in quotes",
    "force": "is an option of set(): store.set(row, force=True) runs triggers again",
    "if_unchanged": "is an option of set()",
}
"""Names that cannot be used for keys, each with the reason."""

NO_PAGES = dict.fromkeys(("table", "id", "key", "keys", "inherit"), "is a parameter of get()")

STORED = "__stored"
"""Ends the name by which SQL reads a table without what its rows inherit."""


class Index:
    """`Annotated[str, motion.Index]`: keep a database index on this key."""


@dataclass(frozen=True)
class Ref:
    """`Annotated[int, motion.Ref("card")]`: the key holds the id of a row of that table.

    Args:
        table: its name or its schema class.
        delete: the row goes with the one that it names, in whichever way that goes.
    """

    table: str | type
    delete: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.table, str | type):
            raise SchemaError(
                f"motion.Ref takes a table's name or its schema class, not {shortened(self.table)}."
            )
        if not isinstance(self.delete, bool):
            raise SchemaError(
                f"motion.Ref(delete=) takes True or False, not {shortened(self.delete)}."
            )


@dataclass(frozen=True)
class Vector:
    """`Annotated[np.ndarray, motion.Vector(512)]`: float32 vectors of one length.

    Args:
        dim: numbers in each vector, at least 1.
        metric: how vectors are compared; "cosine" and "dot" score larger-is-better as they are, "l2" by the
            negative distance.
        index: "exact" compares with every vector; "hnsw" is approximate and needs the extra `motion-ml[ann]`;
            "auto" is exact up to about 50,000 vectors and approximate beyond, where that is installed.
    """

    dim: int
    metric: Metric = "cosine"
    index: IndexKind = "auto"

    def __post_init__(self) -> None:
        if not isinstance(self.dim, int) or self.dim < 1:
            raise SchemaError(
                f"Vector(dim) takes an int of at least 1, but was given {shortened(self.dim)}."
            )
        if not (isinstance(self.metric, str) and self.metric in METRICS):
            raise SchemaError(
                f"Vector(metric=) is one of {', '.join(METRICS)}, not {shortened(self.metric)}."
            )
        if not (isinstance(self.index, str) and self.index in INDEX_KINDS):
            raise SchemaError(
                f"Vector(index=) is one of {', '.join(INDEX_KINDS)}, not {shortened(self.index)}."
            )


@dataclass(frozen=True)
class KeyOptions:
    """`Annotated[str, motion.Key(page=False)]`: what a key's name and place do not say.

    Args:
        page: False for a key that has the word "page" in its name and is none.
        level: the page key up to which page keys tell this key apart.
    """

    page: bool | None = None
    level: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.page, bool | None):
            raise SchemaError(f"motion.Key(page=) takes True or False, not {shortened(self.page)}.")
        if not isinstance(self.level, str | None):
            raise SchemaError(
                f"motion.Key(level=) takes the name of a page key, not {shortened(self.level)}."
            )


@dataclass(frozen=True)
class Unreadable:
    """Stands for a value that its source cannot hand over, such as a text that is no UTF-8.

    Attributes:
        given: what it is, as an error tells it.
    """

    given: str


@dataclass(frozen=True)
class Key:
    """One column of a table."""

    table: str
    name: str
    codec: Codec
    is_page: bool = False
    is_indexed: bool = False
    metric: Metric = "cosine"
    index: IndexKind = "auto"
    dim: int | None = None
    level: str | None = None
    make_default: Callable[[], Any] | None = None
    lookup: Lookup | None = None
    window: Window | None = None
    ref: Ref | None = None

    def encode(self, value: Any) -> Stored:
        """Return the stored form of `value` (None stays None).

        Raises:
            InvalidValue: the value does not fit the key.
        """
        if value is None:
            return None
        if isinstance(value, Unreadable):
            raise InvalidValue(self.table, self.name, value.given, self.codec.expected)
        try:
            return self.codec.encode(value)
        except Refused as exc:
            raise self._invalid(value, exc) from exc

    def encode_column(self, values: Sequence[Any]) -> Sequence[Stored]:
        """Return many values' stored forms; the error names the first that does not fit."""
        try:
            return self.codec.encode_column(values)
        except Refused:
            return [self.encode(value) for value in values]

    def decode(self, stored: Stored) -> Any:
        return None if stored is None else self.codec.decode(stored)

    def default(self) -> Stored:
        """Return the stored form of what a new row has where it is left out."""
        return None if self.make_default is None else self.encode(self.make_default())

    @property
    def is_array(self) -> bool:
        return self.codec.sql_type == "ARRAY_BLOB"

    def check_order(self) -> None:
        """Refuse a key whose stored forms are not ordered as its values are.

        Raises:
            SchemaError: it is no number, text or time.
        """
        if self.codec.expected not in ("int", "float", "str", "datetime", "date"):
            raise SchemaError(
                f"order= names {self.table}.{self.name}, which is {self.codec.expected}; rows are ordered by a number, a "
                f"text or a time."
            )

    def _invalid(self, value: Any, refused: Refused) -> InvalidValue:
        given = f"{shortened(value)} ({type(value).__name__})"
        if isinstance(value, np.ndarray):
            given = f"an array of shape {value.shape} and dtype {value.dtype}"
            if value.dtype.kind == "f" and not np.isfinite(value).all():
                given += " with NaN or infinite numbers"
        expected = str(refused) or self.codec.expected
        if isinstance(value, str) and hasattr(self.codec, "enum"):
            hint = nearest(value, self.codec.enum.__members__)
            given += f".{hint}" if hint else ""
        return InvalidValue(self.table, self.name, given, expected)


@dataclass(frozen=True)
class Table:
    """A schema as the store sees it: its keys in the order of declaration."""

    name: str
    cls: type
    keys: Mapping[str, Key]
    is_event: bool = False
    """Its rows are events: copies that inherit nothing, and several may have one primary key."""
    is_noted: bool = False
    """It is as the store has noted it: its class was made for that, and what a schema says beyond it is not known."""

    @cached_property
    def page_keys(self) -> tuple[str, ...]:
        """The page keys by which its rows inherit."""
        return () if self.is_event else self.primary_key[1:]

    @cached_property
    def primary_key(self) -> tuple[str, ...]:
        return ("id", *(key.name for key in self.keys.values() if key.is_page))

    @cached_property
    def value_keys(self) -> tuple[str, ...]:
        """All keys that are not part of the primary key."""
        return tuple(name for name in self.keys if name not in self.primary_key)

    @property
    def has_int_id(self) -> bool:
        return isinstance(self.keys["id"].codec, IntCodec)

    @cached_property
    def timestamp_key(self) -> Key | None:
        key = self.keys.get("ts")
        return key if key and key.codec.expected in ("int", "datetime") else None

    @cached_property
    def read(self) -> Callable[[Sequence[Any]], Any]:
        """What makes an instance of a row of stored values, in the order of the keys."""
        decoders = {
            name: None if key.codec.is_plain else key.codec.decode
            for name, key in self.keys.items()
        }
        return reader_of(self.cls, decoders)

    @cached_property
    def defaults(self) -> tuple[Key, ...]:
        return tuple(key for key in self.keys.values() if key.make_default and not key.is_page)

    def key(self, name: str) -> Key:
        """Return the key called `name`, or raise `UnknownKey` with the nearest one."""
        try:
            return self.keys[name]
        except (KeyError, TypeError):
            raise UnknownKey(self.name, str(name), tuple(self.keys)) from None

    def declared_levels(self) -> dict[str, frozenset[str]]:
        """Return for each key the page keys that tell it apart, by the rules that need no triggers.

        These are `x` for `x_page`, every key declared after a page key, and `Key(level=...)` by hand.
        """
        if self.is_event:
            return dict.fromkeys(self.keys, frozenset())
        levels: dict[str, frozenset[str]] = {}
        seen: list[str] = []
        for name, key in self.keys.items():
            own = [page for page in self.page_keys if page == f"{name}_page"]
            levels[name] = frozenset((*seen, *own))
            if key.level is not None:
                levels[name] = frozenset(self.page_keys[: self.page_keys.index(key.level) + 1])
            if key.is_page:
                seen.append(name)
        levels["id"] = frozenset()
        return levels

    def instance(self, values: Iterable[Any]) -> Any:
        """Return an instance of the dataclass holding `values`, in the order of the keys.

        The dataclass's `__init__` is not run: its checks are for whole rows, and a stored row may have unset keys.
        """
        row: Any = object.__new__(self.cls)
        set_key = self._set_key
        for name, value in zip(self.keys, values, strict=True):
            set_key(row, name, value)
        return row

    @cached_property
    def _set_key(self) -> Callable[[Any, str, Any], None]:
        """How a key of an instance is set: `setattr` is twice as fast, and refused by frozen dataclasses."""
        is_usual = self.cls.__setattr__ is object.__setattr__  # type: ignore[comparison-overlap]  # they may be one
        return setattr if is_usual else object.__setattr__

    def values_of(self, row: Any) -> dict[str, Any]:
        """Return the keys of a dataclass instance or a mapping as a dict."""
        if isinstance(row, self.cls):
            return {name: getattr(row, name) for name in self.keys}
        if isinstance(row, Mapping):
            return dict(row)
        raise InvalidValue(
            self.name,
            "row",
            f"{shortened(row)} ({type(row).__name__})",
            f"a dict or {self.cls.__name__}",
        )

    @cached_property
    def enums(self) -> frozenset[type]:
        """The Enums that are types of its keys: their members are stored by name."""
        codecs = [key.codec for key in self.keys.values()]
        return frozenset(codec.enum for codec in codecs if isinstance(codec, EnumCodec))

    def signature(self) -> dict[str, str]:
        """Return what must stay the same for stored rows to be read: each key's type, pages marked."""
        return {
            name: ("page " if key.is_page else "") + key.codec.signature
            for name, key in self.keys.items()
        }


class Tables:
    """The tables of one store, found by name or by schema class."""

    def __init__(self, schemas: Mapping[str, type]) -> None:
        self._by_name = {name: table_of(name, cls) for name, cls in schemas.items()}
        self.stored: Sequence[str] = ()  # the tables on disk, also those without a schema here
        check_names_of_tables(self._by_name)
        for table in self:
            for key in table.keys.values():
                self._check_ref(key)

    def _check_ref(self, key: Key) -> None:
        """Raise `SchemaError` where a key cannot hold the id of the rows that it is to name."""
        if key.ref is None:
            return
        own_id = self.get(key.ref.table).keys["id"]
        if key.name == "id" or key.is_page or key.codec.sql_type != own_id.codec.sql_type:
            raise SchemaError(
                f"table {key.table!r}, key {key.name!r}: motion.Ref names a row of {own_id.table!r}, whose id is "
                f"{own_id.codec.expected}, by a key that is no part of a primary key; this one is {key.codec.expected}."
            )

    def refs_to(self, table: str) -> list[Key]:
        """Return the keys of other rows, which go with the row of a table that they name."""
        keys = (key for each in self if not each.is_event for key in each.keys.values())
        return [
            key
            for key in keys
            if key.ref and key.ref.delete and self.get(key.ref.table).name == table
        ]

    def __iter__(self) -> typing.Iterator[Table]:
        return iter(self._by_name.values())

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._by_name)

    @property
    def enums(self) -> frozenset[type]:
        """The Enums that are types of keys."""
        return frozenset[type]().union(*(table.enums for table in self))

    def joined(self, others: Iterable[Table]) -> Tables:
        """Return these tables together with others."""
        found = Tables({})
        found._by_name = {**self._by_name, **{table.name: table for table in others}}
        return found

    def get(self, table: str | type) -> Table:
        """Return a table by its name or by its schema class, or raise `UnknownTable`."""
        if isinstance(table, str):
            if table not in self._by_name:
                raise UnknownTable(table, self.names, is_stored=table in self.stored)
            return self._by_name[table]
        if not isinstance(table, type):
            raise self._no_name(table)
        found = [each for each in self if each.cls is table and not each.is_event]
        if len(found) == 1:
            return found[0]
        if len(found) > 1:
            raise SchemaError(
                f"{table.__name__} is the schema of {len(found)} tables ({', '.join(t.name for t in found)}); "
                f"name the table instead."
            )
        raise UnknownTable(table.__name__, self.names)

    def _no_name(self, given: object) -> MotionError:
        """Return what is wrong with what is no table's name, without the values of a row."""
        expected = f"a table's name or its schema class, and the store has {listed(self.names)}"
        is_row = any(each.cls is type(given) for each in self)
        shown = f"a row of {type(given).__name__}" if is_row else shortened(given)
        return InvalidArgument("table", shown, expected)

    def key(self, path: str) -> Key:
        """Return the key at "table.key"."""
        table, dot, key = path.partition(".") if isinstance(path, str) else ("", "", "")
        if not dot:
            raise SchemaError(f"a key is written 'table.key', but was given {shortened(path)}.")
        return self.get(table).key(key)


def table_of(name: str, cls: type) -> Table:
    """Return the table that a dataclass describes.

    Raises:
        SchemaError: it is no dataclass, or has a name, a type or a page key that no table can have.
    """
    check_schema(name, cls)
    hints = _type_hints(name, cls)
    keys = {
        field.name: _key_of(name, field, hints[field.name]) for field in dataclasses.fields(cls)
    }
    table = Table(name, cls, keys)
    _check_id(table)
    _check_columns(table)
    _check_defaults(table)
    return table


def check_schema(name: object, cls: object) -> None:
    """Refuse what is no name of a table, and what is no dataclass."""
    check_name(name)
    if not (isinstance(cls, type) and dataclasses.is_dataclass(cls)):
        raise SchemaError(
            f"table {name!r}: its schema must be a dataclass, but was given {shortened(cls)}."
        )


def _type_hints(table: str, cls: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except Exception as exc:  # its annotations are the user's, and texts among them any code
        raise SchemaError(
            f"table {table!r}: a type of {cls.__name__} cannot be found: {exc}."
        ) from exc


def resolve_types(
    cls: type, is_wanted: Callable[[type], bool], seen: set[type] | None = None
) -> None:
    """Put types in place of their names in the annotations of a dataclass, and of those that it holds.

    A class of a script is sent to another process without the names around it; under `from __future__ import annotations`
    its types are nothing but names.

    Args:
        is_wanted: whether a class is one of those that are sent so.
    """
    seen = set() if seen is None else seen
    if not (isinstance(cls, type) and dataclasses.is_dataclass(cls)) or cls in seen:
        return  # what is no class may have no hash either
    seen.add(cls)
    try:
        hints = typing.get_type_hints(cls, include_extras=True)
    except Exception:  # noqa: BLE001 - what cannot be resolved is told where the table is made of it
        return
    for owner in filter(is_wanted, cls.__mro__):
        own = inspect.get_annotations(owner)  # a copy
        owner.__annotations__ = {name: hints.get(name, hint) for name, hint in own.items()}
    for hint in hints.values():
        for kind in _kinds_in(hint):
            resolve_types(kind, is_wanted, seen)


def _kinds_in(hint: Any) -> Iterable[Any]:
    return (hint, *(kind for part in typing.get_args(hint) for kind in _kinds_in(part)))


def check_name(name: object) -> None:
    """Refuse what no table can be called."""
    if not (isinstance(name, str) and NAME.fullmatch(name)) or name.lower().startswith(
        RESERVED_PREFIXES
    ):
        raise SchemaError(
            f"a table cannot be called {shortened(name)}: a name begins with a letter, has letters, digits and "
            f"underscores only, and does not begin with {' or '.join(RESERVED_PREFIXES)}."
        )


def check_names_of_tables(names: Iterable[str]) -> None:
    """Refuse names that tables cannot have beside one another."""
    names = list(names)
    twin = differing_in_case(names)
    if twin:
        raise SchemaError(
            f"tables {twin[0]!r} and {twin[1]!r} differ in case only, which a database does not tell apart; call one of them "
            f"otherwise."
        )
    views = {f"{name}{STORED}".lower(): name for name in names}
    for name in names:
        if name.lower() in views:
            raise SchemaError(
                f"table {name!r} has the name by which SQL reads what {views[name.lower()]!r} stores; give it another."
            )


def check_key_name(table: str, name: str, *, is_page: bool = False) -> None:
    """Refuse what no key can be called."""
    if not NAME.fullmatch(name):
        raise SchemaError(
            f"table {table!r}: a key cannot be called {name!r}: a name begins with a letter from A to Z, and has "
            f"such letters, digits and underscores only."
        )
    reason = NO_KEYS.get(name.lower()) or (is_page and NO_PAGES.get(name))
    if reason:
        raise SchemaError(
            f"table {table!r}: a key cannot be called {name!r}, which {reason}; call it {name + '_value'!r}, say."
        )


def check_names_of_keys(table: str, names: Iterable[str]) -> None:
    """Refuse names that keys of a table cannot have beside one another."""
    twin = differing_in_case(names)
    if twin:
        raise SchemaError(
            f"table {table!r}: keys {twin[0]!r} and {twin[1]!r} differ in case only, which a database does not tell apart; "
            f"call one of them otherwise."
        )


def _check_id(table: Table) -> None:
    if "id" not in table.keys:
        raise SchemaError(f"table {table.name!r} has no key 'id'; add `id: int` or `id: str`.")
    if not isinstance(table.keys["id"].codec, IntCodec | StrCodec):
        raise SchemaError(
            f"table {table.name!r}: id is {table.keys['id'].codec.expected}, but must be int or str."
        )


def _check_columns(table: Table) -> None:
    check_names_of_keys(table.name, table.keys)
    for name, key in table.keys.items():
        check_key_name(table.name, name, is_page=key.is_page)
        if key.level is not None and key.level not in table.page_keys:
            raise SchemaError(
                f"table {table.name!r}, key {name!r}: level={key.level!r} is no page key; "
                f"page keys are {', '.join(table.page_keys) or 'none'}."
            )


def _check_defaults(table: Table) -> None:
    """Check the defaults that are plain values; what a factory makes is checked with each row."""
    for field in dataclasses.fields(table.cls):
        if _is_left_out(field.default):
            continue
        try:
            table.keys[field.name].encode(field.default)
        except InvalidValue as exc:
            raise SchemaError(f"a default does not fit its key: {exc}") from exc


def differing_in_case(names: Iterable[str]) -> tuple[str, str] | None:
    """Return the first two names that are one to a database, which does not tell case apart."""
    folded: dict[str, str] = {}
    for name in names:
        other = folded.setdefault(name.lower(), name)
        if other != name:
            return other, name
    return None


def _check_extras(table: str, name: str, extras: tuple[Any, ...]) -> None:
    """Refuse what would be passed over: a class in place of an instance, and a second instance."""
    for kind, called in ((Vector, "Vector"), (KeyOptions, "Key")):
        if any(extra is kind for extra in extras):
            raise SchemaError(
                f"table {table!r}, key {name!r}: motion.{called} needs its values, such as "
                f"motion.{called}({'512' if kind is Vector else 'page=False'})."
            )
        if sum(isinstance(extra, kind) for extra in extras) > 1:
            raise SchemaError(
                f"table {table!r}, key {name!r}: it has more than one motion.{called}; keep one of them."
            )


def _key_of(table: str, field: dataclasses.Field[Any], hint: Any) -> Key:
    kind, extras = _without_extras(hint)
    _check_extras(table, field.name, extras)
    try:
        check_beside(hint, Lookup, Window)
        check_beside(hint, Ref)
    except SchemaError as exc:
        raise SchemaError(f"table {table!r}, key {field.name!r}: {exc}") from exc
    vector = next((extra for extra in extras if isinstance(extra, Vector)), None)
    options = next((extra for extra in extras if isinstance(extra, KeyOptions)), KeyOptions())
    reason = ""
    try:
        codec = codec_for(kind, vector.dim if vector else None)
    except Unsupported as exc:
        codec, reason = None, f" ({exc})"
    if codec is None:
        raise SchemaError(
            f"table {table!r}, key {field.name!r}: type {_type_name(hint)} cannot be stored{reason}; "
            f"allowed are {ALLOWED_TYPES}."
        )
    is_page = _is_page(table, field.name, options, codec)
    return Key(
        table,
        field.name,
        PageCodec() if is_page else codec,
        is_page=is_page,
        is_indexed=any(extra is Index or isinstance(extra, Index) for extra in extras),
        metric=vector.metric if vector else "cosine",
        index=vector.index if vector else "auto",
        dim=vector.dim if vector else None,
        lookup=beside(hint, Lookup),
        window=beside(hint, Window),
        ref=beside(hint, Ref),
        level=options.level,
        make_default=_default_of(field),
    )


def _default_of(field: dataclasses.Field[Any]) -> Callable[[], Any] | None:
    if not _is_left_out(field.default_factory):
        return field.default_factory  # type: ignore[return-value]  # it is one: not left out
    is_none = field.default is None or _is_left_out(field.default)
    return None if is_none else lambda: field.default


def plain_default(cls: type, name: str) -> Any:
    """Return the default that a dataclass gives a field as a value; None where it gives none, or makes one for each."""
    default = next(field.default for field in dataclasses.fields(cls) if field.name == name)
    return None if _is_left_out(default) else default


def _is_left_out(default: Any) -> bool:
    """Whether a field has no such default. By type: a class sent to another process brings a `MISSING` of its own."""
    return isinstance(default, type(dataclasses.MISSING))


def _without_extras(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """Take `Annotated` and `| None` off a type, in whichever order they were put on."""
    extras: tuple[Any, ...] = ()
    while True:
        if typing.get_origin(hint) is Annotated:
            extras += hint.__metadata__
            hint = hint.__origin__
        elif is_optional(hint):
            hint = next(kind for kind in typing.get_args(hint) if kind is not type(None))
        else:
            return hint, extras


def is_optional(hint: Any) -> bool:
    """Return whether a type is `X | None` for one X."""
    if typing.get_origin(hint) not in (typing.Union, types.UnionType):
        return False
    kinds = typing.get_args(hint)
    return len(kinds) == 2 and type(None) in kinds


def _is_page(table: str, name: str, options: KeyOptions, codec: Codec) -> bool:
    is_page = "page" in name.split("_") if options.page is None else options.page
    if is_page and not isinstance(codec, IntCodec):
        is_vector = isinstance(codec, VectorCodec)
        shown = "np.ndarray, motion.Vector(...)" if is_vector else codec.expected.split()[0]
        raise SchemaError(
            f"table {table!r}, key {name!r}: it has the word 'page' in its name and so is a page key, which is an "
            f"int, but its type is {codec.expected}. If it is no page key, declare it "
            f"`{name}: Annotated[{shown}, motion.Key(page=False)]`."
        )
    return is_page


def _type_name(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint)


def timestamp_now(key: Key, now_ms: int, now: datetime) -> Stored:
    """Return the stored form of the present moment for a `ts` key of type int or datetime."""
    return now_ms if key.codec.expected == "int" else key.codec.encode(now)


TableName = str | type
