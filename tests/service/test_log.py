"""The log: a line a request, with what operators need and nothing that callers wrote."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

StartServer = Callable[..., tuple[Any, httpx.Client]]
Eventually = Callable[[Callable[[], bool]], None]

QUESTION = "what is a zeppelin made of"
BODY = {"query": QUESTION, "documents": ["aluminium and zeal", "zinc", "zinc"], "model": "tiny"}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "server.log"


@pytest.fixture
def client(start_server: StartServer, tiny_bundle: Path, log: Path) -> httpx.Client:
    return start_server("--model", tiny_bundle, "--log-format", "json", log=log)[1]


def lines(log: Path) -> list[dict[str, Any]]:
    """Give what is told of requests."""
    told = [json.loads(line) for line in log.read_text().splitlines()]
    return [line for line in told if line["logger"] == "ranklet.service.request_log"]


def test_a_line_tells_a_request(client: httpx.Client, log: Path, eventually: Eventually) -> None:
    response = client.post("/v1/rerank", json=BODY, headers={"X-Request-ID": "a-1"})
    eventually(lambda: len(lines(log)) == 1)
    [line] = lines(log)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line.pop("time"))
    assert line.pop("logger") == "ranklet.service.request_log"
    times = [line.pop(f"{stage}_ms") for stage in ("queue", "tokenize", "score", "total")]
    assert all(milliseconds >= 0 for milliseconds in times)
    assert line == {
        "level": "info",
        "id": "a-1",
        "route": "/v1/rerank",
        "status": 200,
        "model": "tiny",
        "documents": 3,
        "characters": len(QUESTION) + 26,
        "tokens": response.json()["usage"]["total_tokens"],
        "pairs": 2,  # one comes twice
        "cut": 0,
        "cached": 0,
    }


def test_no_text_of_a_caller_is_logged(
    start_server: StartServer, tiny_bundle: Path, log: Path, eventually: Eventually
) -> None:
    """Whatever goes wrong, on the most talkative level, in both formats."""
    for form in ("json", "plain"):
        words = ("--model", tiny_bundle, "--log-level", "debug", "--log-format", form)
        _, client = start_server(*words, "--max-document-chars", "50", log=log)
        client.post("/v1/rerank", json=BODY)
        client.post("/v1/rerank", json={**BODY, "model": "zeppelin"})
        client.post("/v1/rerank", json={**BODY, "query": "zeppelin " * 9})
        client.post("/v1/rerank", json={**BODY, "top_n": "zeppelin"})
        client.post("/v1/rerank", content=b'{"query": "zeppelin')
        client.get("/zeppelin?zeppelin")
        client.get("/healthz", headers={"X-Request-ID": "zeppelin of lead", "cookie": "zeppelin"})
        client.get("/healthz", headers={"X-Request-ID": "last"})
        eventually(lambda: "last" in log.read_text())
        text = log.read_text()
        for status in (200, 404, 413, 422, 400):
            assert re.search(rf'status"?[:=]{status}\b', text), status
        for word in ("zeppelin", "aluminium", "zinc"):
            assert word not in text


def test_health_checks_are_quiet(client: httpx.Client, log: Path, eventually: Eventually) -> None:
    for path in ("/healthz", "/readyz", "/version", "/metrics"):
        assert client.get(path).status_code == 200
    client.get("/v1/models")
    eventually(lambda: bool(lines(log)))
    assert [line["route"] for line in lines(log)] == ["/v1/models"]


def test_a_plain_line(
    start_server: StartServer, tiny_bundle: Path, log: Path, eventually: Eventually
) -> None:
    _, client = start_server("--model", tiny_bundle, log=log)
    client.get("/v1/models", headers={"X-Request-ID": "b/2"})
    client.get("/absent%0A")
    eventually(lambda: len(log.read_text().splitlines()) == 2)
    first, second = log.read_text().splitlines()
    pattern = r".+ INFO ranklet\.service\.request_log: id=b/2 route=/v1/models status=200 "
    assert re.fullmatch(pattern + r"total_ms=[\d.]+", first)
    assert " route=unmatched status=404 " in second


@pytest.mark.parametrize("sent", ["a", "trace:1/2_3.4-5@x=y+z~", "x" * 128])
def test_an_id_of_the_callers_is_used(tiny_client: httpx.Client, sent: str) -> None:
    response = tiny_client.post("/v1/rerank", json=BODY, headers={"X-Request-ID": sent})
    assert response.headers["x-request-id"] == response.json()["id"] == sent


@pytest.mark.parametrize("sent", ["", "x" * 129, "a b", "a\tb", 'a"b', "a\xe9", "a,b", "a%0ab"])
def test_other_ids_are_replaced(tiny_client: httpx.Client, sent: str) -> None:
    headers = [(b"X-Request-ID", sent.encode("latin-1"))]
    ids = {
        tiny_client.post("/v1/rerank", json=BODY, headers=headers).headers["x-request-id"]
        for _ in range(2)
    }
    assert len(ids) == 2
    assert all(re.fullmatch(r"[0-9a-f]{32}", made) for made in ids)


def test_errors_have_an_id_too(tiny_client: httpx.Client) -> None:
    for response in (tiny_client.get("/absent"), tiny_client.post("/v1/rerank", content=b"{")):
        assert response.status_code in {400, 404}
        assert len(response.headers["x-request-id"]) == 32
