"""The OpenAPI document and its page: complete, true, and from this server alone."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from ranklet.service.answers import ANSWERS
from ranklet.service.app import create_app
from ranklet.service.dialect import Dialect, all_dialects, dialects_by_path
from ranklet.service.docs import DOCUMENT_PATHS, PAGE_PATHS
from ranklet.service.settings import Settings

PAGES = Path(__file__).parent.parent.parent / "service/docs_page"


@pytest.fixture(scope="module")
def document(tiny_client: httpx.Client) -> dict[str, Any]:
    content: dict[str, Any] = tiny_client.get("/openapi.json").json()
    return content


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_document_describes_the_routes_that_there_are(
    document: dict[str, Any], tiny_bundle: Path
) -> None:
    app = create_app(Settings(models=(tiny_bundle,)))
    routes = {
        (route.path.replace(":path}", "}"), method.lower())
        for route in app.routes
        for handler in getattr(route, "route_handlers", [])
        for method in handler.http_methods
        if method != "OPTIONS" and not route.path.startswith("/docs/")
    }
    pages = {(path, "get") for path in (*DOCUMENT_PATHS, *PAGE_PATHS)}
    assert {(path, method) for path, method, _ in operations(document)} == routes - pages


def test_references_lead_somewhere(document: dict[str, Any]) -> None:
    references = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert references == set(document["components"]["schemas"])


def test_everything_has_words(document: dict[str, Any]) -> None:
    for path, _, operation in operations(document):
        assert operation["summary"], path
        assert all(response["description"] for response in operation["responses"].values())
    for name, schema in document["components"]["schemas"].items():
        assert schema.get("description"), name
    for dialect in all_dialects():
        fields = document["components"]["schemas"][dialect.body.__name__]["properties"]
        assert all(field.get("description") for field in fields.values())


def test_every_status_of_ours_is_described(document: dict[str, Any]) -> None:
    described = {int(status) for status in document["paths"]["/v1/rerank"]["post"]["responses"]}
    unseen = {409, 499}  # of reloading; the caller has left
    assert {answer.status for answer in ANSWERS.values()} | {200} == described | unseen


def test_operation_ids_differ(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(("path", "spoken"), dialects_by_path(all_dialects()).items())
def test_examples_work(
    document: dict[str, Any],
    tiny_client: httpx.Client,
    path: str,
    spoken: tuple[Dialect[Any, Any], ...],
) -> None:
    operation = document["paths"][path]["post"]
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    assert set(examples) == {dialect.name for dialect in spoken}
    for dialect in spoken:
        response = tiny_client.post(path, json=examples[dialect.name]["value"])
        assert response.status_code == 200
        msgspec.json.decode(response.content, type=dialect.answer)
        described = set(operation["responses"]["200"]["headers"])
        assert {name for name in response.headers if name.startswith("x-")} <= {
            name.lower() for name in described
        }
        assert set(dialect.headers) <= set(response.headers)


def test_limits_are_those_of_the_settings(document: dict[str, Any]) -> None:
    fields = document["components"]["schemas"]["RerankBody"]["properties"]
    [texts] = [part for part in fields["documents"]["anyOf"] if part["type"] == "array"]
    assert texts["maxItems"] == 1000
    assert {part.get("maxLength") for part in texts["items"]["anyOf"]} == {20_000, None}
    assert "1,000,000 characters" in document["info"]["description"]


def test_questions_are_answered_as_described(
    document: dict[str, Any], tiny_client: httpx.Client
) -> None:
    for path, method, operation in operations(document):
        if method == "get" and path != "/metrics":
            answer = tiny_client.get(path.replace("{name}", "tiny")).json()
            schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
            fields = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
            assert set(fields.get("required", [])) <= set(answer) <= set(fields["properties"])


@pytest.mark.parametrize("path", [*PAGE_PATHS, "//", "/docs/", "/schema/", "/docs//"])
def test_page_and_its_assets_come_from_this_server(tiny_client: httpx.Client, path: str) -> None:
    address = tiny_client.base_url.copy_with(raw_path=path.encode())
    page = tiny_client.get(address, follow_redirects=True)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    links = re.findall(r'(?:href|src)="([^"]+)"', page.text)
    assert {"docs/page.css", "docs/page.js", "openapi.json"} <= set(links)
    for link in links:
        if not link.startswith("data:"):
            asset = tiny_client.get(page.url.join(link))
            assert asset.is_success
            assert asset.headers["content-type"].count("charset") <= 1


def test_a_slash_is_dropped_behind_any_proxy(tiny_client: httpx.Client) -> None:
    location = tiny_client.get("/docs/").headers["location"]
    assert httpx.URL("http://proxy/rerank/docs/").join(location).path == "/rerank/docs"


def test_page_names_no_other_host() -> None:
    for file in PAGES.iterdir():
        assert not re.search(r"(https?:)?//[\w.-]+\.\w+", file.read_text()), file
