"""Problems: errors as answers. What is told is what a client needs to mend its request; paths, tracebacks and what is kept
inside go to the server's log, and to admins."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from motion import errors
from motion.background.tracebacks import headline, kind_in
from motion.definitions.tables import wire
from motion.errors import shortened
from motion.server.access.roles import Role

logger = logging.getLogger(__name__)

STATUSES: Mapping[type[Exception], int] = {
    errors.NotFound: 404, errors.NotAllowed: 403, errors.UnknownTable: 404, errors.UnknownVersion: 404, errors.RowChanged: 409, errors.StateError: 409,
    errors.QueueFull: 503, errors.StoreClosed: 503, errors.StoreUnavailable: 503, errors.SqlTimeout: 408,
    errors.WaitTimeout: 408, errors.MissingPackage: 501, errors.MotionError: 400,
}  # fmt: skip

KEPT_INSIDE = (errors.StoreUnavailable, errors.StoreForked, errors.StoreNameTaken)
"""Errors whose texts name paths."""


def status_of(error: Exception) -> int:
    return next((STATUSES[each] for each in type(error).__mro__ if each in STATUSES), 500)


def told(error: Exception, role: Role | None = None) -> dict[str, Any]:
    """Return an error as JSON has it, for somebody with a role."""
    kind = type(error).__name__
    if isinstance(error, KEPT_INSIDE) and role is not Role.ADMIN:
        return {"type": kind, "message": "the store cannot be used now; the server's log says why."}
    if isinstance(error, errors.TaskFailed):
        message = failure_told(error.error, role)
        return {
            "type": kind, "message": f"trigger {error.trigger!r} failed on {error.table} {error.row} after "
            f"{error.attempts} attempt(s): {message}", "trigger": error.trigger, "table": error.table, "row": error.row,
            "attempts": error.attempts, "error": message,
        }  # fmt: skip
    return {"type": kind, "message": str(error), "facts": _facts(error)}


def failure_told(trace: str, role: Role | None) -> str:
    """Return what of a traceback somebody is told: all of it, the line that says what was raised, or the error's kind."""
    if role is Role.ADMIN:
        return trace
    said = headline(trace)
    return said if role is Role.WRITE else kind_in(said)


def _facts(error: Exception) -> Any:
    """Return the arguments from which an error is made again, None where JSON has not all of them."""
    try:
        return wire.plain(list(error.args)) if wire.encoded(wire.plain(list(error.args))) else None
    except (TypeError, ValueError):
        return None


def answer(status: int, kind: str, message: str, **more: Any) -> Response:
    body = wire.encoded({"error": {"type": kind, "message": message, **more}})
    return Response(body, status, media_type="application/json")


def install(app: FastAPI) -> None:
    """Let an app answer errors so."""
    app.add_exception_handler(errors.MotionError, _motion_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)


def _role(request: Request) -> Role | None:
    role: Role | None = getattr(request.state, "role", None)
    return role


def _motion_error(request: Request, error: Exception) -> Response:
    if isinstance(error, KEPT_INSIDE):
        logger.error("a request met: %s", error)
    body = wire.encoded({"error": told(error, _role(request))})
    return Response(body, status_of(error), media_type="application/json")


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = str(error.detail)
    if "route" not in request.scope and error.status_code == 404:
        message = f"there is no route {shortened(request.url.path)} here; /openapi.json describes those there are."
    elif error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        message = (
            f"{shortened(request.url.path)} does not take {request.method}; it takes {allowed}."
        )
    found = answer(error.status_code, "HTTPError", message)
    found.headers.update(error.headers or {})
    return found


def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    parts = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
    return answer(422, "InvalidRequest", "; ".join(parts))
