"""A base URL with a version too many works, and the log says so once."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from ranklet.service.app import create_app
from ranklet.service.settings import Settings

BODY = json.dumps({"query": "moon", "documents": ["paris", "moon"]})


@pytest.fixture
def client(tiny_bundle: Path) -> Iterator[TestClient[Any]]:
    with TestClient(create_app(Settings(models=(tiny_bundle,)))) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/v1/v1/rerank", "/v1/rerank"),
        ("/v1/v2/rerank", "/v2/rerank"),
        ("/v3/v1/rerank", "/v1/rerank"),
        ("/v1/v1/v1/rerank", "/v1/rerank"),
        ("/v1/v1/rerank/", "/v1/rerank"),
        ("/v1/v1/score", "/v1/score"),
    ],
)
def test_it_is_answered_as_without(client: TestClient[Any], path: str, wanted: str) -> None:
    expected = {"queries": "a", "documents": "b"} if "score" in path else json.loads(BODY)
    response = client.post(path, json=expected)
    assert response.status_code == 200, response.text
    assert set(response.json()) == set(client.post(wanted, json=expected).json())


def test_models_are_listed(client: TestClient[Any]) -> None:
    assert client.get("/v1/v1/models").json() == client.get("/v1/models").json()


def test_it_is_warned_of_once_a_path(
    client: TestClient[Any], caplog: pytest.LogCaptureFixture
) -> None:
    paths = ("/v1/v1/rerank", "/v1/v2/rerank", "/v1/v1/rerank", "/v1/v1/rerank/", "/v4/v1/rerank")
    with caplog.at_level(logging.WARNING, "ranklet.service.base_url"):
        for path in paths:
            client.post(path, content=BODY)
    messages = [r.getMessage() for r in caplog.records if r.name == "ranklet.service.base_url"]
    assert len(messages) == 2
    assert "/v1/v1/rerank" in messages[0]
    assert "leave /v1 out of its base URL" in messages[0]


@pytest.mark.parametrize("surplus", ["/v1" * 4, "/v1" * 20_000], ids=len)
def test_many_versions_are_no_mistake(
    client: TestClient[Any], caplog: pytest.LogCaptureFixture, surplus: str
) -> None:
    assert client.post(f"{surplus}/v1/rerank", content=BODY).status_code == 404
    assert surplus not in caplog.text


@pytest.mark.parametrize("path", ["/v1/v1/nothing", "/v1/rerank/v1/rerank", "/x/v1/rerank"])
def test_other_paths_are_not_guessed(client: TestClient[Any], path: str) -> None:
    assert client.post(path, content=BODY).status_code == 404
