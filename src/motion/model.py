"""Models: the state versions of a component, as users see and steer them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from motion.components import StateVersion
from motion.database import (
    Database,
)
from motion.errors import (
    MotionError,
    UnknownVersion,
)
from motion.fitting import begin_switch, ensure_live
from motion.persistence import labels, states
from motion.persistence.catalog import last_number
from motion.view import View


class Model:
    """The state versions of one component."""

    def __init__(self, database: Database, component: str, start: Callable[[], None]) -> None:
        self._database, self._component, self._start = database, component, start

    def versions(self) -> list[StateVersion]:
        """Return all versions, oldest first."""
        with self._database.backend.read() as tx:
            return states.versions(tx, self._component)

    def fit(self) -> None:
        """Ask for a fit from the labels there are, in the background; `store.wait` waits for it."""
        fits = [
            fit.spec
            for fit in self._database.code.fits.values()
            if fit.spec.component == self._component
        ]
        if not fits:
            raise MotionError(f"component {self._component} has no method marked with @motion.fit.")
        self._database.write(lambda tx: labels.request_fits(tx, fits, last_number(tx)))
        self._start()

    def promote(self, number: int) -> None:
        """Make a version live, whatever its gate says, once its outputs are built; in the background."""
        self._known(number)
        self._database.write(
            lambda tx: begin_switch(tx, self._database, self._component, number, is_gated=False)
        )
        self._start()

    def rollback(self) -> None:
        """Make the version that was live before live again; rows added since are filled first."""
        retired = [version.number for version in self.versions() if version.status == "retired"]
        if not retired:
            raise UnknownVersion(
                self._component, "to go back to", [version.number for version in self.versions()]
            )
        self.promote(retired[-1])

    @contextmanager
    def live(self) -> Iterator[tuple[Any, View]]:
        """Give the live state, and a view of the store that sees this version's outputs, whatever goes live meanwhile."""
        number = ensure_live(self._database, self._component)
        if number is None:
            raise UnknownVersion(self._component, "that is live: it waits for its first fit", ())
        yield (
            self._database.state(self._component, number),
            View(self._database, [], {self._component: number}),
        )

    def _known(self, number: int) -> None:
        known = [version.number for version in self.versions() if version.status != "failed"]
        if number not in known:
            raise UnknownVersion(self._component, number, known)
