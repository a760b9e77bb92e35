"""Lookups: a value of another row, by a key that holds its id. What is declared; the graph and the rows do the rest."""

from __future__ import annotations

from dataclasses import dataclass, field

from motion.errors import TriggerError, shortened


class OfOtherRows:
    """What is taken of other rows, by a lookup or a window: keys of theirs, each as "table.key"."""

    @property
    def keys(self) -> tuple[str, ...]:
        """What is taken."""
        raise NotImplementedError

    @property
    def table(self) -> str:
        return self.keys[0].partition(".")[0]

    def _check_key(self, key: str, what: str) -> None:
        if not isinstance(key, str) or key.count(".") != 1:
            raise TriggerError(f"{what} as 'table.key', not {shortened(key)}.")


@dataclass(frozen=True)
class Lookup(OfOtherRows):
    """`Annotated[str, motion.Lookup("retailer.img_url", by="img_id")]` as a trigger's parameter, or as a key of a schema: the
    value of a key in the row whose id is this row's `by`.

    It is an input like a key of the row itself: waited for, unless it may be None, and handed over in batches, to async
    functions and to other processes alike. A change of `by` runs the trigger, and so does a change of what is looked up;
    where that row or its value is gone, the output is unset.

    Where `by` holds a list of ids, it is the list of what these rows hold, in its order. A list with a gap, as a row or its
    value is gone, is unset as a whole, unless its elements may be None: `list[str | None]`.

    Args:
        key: "table.key": what is looked up, as the row shows it; in page 0, where `by` does not name another.
        by: the key of the trigger's own table that holds the id, or what `to` is, or a list of these; several keys hold the id
            and, in their order, the pages: ("query", "suggestion").
        follow: False: it is read once for each change of the trigger's `on` keys, as a record of what was decided. True is
            what None, the default, means; it has to be said where the value derives, by a fold or a window, from the
            trigger's own table: each row would make those before it due again.
        to: "table.key": the row is found by this key in place of its id. Where several rows have one value, it is the one
            with the lowest id.

    Raises:
        TriggerError: an argument is not of this form.
    """

    key: str
    by: str | tuple[str, ...]
    follow: bool | None = None
    to: str | None = field(default=None, repr=False)
    is_of_list: bool = field(default=False, repr=False)
    """Whether `by` holds a list; found when it is held against the tables."""
    has_gaps: bool = field(default=False, repr=False)
    """Whether None stands in a list where there is no value; found in the type that it stands beside."""

    def __post_init__(self) -> None:
        self._check_key(self.key, "motion.Lookup takes the key to look up")
        if not self.bys or not all(isinstance(each, str) for each in self.bys):
            raise TriggerError(
                f"motion.Lookup({self.key!r}, by=) takes the name of the key that holds an id, or of those that hold an id "
                f"and its pages, such as ('query', 'suggestion'), not {shortened(self.by)}."
            )
        if self.follow is not None and not isinstance(self.follow, bool):
            raise TriggerError(
                f"motion.Lookup({self.key!r}, follow=) takes True, False or None, not {shortened(self.follow)}."
            )

        if self.to is None:
            return
        self._check_key(
            self.to, f"motion.Lookup({self.key!r}, to=) takes the key to find the row by"
        )
        if self.to.partition(".")[0] != self.table:
            raise TriggerError(
                f"motion.Lookup({self.key!r}, to={self.to!r}): the row is found by a key of {self.table!r}."
            )
        if len(self.bys) > 1:
            raise TriggerError(
                f"motion.Lookup({self.key!r}, by={self.by!r}, to={self.to!r}): several keys name an id and its pages; with "
                f"to= it is one key."
            )

    def __repr__(self) -> str:
        """The text is part of what a trigger's code is known by."""
        to = "" if self.to is None else f", to={self.to!r}"
        to += ", gaps=True" if self.has_gaps else ""
        return f"Lookup(key={self.key!r}, by={self.by!r}, follow={self.follow!r}{to})"

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.key,)

    @property
    def to_key(self) -> str:
        """The key of the other row by which it is found."""
        return "id" if self.to is None else self.to.partition(".")[2]

    @property
    def followed_keys(self) -> tuple[str, ...]:
        """The keys of other rows whose change makes what is looked up another."""
        return (self.name,) if self.to is None else tuple(dict.fromkeys((self.name, self.to_key)))

    @property
    def bys(self) -> tuple[str, ...]:
        """The keys of the trigger's own table that say which row it is."""
        return self.by if isinstance(self.by, tuple) else (self.by,)

    @property
    def name(self) -> str:
        """The key, within its table."""
        return self.key.partition(".")[2]

    @property
    def is_followed(self) -> bool:
        """Whether a change of what is looked up runs the trigger."""
        return self.follow is not False

    @property
    def column(self) -> str:
        """What its values are found under among the inputs of a run; no key has such a name."""
        gaps = " with gaps" if self.has_gaps else ""
        return f"{self.key} by {self.by}" + ("" if self.to is None else f" to {self.to}") + gaps
