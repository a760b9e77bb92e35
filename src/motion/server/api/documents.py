"""What OpenAPI says of the answers: schemas in JSON, and the answers that every route may give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ARROW = "application/vnd.apache.arrow.stream"

PROBLEM: Mapping[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["type", "message"],
            "properties": {"type": {"type": "string"}, "message": {"type": "string"}},
        }
    },
}

PROBLEMS: dict[int | str, dict[str, Any]] = {
    code: {"description": told, "content": {"application/json": {"schema": PROBLEM}}}
    for code, told in {
        400: "A name or a value is not one that the store takes; nothing was done.",
        401: "A token is needed.",
        403: "The token's role does not suffice, or a page of another site asked.",
        404: "It is not there.",
        408: "It took longer than allowed.",
        409: "It is not as it was, or cannot be now; nothing was done.",
        413: "The body is too large.",
        422: "A parameter is missing, or is none.",
        429: "Too many requests.",
        501: "It needs a package that the server does not have.",
        503: "The store cannot take it now.",
    }.items()
}

ROW = {"type": "object", "additionalProperties": True, "description": "A row's keys."}

MORE = {"type": "boolean", "description": "There are more rows than these."}

ROWS = {
    "type": "object",
    "required": ["rows", "next", "more"],
    "properties": {
        "rows": {"type": "array", "items": ROW},
        "next": {"type": ["string", "null"], "description": "Give it as after= for those that follow."},
        "more": MORE,
    },
}  # fmt: skip

CHANGE = {
    "type": "object",
    "required": ["change", "id", "count"],
    "properties": {
        "change": {"type": "integer", "description": "The change's key, to follow it by."},
        "id": {"type": ["integer", "string", "null"], "description": "Of the row, where it is one."},
        "count": {"type": "integer"},
        "rejected": {"type": "array", "items": {"type": "object"}},
    },
}  # fmt: skip

PROGRESS = {
    "type": "object",
    "required": ["change", "remaining", "failed", "errors"],
    "properties": {
        "change": {"type": "integer"},
        "remaining": {"type": "integer"},
        "failed": {"type": "integer"},
        "errors": {"type": "array", "items": {"type": "object"}},
    },
}

HITS = {
    "type": "object",
    "required": ["hits"],
    "properties": {
        "hits": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id", "pages", "score", "row"],
                "properties": {
                    "id": {"type": ["integer", "string"]},
                    "pages": {"type": "object", "additionalProperties": {"type": "integer"}},
                    "score": {"type": "number"},
                    "row": ROW,
                },
            },
        }
    },
}

TABLE = {
    "type": "object",
    "required": ["columns", "rows", "more"],
    "properties": {
        "columns": {"type": "array", "items": {"type": "string"}},
        "rows": {"type": "array", "items": {"type": "array", "items": {}}},
        "more": MORE,
    },
}

EVENT = {
    "type": "object",
    "required": ["event", "data"],
    "properties": {
        "event": {"type": "string"},
        "data": {"type": "string", "contentMediaType": "application/json"},
        "id": {"type": "string"},
    },
}
WRITES = {
    "type": "object",
    "required": ["writes"],
    "additionalProperties": False,
    "properties": {
        "writes": {
            "type": "array",
            "items": {
                "oneOf": [
                    {
                        "type": "object",
                        "required": ["set", "values"],
                        "additionalProperties": False,
                        "properties": {"set": {"type": "string"}, "values": ROW},
                    },
                    {
                        "type": "object",
                        "required": ["delete", "id"],
                        "additionalProperties": False,
                        "properties": {
                            "delete": {"type": "string"},
                            "id": {"type": ["integer", "string"]},
                        },
                    },
                ]
            },
        }
    },
}
WRITES_EXAMPLE = {
    "writes": [{"set": "query", "values": {"query": "red dress"}}, {"delete": "query", "id": 7}]
}
WRITTEN = {
    "type": "object",
    "required": ["writes"],
    "properties": {"writes": {"type": "integer"}},
}
ANYTHING = {"type": "object", "additionalProperties": True}

LIST = {"type": "array", "items": ANYTHING}

SHARED = {
    "Error": PROBLEM, "Row": ROW, "Rows": ROWS, "Change": CHANGE, "Progress": PROGRESS, "Hits": HITS, "Table": TABLE,
    "Event": EVENT, "Writes": WRITES, "Written": WRITTEN,
}  # fmt: skip
"""What is told in several places, by a name of its own: a generated client has one class for each of them."""


def named(found: Any, *, is_whole: bool = True) -> Any:
    """Return a part of a description with the shared schemas in it as references to their names."""
    if isinstance(found, Mapping):
        name = next((name for name, each in SHARED.items() if is_whole and found == each), None)
        if name is not None:
            return {"$ref": f"#/components/schemas/{name}"}
        return {key: named(each) for key, each in found.items()}
    return [named(each) for each in found] if isinstance(found, list) else found


def shared() -> dict[str, Any]:
    """Return the shared schemas, by their names."""
    return {name: named(each, is_whole=False) for name, each in SHARED.items()}


def answers(
    schema: Mapping[str, Any], *, arrow: bool = False, told: str = "So it is."
) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI says of a route's answers."""
    content: dict[str, Any] = {"application/json": {"schema": dict(schema)}}
    if arrow:
        content[ARROW] = {"schema": {"type": "string", "format": "binary"}}
    return {**PROBLEMS, 200: {"description": told, "content": content}}


def events(told: str) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI says of the answers of a route of events."""
    content = {"text/event-stream": {"itemSchema": EVENT}}
    return {**PROBLEMS, 200: {"description": told, "content": content}}


def takes(
    schema: Mapping[str, Any], *others: str, example: Any = None, required: bool = True
) -> dict[str, Any]:
    """Return what OpenAPI says of a route's body, JSON of a schema or one of other types."""
    content: dict[str, Any] = {"application/json": {"schema": dict(schema)}}
    if example is not None:
        content["application/json"]["example"] = example
    for kind in others:
        content[kind] = {"schema": {"type": "string", "format": "binary"}}
    return {"requestBody": {"required": required, "content": content}}
