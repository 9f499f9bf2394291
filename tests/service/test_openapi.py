"""The server keeps what its OpenAPI document promises, whatever schemathesis makes of it."""

# schemathesis leaves the parameters of its generic types open.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
import json
from typing import Any, cast

import httpx
import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from ranklet.service.api_document import build_document
from ranklet.service.dialect import all_dialects
from ranklet.service.settings import Settings

DOCUMENT = json.loads(build_document(all_dialects(), Settings(max_document_chars=20_000)))
CONFIG = schemathesis.Config.from_dict(
    {"checks": {"negative_data_rejection": {"expected-statuses": [400, 404, 413, 422, 503]}}}
)
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT, config=CONFIG)
OPERATIONS: list[APIOperation[Any, Any, Any, Any]] = [
    found.ok()  # type: ignore[union-attr]  # fails the tests where the document is wrong
    for found in SCHEMA.get_all_operations()
]
RUNS = [
    pytest.param(operation, mode, id=f"{operation.label}-{mode.value}")
    for operation in OPERATIONS
    for mode in GenerationMode
    if operation.body or mode is GenerationMode.POSITIVE  # without a body nothing can be wrong
]

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

UNSAYABLE = {"/score", "/v1/score"}
"""Here a schema cannot tell what is valid: one query or as many as documents, by any name."""


def with_whole_numbers(body: object) -> object:
    """Write integers as integers: JSON Schema takes 1.0 for one, the server asks for 1."""
    if not isinstance(body, dict):
        return body
    return {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in cast("dict[str, object]", body).items()
    }


def without_refusal(body: object) -> object:
    """Leave out what is refused for its company, as the document says in words.

    Long texts where cutting is forbidden, many chunks of many documents, and objects without any
    of the fields that are to be read.
    """
    if not isinstance(body, dict):
        return body
    fields = cast("dict[str, object]", body)
    return {
        name: _with_text(value) if name in {"documents", "input"} else value
        for name, value in fields.items()
        if not (name in {"truncation", "truncate"} and str(value).lower() in {"false", "none"})
        and not (name == "max_chunks_per_doc" and isinstance(value, int) and value > 10)
    }


def _with_text(documents: object) -> object:
    if isinstance(documents, dict):
        return cast("dict[str, object]", documents) | {"text": "a"}
    if isinstance(documents, list):
        return [_with_text(document) for document in cast("list[object]", documents)]
    return documents


def test_documents_may_be_all_that_the_server_reads() -> None:
    """With ``rank_fields``, objects need no text."""
    document = {"title": "b"}
    bodies = {
        "RerankBody": {"query": "a", "documents": [document], "rank_fields": ["title"]},
        "MixedbreadBody": {"query": "a", "input": [document], "rank_fields": ["title"]},
    }
    for name, body in bodies.items():
        schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
        assert jsonschema_rs.is_valid(schema, body)
        assert not jsonschema_rs.is_valid(schema, body | {"query": document})


def test_scores_are_of_queries_and_documents() -> None:
    content = DOCUMENT["paths"]["/score"]["post"]["requestBody"]["content"]["application/json"]
    schema = content["schema"] | {"components": DOCUMENT["components"]}
    for body in ({"text_1": "a", "text_2": "b"}, {"queries": ["a"], "items": None, "data_2": "b"}):
        assert jsonschema_rs.is_valid(schema, body)
    for part in ({}, {"text_1": "a"}, {"text_2": "b"}, {"text_1": "a", "items": None}):
        assert not jsonschema_rs.is_valid(schema, part)


@pytest.mark.parametrize(("operation", "mode"), RUNS)
def test_every_route_keeps_its_promises(
    tiny_client: httpx.Client, operation: APIOperation[Any, Any, Any, Any], mode: GenerationMode
) -> None:
    excluded: list[Any] = []
    if operation.path in UNSAYABLE:
        excluded = [positive_data_acceptance, negative_data_rejection]

    @settings(deadline=None, max_examples=15, suppress_health_check=SLOW)
    @given(operation.as_strategy(generation_mode=mode))
    def check(case: Case[Any]) -> None:
        case.body = cast("Any", without_refusal(with_whole_numbers(case.body)))
        case.call_and_validate(base_url=str(tiny_client.base_url), excluded_checks=excluded)

    check()
