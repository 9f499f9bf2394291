"""CORS: pages of other origins may call only where that is asked for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

StartServer = Callable[..., tuple[Any, httpx.Client]]

PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,x-client-name",
}
BODY = {"query": "a", "documents": ["b"]}


def allowed(response: httpx.Response) -> str | None:
    origin: str | None = response.headers.get("access-control-allow-origin")
    return origin


def preflight(client: httpx.Client, origin: str) -> httpx.Response:
    return client.options("/v1/rerank", headers={"Origin": origin, **PREFLIGHT})


def test_off_by_default(tiny_client: httpx.Client) -> None:
    assert allowed(preflight(tiny_client, "https://a.example")) is None
    headers = {"Origin": "https://a.example"}
    assert allowed(tiny_client.post("/v1/rerank", json=BODY, headers=headers)) is None


@pytest.fixture
def client(start_server: StartServer, tiny_bundle: Path) -> httpx.Client:
    words = ("--model", tiny_bundle, "--cors-origins", "https://a.example, http://localhost:3000")
    return start_server(*words, environment={"RANKLET_API_KEYS": "sesame"})[1]


def test_a_named_origin_may_call_and_keys_still_count(client: httpx.Client) -> None:
    for origin in ("https://a.example", "http://localhost:3000"):
        response = preflight(client, origin)
        assert response.status_code == 204
        assert allowed(response) == origin
        assert "POST" in response.headers["access-control-allow-methods"]
        headers = response.headers["access-control-allow-headers"].lower()
        assert {"authorization", "x-client-name"} <= set(headers.split(", "))
        refused = client.post("/v1/rerank", json=BODY, headers={"Origin": origin})
        assert refused.status_code == 401
        assert allowed(refused) == origin  # so that the page can read why
        keyed = {"Origin": origin, "Authorization": "Bearer sesame"}
        answer = client.post("/v1/rerank", json=BODY, headers=keyed)
        assert answer.status_code == 200
        assert allowed(answer) == origin
        assert "X-Request-ID" in answer.headers["access-control-expose-headers"]


def test_other_origins_may_not(client: httpx.Client) -> None:
    for origin in ("https://b.example", "https://a.example.b.example", "null"):
        response = preflight(client, origin)
        assert response.status_code == 400
        assert allowed(response) is None
        keyed = {"Origin": origin, "Authorization": "Bearer sesame"}
        assert allowed(client.post("/v1/rerank", json=BODY, headers=keyed)) is None


def test_any_origin(start_server: StartServer, tiny_bundle: Path) -> None:
    _, client = start_server("--model", tiny_bundle, environment={"RANKLET_CORS_ORIGINS": "*"})
    assert allowed(preflight(client, "https://a.example")) == "*"
    headers = {"Origin": "https://a.example"}
    assert allowed(client.post("/v1/rerank", json=BODY, headers=headers)) == "*"
