"""The answers that the OpenAPI document describes: statuses, bodies, headers and examples."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from .answers import JSON

Schema = dict[str, Any]

ERRORS = {
    400: "The body is not JSON or not UTF-8, or holds nothing to rank where that is an error.",
    401: "API keys are set, and none of them was sent.",
    404: "No model of that name; the message lists those that there are.",
    408: "The body came too slowly.",
    409: "The configuration has problems, which the message lists; what ran before still runs.",
    413: "More documents, characters or bytes than the limits allow.",
    422: "A field is missing or has a wrong value; the message names it.",
    429: "Too many pairs are waiting, or too many large bodies are on their way in.",
    500: "The server failed; its log has the details.",
    503: "The model is being loaded, or has not been installed: then the message says how.",
}

RANKING_ERRORS = tuple(status for status in ERRORS if status != HTTPStatus.CONFLICT)

_RETRIED = frozenset({429, 503})
"""Statuses whose answers say when to try again."""

_MESSAGE = "top_n: expected an integer >= 1"
_EXAMPLE = {
    "error": {
        "message": _MESSAGE,
        "type": "invalid_request_error",
        "code": "invalid_value",
        "param": "top_n",
    },
    "detail": _MESSAGE,
    "message": _MESSAGE,
}

_REQUEST_ID = {
    "X-Request-ID": {
        "description": "The caller's own where it sent a sound one; the log has it too.",
        "schema": {"type": "string"},
    }
}
_RETRY_AFTER = {
    "Retry-After": {
        "description": "Seconds to wait, where waiting helps.",
        "schema": {"type": "integer"},
    }
}


def any_of(schemas: Iterable[Schema]) -> Schema:
    """Give what satisfies at least one of ``schemas``, each taken once."""
    unique: list[Schema] = []
    for schema in schemas:
        if schema not in unique:
            unique.append(schema)
    return unique[0] if len(unique) == 1 else {"anyOf": unique}


def success(
    schema: Schema, *, headers: Mapping[str, str] | None = None, media_type: str = JSON
) -> dict[str, Any]:
    """Describe status 200; ``headers`` are names and descriptions."""
    described = {
        name: {"description": words, "schema": {"type": "string"}}
        for name, words in (headers or {}).items()
    }
    return {
        "200": {
            "description": "The answer.",
            "headers": _REQUEST_ID | described,
            "content": {media_type: {"schema": schema}},
        }
    }


def failures(statuses: Iterable[int], schema: Schema) -> dict[str, Any]:
    """Describe errors, whose bodies are of ``schema``."""
    return {str(status): _failure(status, schema) for status in statuses}


def _failure(status: int, schema: Schema) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": schema}
    if status == 422:  # noqa: PLR2004 - the one that callers see most gets the example
        content["example"] = _EXAMPLE
    return {
        "description": ERRORS[status],
        "headers": _REQUEST_ID | (_RETRY_AFTER if status in _RETRIED else {}),
        "content": {JSON: content},
    }
