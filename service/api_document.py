"""The OpenAPI document, made from the structs that go over the wire.

Bodies are decoded at our own border, where Litestar cannot see their types, so the document is made
here. A test holds it against the routes of the application.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ranklet import __version__

from .answers import JSON, ErrorBody
from .dialect import Dialect
from .routes import Health, ModelList, Readiness, Version

_DESCRIPTION = """\
Ranks documents for a query with a cross-encoder, on this machine. Fields that are not described
are ignored, and null counts as absent. Errors have one body for all clients.
"""

_ERRORS = {
    400: "The body is not JSON or not UTF-8.",
    401: "API keys are set, and none of them was sent.",
    404: "No model of that name; the message lists those that there are.",
    413: "More documents, characters or bytes than the limits allow.",
    422: "A field is missing or has a wrong value; the message names it.",
    429: "Too many pairs are waiting.",
    500: "The server failed; its log has the details.",
    503: "The model is being loaded, or has not been installed: then the message says how.",
}

_RETRIED = frozenset({429, 503})
"""Statuses whose answers say when to try again."""

_EXAMPLE_ERROR = {
    "error": {
        "message": "top_n: expected an integer >= 1",
        "type": "invalid_request_error",
        "code": "invalid_value",
        "param": "top_n",
    },
    "detail": "top_n: expected an integer >= 1",
    "message": "top_n: expected an integer >= 1",
}


@dataclass(frozen=True, slots=True)
class _Question:
    """A GET route."""

    path: str
    summary: str
    answer: type[msgspec.Struct]
    errors: tuple[int, ...] = ()


_QUESTIONS = (
    _Question("/v1/models", "List the models and what is behind their names", ModelList),
    _Question("/healthz", "Tell whether the server answers", Health),
    _Question("/readyz", "Tell whether the models are loaded and warm", Readiness, (503,)),
    _Question("/version", "Tell which version runs", Version),
)


def build_document(dialects: Sequence[Dialect[Any, Any]]) -> bytes:
    """Give the OpenAPI document as JSON."""
    kinds: list[type[msgspec.Struct]] = [ErrorBody]
    for dialect in dialects:
        kinds += [dialect.body, dialect.answer]
    kinds += [question.answer for question in _QUESTIONS]
    _, components = msgspec.json.schema_components(
        kinds, ref_template="#/components/schemas/{name}"
    )
    paths: dict[str, Any] = {}
    for dialect in dialects:
        for path in dialect.paths:
            paths[path] = {"post": _rerank_operation(dialect, path)}
    for question in _QUESTIONS:
        paths[question.path] = {"get": _question_operation(question)}
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "ranklet",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {"schemas": components},
    }
    return msgspec.json.encode(document)


def _rerank_operation(dialect: Dialect[Any, Any], path: str) -> dict[str, Any]:
    body = {"schema": _reference(dialect.body), "example": dialect.example}
    return {
        "tags": ["rerank"],
        "summary": dialect.summary,
        "description": dialect.description,
        "operationId": _operation_id("post", path),
        "requestBody": {"required": True, "content": {JSON: body}},
        "responses": _responses(dialect.answer, tuple(_ERRORS)),
    }


def _question_operation(question: _Question) -> dict[str, Any]:
    return {
        "tags": ["server"],
        "summary": question.summary,
        "operationId": _operation_id("get", question.path),
        "responses": _responses(question.answer, question.errors),
    }


def _operation_id(method: str, path: str) -> str:
    return method + path.replace("/", "_")


def _reference(kind: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def _responses(answer: type[msgspec.Struct], errors: tuple[int, ...]) -> dict[str, Any]:
    responses: dict[str, Any] = {
        "200": {
            "description": "The answer.",
            "content": {JSON: {"schema": _reference(answer)}},
        }
    }
    return responses | {str(status): _error_response(status) for status in errors}


def _error_response(status: int) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": _reference(ErrorBody)}
    if status == 422:  # noqa: PLR2004 - the one that callers see most gets the example
        content["example"] = _EXAMPLE_ERROR
    response: dict[str, Any] = {"description": _ERRORS[status], "content": {JSON: content}}
    if status in _RETRIED:
        response["headers"] = {
            "Retry-After": {
                "description": "Seconds to wait, where waiting helps.",
                "schema": {"type": "integer"},
            }
        }
    return response
