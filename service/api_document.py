"""The OpenAPI document, made from the structs that go over the wire.

Bodies are decoded at our own border, where Litestar cannot see their types, so the document is made
here. A test holds it against the routes of the application.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from ranklet import __version__

from .answers import JSON, ErrorBody
from .api_responses import RANKING_ERRORS, Schema, any_of, failures, success
from .dialect import Dialect, dialects_by_path
from .info import Info
from .model_routes import MODEL_PATH, MODELS_PATH, RELOAD_PATH, ModelInfo, ModelList
from .routes import Health, Readiness, Version
from .settings import Settings

_DESCRIPTION = """\
Ranks documents for a query with a cross-encoder, on this machine, for clients of many services. \
What a body holds tells its dialect apart where several are spoken on a path. \
Fields that are not described are ignored, null counts as absent, no answer holds a null of ours. \
Query and documents may have {characters:,} characters together, a body {bytes:,} bytes.
"""

_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}


@dataclass(frozen=True, slots=True)
class _Question:
    """A route that takes no body."""

    paths: tuple[str, ...]
    summary: str
    answer: type[msgspec.Struct] | None
    """None for plain text."""
    errors: tuple[int, ...] = ()
    method: str = "get"
    parameters: tuple[Schema, ...] = ()


_NAME = {
    "name": "name",
    "in": "path",
    "required": True,
    "description": "A model's name or alias; slashes may stay as they are.",
    "schema": {"type": "string", "minLength": 1},
}

_QUESTIONS = (
    _Question(
        (MODELS_PATH, "/models"), "List the models and what is behind them", ModelList, (401,)
    ),
    _Question(
        (MODEL_PATH, MODEL_PATH.removeprefix("/v1")),
        "Tell what is behind a model's name",
        ModelInfo,
        (401, 404),
        parameters=(_NAME,),
    ),
    _Question(
        (RELOAD_PATH,), "Read the models' configuration again", ModelList, (401, 409), "post"
    ),
    _Question(
        ("/info", "/v1/info"), "Tell the default model and the limits, as TEI does", Info, (401,)
    ),
    _Question(("/healthz", "/health", "/ping"), "Tell whether the server answers", Health),
    _Question(("/readyz",), "Tell whether the models are loaded and warm", Readiness, (503,)),
    _Question(("/version",), "Tell which version runs", Version),
    _Question(("/metrics",), "Give figures for Prometheus", None, (401,)),
)


def build_document(dialects: Sequence[Dialect[Any, Any]], settings: Settings) -> bytes:
    """Give the OpenAPI document as JSON."""
    kinds: list[Any] = [ErrorBody]
    for dialect in dialects:
        kinds += [dialect.body, dialect.answer, dialect.error]
    kinds += [question.answer for question in _QUESTIONS if question.answer]
    schemas, components = msgspec.json.schema_components(
        kinds, ref_template="#/components/schemas/{name}"
    )
    schema_of = dict(zip(kinds, schemas, strict=True)).__getitem__
    paths: dict[str, Any] = {
        path: {"post": _rerank_operation(spoken, path, schema_of)}
        for path, spoken in dialects_by_path(dialects).items()
    }
    for question in _QUESTIONS:
        for path in question.paths:
            operation = _question_operation(question, path, schema_of)
            paths.setdefault(path, {})[question.method] = operation
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "ranklet",
            "version": __version__,
            "description": _DESCRIPTION.format(
                characters=settings.max_request_chars, bytes=settings.max_body_bytes
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": _with_limits(components, settings),
            "securitySchemes": _SECURITY,
        },
    }
    return msgspec.json.encode(document)


def _with_limits(schema: object, settings: Settings) -> object:
    """Put numbers where structs name a setting as their ``maxItems`` or ``maxLength``."""
    if isinstance(schema, list):
        return [_with_limits(item, settings) for item in cast("list[object]", schema)]
    if not isinstance(schema, dict):
        return schema
    return {
        key: getattr(settings, str(value))
        if key in {"maxItems", "maxLength"}
        else _with_limits(value, settings)
        for key, value in cast("dict[str, object]", schema).items()
    }


def _rerank_operation(
    spoken: Sequence[Dialect[Any, Any]], path: str, schema_of: Callable[[Any], Schema]
) -> dict[str, Any]:
    owner = spoken[0]
    body = {
        "schema": any_of(schema_of(dialect.body) | dict(dialect.body_schema) for dialect in spoken),
        "examples": {dialect.name: {"value": dialect.example} for dialect in spoken},
    }
    answer = any_of(schema_of(dialect.answer) for dialect in spoken)
    error = any_of(schema_of(dialect.error) for dialect in spoken)
    headers = {name: words for dialect in spoken for name, words in dialect.headers.items()}
    return {
        "tags": ["rerank"],
        "summary": owner.summary,
        "description": "\n\n".join(dialect.description for dialect in spoken),
        "operationId": _operation_id("post", path),
        "security": _security(),
        "requestBody": {"required": True, "content": {JSON: body}},
        "responses": success(answer, headers=headers) | failures(RANKING_ERRORS, error),
    }


def _question_operation(
    question: _Question, path: str, schema_of: Callable[[Any], Schema]
) -> dict[str, Any]:
    answer = (
        success(schema_of(question.answer))
        if question.answer
        else success({"type": "string"}, media_type="text/plain")
    )
    operation: dict[str, Any] = {
        "tags": ["server"],
        "summary": question.summary,
        "operationId": _operation_id(question.method, path),
        "responses": answer | failures(question.errors, schema_of(ErrorBody)),
    }
    if question.parameters:
        operation["parameters"] = question.parameters
    return operation | ({"security": _security()} if 401 in question.errors else {})  # noqa: PLR2004 - the status


def _security() -> list[dict[str, list[str]]]:
    """Either key, or none where the server has none."""
    return [{}, *({name: list[str]()} for name in _SECURITY)]


def _operation_id(method: str, path: str) -> str:
    return method + re.sub(r"\W+", "_", path).rstrip("_")
