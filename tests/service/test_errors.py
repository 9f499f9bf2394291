"""Every error: its status, and a body that every client understands."""

import asyncio
import gzip
import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar.testing import RequestFactory

from ranklet.runtime import errors as runtime_errors
from ranklet.runtime.errors import (
    ArchiveError,
    BundleFileMissingError,
    BundleFileUnreadableError,
    ChecksumError,
    ClosedError,
    InputError,
    InvalidManifestError,
    OutputError,
    OverloadedError,
    ProviderError,
    RankletError,
    SchemaVersionError,
    ScoringError,
    VariantError,
)
from ranklet.service import errors as service_errors
from ranklet.service.answers import answer_ranklet_error
from ranklet.service.app import create_app
from ranklet.service.errors import (
    AddressError,
    BodiesFullError,
    BodyTooSlowError,
    BundleRebuiltError,
    ClientGoneError,
    EmptyRequestError,
    FieldError,
    MalformedBodyError,
    ModelConfigError,
    ModelLoadError,
    ModelNotInstalledError,
    NotReadyError,
    QueueFullError,
    ReloadError,
    SettingsError,
    TooLargeError,
    UnauthorizedError,
    UnknownModelError,
)
from ranklet.service.settings import Settings

Post = Callable[[object], httpx.Response]


def check_error(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Check what every error has and give its ``error``."""
    assert response.status_code == status, response.text
    body: dict[str, Any] = response.json()
    assert set(body) == {"error", "detail", "message"}
    error: dict[str, Any] = body["error"]
    assert set(error) - {"param"} == {"message", "type", "code"}
    assert error["message"] == body["detail"] == body["message"]
    assert error["code"] == code
    assert None not in error.values()
    return error


NOT_JSON = [
    b"",
    b"{",
    b"query=a",
    b'{"query": "a", "documents": ["b"],}',
    b'{"query": "\xff", "documents": ["b"]}',
    b'{"query": "\xed\xa0\x80", "documents": ["b"]}',
    b'{"query": "a", "documents": [{"text": "b", "x": "\xff"}]}',
    b'{"query": "a", "documents": ["b"], "x": ' + b"[" * 100_000,
    '{"query": "a", "documents": ["b"]}'.encode("utf-16"),
]


@pytest.mark.parametrize("content", NOT_JSON, ids=range(len(NOT_JSON)))
def test_what_is_not_json_or_not_utf8_is_400(post: Post, content: bytes) -> None:
    check_error(post(content), 400, "malformed_body")


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ([], None, "an object"),
        ({"documents": ["b"]}, "query", "required"),
        ({"query": "a"}, "documents", "required"),
        ({"query": None, "documents": ["b"]}, "query", "a string"),
        ({"query": 1, "documents": ["b"]}, "query", "a string"),
        ({"query": "a", "documents": 5}, "documents", "an array"),
        ({"query": "a", "documents": ["b", 2]}, "documents[1]", "a string or an object"),
        ({"query": "a", "documents": ["b", None]}, "documents[1]", "a string or an object"),
        ({"query": "a", "documents": [{"title": "b"}]}, "documents[0].text", '"text"'),
        ({"query": "a", "documents": [{"text": None}]}, "documents[0].text", '"text"'),
        ({"query": "a", "documents": ["b"], "top_n": 0}, "top_n", ">= 1"),
        ({"query": "a", "documents": ["b"], "top_n": -1}, "top_n", ">= 1"),
        ({"query": "a", "documents": ["b"], "top_n": 1.5}, "top_n", "an integer"),
        ({"query": "a", "documents": ["b"], "top_n": True}, "top_n", "an integer"),
        ({"query": "a", "documents": ["b"], "return_documents": "x"}, "return_documents", "'x'"),
        ({"query": "a", "documents": ["b"], "model": 5}, "model", "a string"),
    ],
)
def test_a_wrong_value_is_422_and_named(
    post: Post, body: object, field: str | None, words: str
) -> None:
    error = check_error(post(body), 422, "invalid_value")
    assert error.get("param") == field
    assert words in error["message"]
    assert (field or "the body") in error["message"]


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/rerank", "query and documents"),
        ("/v2/rerank", "query and documents"),
        ("/", "query and texts"),
        ("/v1/score", "text_1 and text_2"),
    ],
)
@pytest.mark.parametrize("content", [b"", b" \n"])
def test_an_empty_body_is_called_empty(
    tiny_client: httpx.Client, path: str, fields: str, content: bytes
) -> None:
    response = tiny_client.post(path, content=content)
    assert response.status_code == 400
    assert f"the body is empty; send a JSON object with {fields}" in response.text


def test_a_compressed_body_is_to_be_sent_uncompressed(tiny_client: httpx.Client) -> None:
    content = json.dumps({"query": "a", "documents": ["b"]}).encode()
    headers = {"Content-Encoding": "gzip"}
    response = tiny_client.post("/v1/rerank", content=gzip.compress(content), headers=headers)
    error = check_error(response, 400, "malformed_body")
    assert "Content-Encoding: gzip; send it uncompressed" in error["message"]
    proxied = tiny_client.post("/v1/rerank", content=content, headers=headers)
    assert proxied.status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "choices"),
    [
        ("/v1/rerank", {"documents": ["b"], "return_documents": "yes"}, "true or false"),
        ("/rerank", {"texts": ["b"], "truncate": "maybe"}, "true or false"),
        ("/v1/rerank", {"documents": ["b"], "truncation_side": "Left"}, "'left' or 'right'"),
        (
            "/rerank",
            {"texts": ["b"], "truncation_direction": "Up"},
            "'Left' or 'Right' or 'left' or 'right'",
        ),
    ],
)
def test_the_values_are_listed_where_there_are_few(
    tiny_client: httpx.Client, path: str, body: dict[str, object], choices: str
) -> None:
    response = tiny_client.post(path, json={"query": "a", **body})
    assert response.status_code == 422
    assert f"; send {choices}" in response.text


@pytest.mark.parametrize(
    ("body", "numbers"),
    [
        ({"query": "a", "documents": ["b"] * 1001}, ("1,001", "1,000")),
        ({"query": "a", "documents": ["b", "c" * 20_001]}, ("20,001", "documents[1]")),
        ({"query": "c" * 20_001, "documents": ["b"]}, ("20,001", "query")),
        ({"query": "a", "documents": ["c" * 20_000] * 51}, ("1,020,001", "1,000,000")),
        ({"query": "a", "documents": ["b"], "x": "y" * 2_000_000}, ("2,000,000", "bytes")),
    ],
)
def test_what_is_too_large_is_413_with_both_numbers(
    post: Post, body: object, numbers: tuple[str, str]
) -> None:
    error = check_error(post(body), 413, "too_large")
    assert "RANKLET_MAX_" in error["message"]
    for number in numbers:
        assert number in error["message"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"documents": [{"x": 1}] * 1001}, "documents"),
        ({"documents": ["b"], "rank_fields": ["c"] * 1001}, "rank_fields"),
    ],
)
def test_a_list_that_is_too_long_is_not_read(
    post: Post, body: dict[str, object], field: str
) -> None:
    error = check_error(post({"query": "a", **body}), 413, "too_large")
    assert error["param"] == field
    assert f"{field}: 1,001, at most 1,000" in error["message"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"path": "/v1/rerank", "query": "a"}, "documents"),
        ({"path": "/score", "text_1": "a"}, "text_2"),
        ({"path": "/score", "text_2": "a"}, "text_1"),
    ],
)
def test_parts_of_one_message_are_as_many_as_documents(
    tiny_client: httpx.Client, body: dict[str, object], field: str
) -> None:
    """The queue holds as many pairs, so the message must name the limit that counts."""
    parts = [{"type": "text", "text": "b"}] * 1001
    path, others = str(body["path"]), {key: body[key] for key in body.keys() - {"path"}}
    others[field] = {"content": parts}
    if field == "text_1":  # as many of the one as of the other
        others["text_2"] = {"content": parts}
    error = check_error(tiny_client.post(path, json=others), 413, "too_large")
    assert error["param"] == field
    assert "1,001, at most 1,000" in error["message"]
    assert "RANKLET_MAX_DOCUMENTS" in error["message"]


@pytest.mark.parametrize("field", ["query", "documents", "documents[1]"])
def test_parts_that_take_long_to_read_are_refused(post: Post, field: str) -> None:
    parts: list[object] = [{"type": ""}] * 100_001
    message = {"content": parts}
    name, is_listed, _ = field.partition("[")
    body = {"query": "a", "documents": "b", name: ["b", message] if is_listed else message}
    error = check_error(post(body), 422, "invalid_value")
    assert error["param"] == f"{field}.content"
    assert "more than 100,000 lists and objects; send it as a string" in error["message"]


def test_braces_in_a_text_are_no_parts(post: Post) -> None:
    document = {"content": [{"type": "text", "text": "{" * 150_000}]}
    error = check_error(post({"query": "a", "documents": [document]}), 413, "too_large")
    assert "characters in documents[0]" in error["message"]


def test_what_is_read_may_have_any_depth(post: Post) -> None:
    for depth in (10, *range(950, 1010), 100_000):
        nested = b"[" * depth + b"]" * depth
        body = b'{"query": "a", "documents": [{"n": %s}], "rank_fields": ["n"]}' % nested
        assert post(body).status_code in {200, 400}


@pytest.mark.parametrize("path", ["/v1/rerank", "/v1/reranking"])
def test_fields_that_take_long_to_read_are_refused(tiny_client: httpx.Client, path: str) -> None:
    """Counted over all documents: building so many lists would hold up everybody else."""

    def ask(*lists: int) -> httpx.Response:
        documents = b",".join(b'{"n": [0%s]}' % (b",[]" * count) for count in lists)
        body = b'{"query": "a", "rank_fields": ["x", "n"], "documents": ["b", %s]}'
        if path == "/v1/reranking":
            body = body.replace(b"documents", b"input")
        return tiny_client.post(path, content=body % documents)

    for lists in ((99_999,), (49_999, 49_999)):  # which are read, and are too long a text
        assert "characters in" in check_error(ask(*lists), 413, "too_large")["message"]
    for lists in ((100_000,), (49_999, 50_000)):
        error = check_error(ask(*lists), 422, "invalid_value")
        field = "input" if path == "/v1/reranking" else "documents"
        assert error["param"] == f"{field}[{len(lists)}].n"
        assert f"{field}[{len(lists)}].n: with this" in error["message"]
        assert "100,000" in error["message"]
        assert "as a string" in error["message"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"model": "\n" * 500_000}, ["no model is called '", "there are: tiny, absent"]),
        ({"documents": [{"\n" * 500_000: 1}]}, ["documents[0].text: what is ranked"]),
        ({"documents": [{"content": [{"type": "\n" * 500_000}]}]}, ["reads text, not"]),
        (
            {"documents": [{"\n" * 9_999: [{"a": 1}] * 100_000}], "rank_fields": ["\n" * 9_999]},
            ["documents[0].\n"],
        ),
        ({"truncation_side": "\n" * 500_000}, ["truncation_side: invalid"]),
    ],
)
def test_what_was_sent_is_not_quoted_at_any_length(
    post: Post, body: dict[str, object], words: list[str]
) -> None:
    response = post({"query": "a", "documents": ["b"], **body})
    assert len(response.content) < 10_000
    for word in words:
        assert word in response.json()["message"]


def test_a_path_is_not_quoted_at_any_length(tiny_client: httpx.Client) -> None:
    response = tiny_client.get("/" + "x" * 20_000)
    check_error(response, 404, "route_not_found")
    assert len(response.content) < 10_000


def test_errors_before_the_body_is_read_have_the_shape_of_the_path(
    start_server: Callable[..., tuple[object, httpx.Client]], tiny_bundle: Path
) -> None:
    environment = {"RANKLET_API_KEYS": "sesame"}
    _, client = start_server("--model", tiny_bundle, environment=environment)
    for path in ("/", "/invocations"):
        response = client.post(path, json={"query": "a", "texts": ["b"]})
        assert response.status_code == 401
        assert response.json().keys() == {"error", "error_type"}
    check_error(client.post("/v1/rerank"), 401, "invalid_api_key")


def test_a_body_of_unknown_length_is_read_up_to_the_limit(tiny_client: httpx.Client) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(100_000):
            sent += 65_536
            yield b" " * 65_536

    try:
        response = tiny_client.post("/v1/rerank", content=endless())
    except httpx.TransportError:  # the server may close while we write: it read enough
        pass
    else:
        check_error(response, 413, "too_large")
    assert sent < 50_000_000


def test_a_client_that_asks_before_sending_is_told_at_once(tiny_client: httpx.Client) -> None:
    address = (tiny_client.base_url.host, tiny_client.base_url.port or 80)
    head = "POST /v1/rerank HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n"
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall((head + "Expect: 100-continue\r\n\r\n").encode())
        assert connection.recv(65_536).startswith(b"HTTP/1.1 413 ")


def test_an_unknown_model_is_404_and_the_known_are_listed(post: Post) -> None:
    body = {"model": "nobody", "query": "a", "documents": ["b"]}
    error = check_error(post(body), 404, "model_not_found")
    assert error["param"] == "model"
    assert "'nobody'" in error["message"]
    assert "tiny" in error["message"]
    assert "absent" in error["message"]


def test_a_model_that_is_not_installed_is_503_with_the_command(post: Post) -> None:
    response = post({"model": "absent", "query": "a", "documents": ["b"]})
    error = check_error(response, 503, "model_not_installed")
    command = (
        "ranklet export flashrank:ms-marco-MiniLM-L-12-v2 "
        "--output models/built/ms-marco-MiniLM-L-12-v2"
    )
    assert command in error["message"]
    assert "retry-after" not in response.headers


def test_an_unknown_route_is_404(tiny_client: httpx.Client) -> None:
    check_error(tiny_client.get("/v3/nothing"), 404, "route_not_found")


def test_a_wrong_method_is_405(tiny_client: httpx.Client) -> None:
    response = tiny_client.get("/v1/rerank")
    check_error(response, 405, "method_not_allowed")
    assert "POST" in response.headers["allow"]


def test_a_full_queue_is_429(post: Post) -> None:
    documents = [f"{number} " + "skin care " * 90 for number in range(1000)]
    body = {"query": "skin", "documents": documents, "return_documents": False}
    with ThreadPoolExecutor(4) as pool:  # each fills the queue, so one of them has to wait
        responses = list(pool.map(post, [body] * 4))
    refused = [response for response in responses if response.status_code != 200]
    assert 0 < len(refused) < 4
    for response in refused:
        error = check_error(response, 429, "queue_full")
        assert 1 <= int(response.headers["retry-after"]) <= 60
        assert "1,000" in error["message"]


def test_readiness_is_503_until_models_are_loaded(tiny_bundle: Path) -> None:
    """Without its lifespan the application loads no model by itself."""
    app = create_app(Settings(models=(tiny_bundle,)))

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]  # Litestar types scopes closer
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return [
                await client.get("/readyz"),
                await client.get("/healthz"),
            ]

    readiness, health = asyncio.run(ask())
    check_error(readiness, 503, "model_loading")
    assert readiness.headers["retry-after"] == "1"
    assert health.status_code == 200


def test_an_unknown_exception_is_500_and_says_nothing_of_it(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        message = "secret detail"
        raise ValueError(message)

    monkeypatch.setattr("ranklet.service.routes.check_size", fail)
    app = create_app(Settings(models=(tiny_bundle,)))

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]  # as above
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return await client.post("/v1/rerank", json={"query": "a", "documents": ["b"]})

    response = asyncio.run(ask())
    check_error(response, 500, "internal_error")
    assert "secret" not in response.text
    assert "secret detail" in caplog.text


LEAVES: list[tuple[RankletError, int]] = [
    (MalformedBodyError("x"), 400),
    (EmptyRequestError(field="x"), 400),
    (ArchiveError(Path("x"), "y"), 500),
    (OutputError(Path("x"), "y"), 500),
    (UnauthorizedError(was_sent=False), 401),
    (UnknownModelError("x", known=["y"]), 404),
    (TooLargeError(what="bytes", found=2, limit=1, setting="X"), 413),
    (BodyTooSlowError(1), 408),
    (FieldError("x", field="top_n"), 422),
    (InputError("x"), 422),
    (OverloadedError("x"), 429),
    (QueueFullError(what="pairs", wanted=1, waiting=2, limit=2, setting="X"), 429),
    (BodiesFullError(2, limit=1), 429),
    (ClientGoneError(), 499),
    (ScoringError("x"), 500),
    (BundleFileMissingError(Path("x"), hint="y"), 500),
    (BundleFileUnreadableError(Path("x"), OSError(5, "y")), 500),
    (ChecksumError(Path("x"), expected="1", found="2"), 500),
    (SchemaVersionError(Path("x"), found=2, supported=1), 500),
    (InvalidManifestError("x"), 500),
    (VariantError("x"), 500),
    (ProviderError("x"), 500),
    (SettingsError(["x"]), 500),
    (ModelConfigError(["x", "y"]), 500),
    (AddressError("host", 1, reason="x"), 500),
    (ReloadError(["x"]), 409),
    (ModelLoadError(Path("x"), reason="y"), 503),
    (ModelNotInstalledError("x", bundle=Path("y"), command="z"), 503),
    (BundleRebuiltError(Path("x")), 500),
    (NotReadyError("x"), 503),
    (ClosedError("x"), 503),
]


@pytest.mark.parametrize(("error", "status"), LEAVES, ids=lambda value: type(value).__name__)
def test_status_of_every_error(error: RankletError, status: int) -> None:
    request = RequestFactory().post("/v1/rerank")
    response = answer_ranklet_error(request, error)
    assert response.status_code == status
    body = json.loads(response.content)
    assert body["message"] == str(error)
    assert ("Retry-After" in response.headers) is (type(error) in RETRIED)


RETRIED = (
    OverloadedError,
    QueueFullError,
    BodiesFullError,
    ModelLoadError,
    NotReadyError,
    ClosedError,
)


def test_no_error_is_forgotten_above() -> None:
    kinds = {
        kind
        for module in (runtime_errors, service_errors)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, RankletError)
    }
    bases = {base for kind in kinds for base in kind.__bases__}
    assert kinds - bases <= {type(error) for error, _ in LEAVES}
