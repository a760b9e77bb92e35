"""Routes of models: the state versions of components, and what steers them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict

from motion.definitions.tables import wire
from motion.definitions.versions import StateVersion
from motion.server.access.roles import Role
from motion.server.api import documents as docs
from motion.server.api.rows import change_told
from motion.server.api.serving import Served, hidden, in_thread, json, needs, role, served

router = APIRouter(prefix="/v1/models", tags=["models"])


class Version(BaseModel):
    """A version's number."""

    model_config = ConfigDict(extra="forbid")

    version: int


@router.get("", dependencies=[needs(Role.READ)], responses=docs.answers(docs.ANYTHING))
async def models(request: Request) -> Response:
    """List the components, each with its live version."""
    status = await in_thread(served(request).store.status)
    return json({"models": dict(status.versions), "fits": status.fits, "running": list(status.running_fits)})  # fmt: skip


@router.get(
    "/{component}/versions", dependencies=[needs(Role.READ)], responses=docs.answers(docs.ANYTHING)
)
async def versions(request: Request, component: str) -> Response:
    """List a component's versions, oldest first, with what was measured of each."""
    found = await in_thread(lambda: served(request).store.model(component).versions())
    return json({"versions": [version_told(each, role(request)) for each in found]})


def version_told(version: StateVersion, to: Role) -> dict[str, Any]:
    """Return of a version what somebody is told: a failure's reason and traceback are not for all."""
    found = asdict(version)
    kept_inside = {Role.READ: ("reason", "traceback"), Role.WRITE: ("traceback",), Role.ADMIN: ()}
    for name in kept_inside[to] if version.status == "failed" else ():
        found[name] = None
        found["metrics"].pop(name, None)
    return {**found, **{name: _figure(found[name]) for name in ("metrics", "live_metrics")}}


def _figure(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _figure(each) for name, each in value.items()}
    plain = wire.plain(value)
    return plain if isinstance(plain, str | int | float | bool | list | None) else str(plain)


@router.get(
    "/{component}/labels", dependencies=[needs(Role.READ)], responses=docs.answers(docs.ANYTHING)
)
async def labels(
    request: Request,
    component: str,
    version: int,
    limit: Annotated[int, Query(ge=0, le=1_000)] = 24,
) -> Response:
    """List what a version, and those it was made from, learned from; the latest first."""
    on = served(request)
    found = await in_thread(lambda: on.store.model(component).labels(version, limit=limit))
    return json({"labels": [_label(on, each, request) for each in found]})


def _label(on: Served, label: Any, request: Request) -> dict[str, Any]:
    table = on.store._database.tables.get(type(label.row))
    row = wire.plain_row(table, label.row, hidden(request))
    return {
        "fit": label.fit, "table": table.name, "id": wire.plain(label.id), "pages": dict(label.pages),
        "version": label.version, "row": row,
    }  # fmt: skip


@router.post(
    "/{component}/fit", dependencies=[needs(Role.ADMIN)], responses=docs.answers(docs.CHANGE)
)
async def fit(request: Request, component: str) -> Response:
    """Ask for a fit from the labels there are; `count` says how many: 0, and nothing was asked for."""
    return json(change_told(await in_thread(lambda: served(request).store.model(component).fit())))


@router.post(
    "/{component}/promote", dependencies=[needs(Role.ADMIN)], responses=docs.answers(docs.CHANGE)
)
async def promote(request: Request, component: str, wanted: Version) -> Response:
    """Make a version live, whatever its gate says, once its outputs are built."""
    on = served(request)
    found = await in_thread(lambda: on.store.model(component).promote(wanted.version))
    return json(change_told(found))


@router.post(
    "/{component}/rollback", dependencies=[needs(Role.ADMIN)], responses=docs.answers(docs.CHANGE)
)
async def rollback(request: Request, component: str) -> Response:
    """Make the version that was live before live again."""
    on = served(request)
    return json(change_told(await in_thread(lambda: on.store.model(component).rollback())))
