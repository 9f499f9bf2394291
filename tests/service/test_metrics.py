"""Metrics: what Prometheus reads is what happened."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar.testing import TestClient
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.parser import text_string_to_metric_families

from ranklet.service.app import create_app
from ranklet.service.metrics import Metrics
from ranklet.service.observation import RequestRecord
from ranklet.service.settings import Settings

StartServer = Callable[..., tuple[Any, httpx.Client]]

BODY = {"query": "organic soap", "documents": ["soap", "mats", "soap"]}


def figures(text: str) -> dict[tuple[str, ...], float]:
    """Give the samples by their name and their labels' values."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def client(start_server: StartServer, tiny_bundle: Path) -> httpx.Client:
    return start_server("--model", tiny_bundle, "--score-cache", "100")[1]


def test_figures_tell_what_happened(client: httpx.Client) -> None:
    before = figures(client.get("/metrics").text)
    assert before["ranklet_models_loaded",] == 1
    assert before["ranklet_documents_total",] == 0
    tokens = 0
    for _ in range(3):
        tokens += client.post("/v1/rerank", json=BODY).json()["usage"]["total_tokens"]
    long = {"query": "soap " * 500, "documents": ["mats"]}
    tokens += client.post("/v1/rerank", json=long).json()["usage"]["total_tokens"]
    longer = {"query": "soap", "documents": ["mats " * 500, "mats"]}
    tokens += client.post("/v1/rerank", json=longer).json()["usage"]["total_tokens"]
    client.post("/v1/rerank", content=b"{")
    for path in ("/a", "/b", "/c"):
        client.get(path)
    response = client.get("/metrics")
    assert response.headers["content-type"] == CONTENT_TYPE_LATEST
    after = figures(response.text)
    assert after["ranklet_requests_total", "/v1/rerank", "200"] == 5
    assert after["ranklet_requests_total", "/v1/rerank", "400"] == 1
    assert after["ranklet_requests_total", "unmatched", "404"] == 3
    assert after["ranklet_documents_total",] == 12
    assert after["ranklet_pairs_total",] == 5  # soap, mats; mats with the long query; two with soap
    assert after["ranklet_cache_hits_total",] == 4
    assert after["ranklet_cache_misses_total",] == 5
    assert after["ranklet_tokens_total",] == tokens
    assert after["ranklet_query_cuts_total",] == after["ranklet_document_cuts_total",] == 1
    assert after["ranklet_queued_pairs",] == after["ranklet_queued_characters",] == 0
    for stage in ("queue", "tokenize", "score"):
        assert after["ranklet_stage_seconds_count", stage] == 5
        assert 0 < after["ranklet_stage_seconds_sum", stage] < 60
    assert after["ranklet_request_seconds_count",] == 5


def test_what_is_refused_is_no_success(client: httpx.Client) -> None:
    long = {"query": "soap", "documents": ["mats " * 500], "truncation": False}
    assert client.post("/v1/rerank", json=long).status_code == 422
    found = figures(client.get("/metrics").text)
    assert found["ranklet_requests_total", "/v1/rerank", "422"] == 1
    assert found["ranklet_request_seconds_count",] == found["ranklet_documents_total",] == 0
    assert found["ranklet_stage_seconds_count", "score"] == 0


def test_what_was_not_answered_has_no_status() -> None:
    metrics = Metrics(has_cache=False)
    metrics.observe(RequestRecord("a"))
    found = figures(generate_latest(metrics.registry).decode())
    assert not [labels for name, *labels in found if name == "ranklet_requests_total"]


def test_resident_memory(client: httpx.Client) -> None:
    found = figures(client.get("/metrics").text)
    if ("process_resident_memory_bytes",) not in found:
        pytest.skip("the client library measures processes on Linux alone")
    assert 20e6 < found["process_resident_memory_bytes",] < 2e9


def test_the_queue_is_seen_while_it_is_full(
    client: httpx.Client, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    documents = [f"{number} " + "skin care " * 200 for number in range(1000)]
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(
            client.post, "/v1/rerank", json={"query": "skin", "documents": documents}
        )

        def is_full() -> bool:
            found = figures(client.get("/metrics").text)
            return (
                found["ranklet_queued_pairs",] == 1000
                and found["ranklet_queued_characters",] == sum(map(len, documents)) + 4
            )

        eventually(is_full)
        assert answer.result().status_code == 200
    assert figures(client.get("/metrics").text)["ranklet_queued_pairs",] == 0


def test_applications_of_one_process_count_apart(tiny_bundle: Path) -> None:
    settings = Settings(models=(tiny_bundle,))
    first, second = TestClient(create_app(settings)), TestClient(create_app(settings))
    for _ in range(2):
        first.get("/healthz")
    second.get("/healthz")
    for client, expected in ((first, 2), (second, 1)):
        found = figures(client.get("/metrics").text)
        assert found["ranklet_requests_total", "/healthz", "200"] == expected
