"""Models: the state versions of a component, as users see and steer them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from html import escape
from typing import Any

from motion.backends.base import Transaction
from motion.background.interrupts import uninterrupted
from motion.definitions.values.arguments import check_count
from motion.definitions.versions import Label, Progress, StateVersion
from motion.errors import InvalidArgument, MotionError, UnknownVersion, shortened
from motion.notebook import Shown
from motion.persistence.changes.labelling import settle_all
from motion.persistence.database import Database, id_of
from motion.persistence.numbers import next_number
from motion.persistence.states import asked, files, fit_requests, labels
from motion.persistence.states import versions as states
from motion.states.lifecycle import ensure_live
from motion.states.promotion import ask_live
from motion.store.changes.change import Change
from motion.store.reports.explain import fits_of, labels_of
from motion.store.reports.model_status import ModelStatus, model_status
from motion.views.view import VersionView, View


class Model:
    """The state versions of one component."""

    def __init__(self, database: Database, component: str, start: Callable[[], None]) -> None:
        self._database, self._component, self._start = database, component, start

    def __repr__(self) -> str:
        return f"<motion model {self._component!r} of store {self._database.name!r}>"

    def versions(self) -> list[StateVersion]:
        """Return all versions, oldest first."""
        with self._database.backend.read() as tx:
            return Shown(states.versions(tx, self._component))

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self))}</p>{Shown(self.versions())._repr_html_()}"

    def labels(self, number: int, *, limit: int = 1_000_000) -> list[Label]:
        """Return the labels that a version, and those it was made from, learned from; the latest first.

        Labels of rows that are deleted by now are not among them.

        Raises:
            UnknownVersion: there is no such version.
        """
        check_count("labels(number)", number)
        check_count("labels(limit=)", limit)
        with self._database.backend.read() as tx:
            known = [each.number for each in states.versions(tx, self._component)]
            if number not in known:
                raise UnknownVersion(self._component, number, known)
            return labels_of(self._database, tx, self._component, number, limit)

    def learned_from(self, id: Any, *, fit: str | None = None, **pages: int) -> list[int]:
        """Return the versions that learned from a row's label, themselves or by what they were made from.

        Args:
            id: the row's.
            fit: the name of a fit's method; None: of all of the component's.
            **pages: page keys; 0 where left out.
        """
        with self._database.backend.read() as tx:
            direct: set[int] = set()
            for spec in fits_of(self._database, self._component):
                if fit is None or spec.name == f"{self._component}.{fit}":
                    layout = self._database.layouts[spec.table]
                    numbers = [pages.get(page, 0) for page in layout.table.page_keys]
                    name = (id_of(layout.table, id), *numbers)
                    direct.update(labels.versions_that_learned(tx, layout, spec, name))
            known = [each.number for each in states.versions(tx, self._component)]
            return [n for n in known if direct & set(states.lineage(tx, self._component, n))]

    def fit(self) -> Change:
        """Ask for a fit from the labels there are, in the background.

        Returns:
            The change to wait for: it ends when it is decided what becomes of the version that the fit makes (live, refused,
            or a candidate that waits for a person), and its `wait` raises `StateError` where the fit failed. Its `count`
            is how many labels there are to learn from, by all fits of the component, those included that wait for pending
            work on their rows; 0: there are none, and nothing was asked for. Where all of them wait, the fit begins with the
            first that is whole. While a fit runs, the next one is asked for.
        """
        fits = [
            fit.spec
            for fit in self._database.code.fits.values()
            if fit.spec.component == self._component
        ]
        if not fits:
            raise MotionError(f"component {self._component} has no method marked with @motion.fit.")

        with self._database.backend.read() as tx:
            is_any_waiting = labels.is_any_waiting(tx)
        if is_any_waiting:
            self._database.write(lambda tx: settle_all(tx, self._database.layouts))
        with (
            self._database.backend.read() as tx
        ):  # not where others wait to write: there may be very many
            lineage = states.lineage(tx, self._component, states.live_version(tx, self._component))
            counts = {
                fit.name: labels.count_for(tx, fit, lineage) + labels.count_waiting(tx, fit)
                for fit in fits
            }
        wanted = [fit for fit in fits if counts[fit.name]]

        def work(tx: Transaction) -> int:
            change = next_number(tx)
            if wanted:
                fit_requests.request_fits(tx, wanted, change)
                asked.note_fits(tx, change, self._component, [fit.name for fit in wanted])
            return change

        return self._begun(self._database.write(work), sum(counts.values()))

    def promote(self, number: int) -> Change:
        """Make a version live, whatever its gate says and whatever is on its way, once its outputs are built. Where they
        are kept, that is at once. The live version's number takes back a promotion or rollback that has not come about.

        Returns:
            The change to wait for: it ends when the version is live, or another was asked for since. Its `wait` raises
            `StateError` where it cannot be made live.
        """
        self._known(number)
        return self._begun(
            self._database.write(lambda tx: ask_live(tx, self._database, self._component, number))
        )

    def rollback(self) -> Change:
        """Make the version that was live before live again; rows added since are filled first.

        Again, it goes one further back; `promote` goes forth. Nothing is recomputed of the versions whose outputs are
        kept (`keep_outputs`), and nothing that a fit offers goes before.

        Returns:
            The change to wait for, as of `promote`.

        Raises:
            UnknownVersion: no version was live before, or its state is not kept any more.
        """

        def work(tx: Transaction) -> int:
            number = states.version_before(tx, self._component)
            if number is None:
                known = [each.number for each in states.versions(tx, self._component)]
                raise UnknownVersion(self._component, "to go back to", known)
            return ask_live(tx, self._database, self._component, number, is_rollback=True)

        return self._begun(self._database.write(work))

    def _begun(self, change: int, count: int = 0) -> Change:
        self._start()
        self._database.backend.call()
        return Change(self._database, change, count=count).keeping(self)

    def status(self) -> ModelStatus:
        """Return what the model is doing: how far its candidate is, its fits, and the labels that are there and wanted."""
        return model_status(self._database, self._component)

    @property
    def progress(self) -> Progress | None:
        """What the running fit told last by `motion.progress`, from whichever process; None where none tells."""
        with self._database.backend.read() as tx:
            return fit_requests.progress_of(tx, self._component)

    @contextmanager
    def live(self) -> Iterator[tuple[Any, View]]:
        """Give the live state, and a view of the store that sees this version's outputs, whatever goes live meanwhile: they
        are kept until the end of the `with`. Rows that are set later have outputs of this version while it is live, or
        candidate. The view only reads.
        """
        folder = self._database.backend.folder
        while True:
            number = uninterrupted(partial(ensure_live, self._database, self._component))
            if number is None:
                raise UnknownVersion(
                    self._component, "that is live: it waits for its first fit", ()
                )
            with files.viewed(folder, self._component, number):
                with self._database.backend.read() as tx:
                    is_live = states.live_version(tx, self._component) == number
                if is_live:  # else its outputs may be gone
                    state = self._database.state(self._component, number)
                    yield state, VersionView(self._database, {self._component: number})
                    return

    @contextmanager
    def at(self, number: int) -> Iterator[tuple[Any, View]]:
        """Give a version's state, and a view of the store that sees its outputs, as `live` does of the live one: of the
        candidate, as far as they are built, and of retired ones whose outputs are kept (`keep_outputs`). They are kept
        until the end of the `with`. The view only reads.

        Raises:
            UnknownVersion: there is no such version, or its state or its outputs are not kept; it says which are.
        """
        self._check_viewable(number)
        with files.viewed(self._database.backend.folder, self._component, number):
            self._check_viewable(number)  # they may have gone just before they were held
            state = self._database.state(self._component, number)
            yield state, VersionView(self._database, {self._component: number})

    def _check_viewable(self, number: int) -> None:
        code = self._database.code.components.get(self._component)
        with self._database.backend.read() as tx:
            kept = states.kept_outputs(tx, self._component, code.keep_outputs if code else 0)
            kept += files.versions_viewed(self._database.backend.folder, self._component)
            kept = [n for n in sorted(set(kept)) if states.manifest_of(tx, self._component, n)]
        if isinstance(number, bool) or number not in kept:
            raise UnknownVersion(self._component, f"{shortened(number)} with kept outputs", kept)

    def _known(self, number: int) -> None:
        if isinstance(number, bool) or not isinstance(number, int):
            given = f"{shortened(number)} ({type(number).__name__})"
            raise InvalidArgument("promote(number)", given, "the number of a version, an int")
        known = [version.number for version in self.versions() if version.is_kept]
        if number not in known:
            raise UnknownVersion(self._component, number, known)
