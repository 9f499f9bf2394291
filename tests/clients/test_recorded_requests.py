"""Requests as clients send them that are no Python packages, and what each reads of the answer.

Taken from the clients' sources; docs/clients.md names them and the settings that lead to these.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

MODEL = "jina-reranker-v1-base-en"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A request, and where its client looks for the ranking."""

    client: str
    path: str
    fields: dict[str, Any]
    """What the body holds beside the query and the documents."""
    documents_field: str = "documents"
    wrapper: str | None = None
    """How each document is sent: a string, or an object with it in "text" or "content"."""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    results_field: str | None = "results"
    """None where the answer itself is the list."""
    score_field: str = "relevance_score"

    def body(self, query: str, documents: list[str]) -> dict[str, Any]:
        wrapped: list[Any] = list(documents)
        if self.wrapper == "text":
            wrapped = [{"text": text} for text in documents]
        elif self.wrapper == "content":
            wrapped = [{"content": [{"type": "text", "text": text}]} for text in documents]
        return {"query": query, self.documents_field: wrapped, **self.fields}

    def read(self, answer: Any) -> list[tuple[int, float]]:
        results = answer if self.results_field is None else answer[self.results_field]
        return [(result["index"], result[self.score_field]) for result in results]


REQUESTS = [
    Recorded(
        client="Open WebUI",  # without a key, nothing follows the word "Bearer"
        path="/v1/rerank",
        fields={"model": MODEL, "top_n": 5},
        headers={"Authorization": "Bearer", "X-OpenWebUI-User-Name": "a user"},
    ),
    Recorded(
        client="Dify, OpenAI-API-compatible",
        path="/v1/rerank",
        fields={"model": MODEL, "top_n": 5, "return_documents": True},
        headers={"Authorization": ""},
    ),
    Recorded(
        client="Dify, OpenAI-API-compatible, multimodal",
        path="/v1/rerank",
        fields={"model": MODEL, "top_n": 5, "return_documents": True},
        wrapper="content",
    ),
    Recorded(
        client="Dify, Jina",
        path="/v1/rerank",
        fields={"model": MODEL, "top_n": None, "return_documents": False},
        wrapper="text",
    ),
    Recorded(client="RAGFlow, LocalAI", path="/rerank", fields={"model": MODEL, "top_n": 5}),
    Recorded(
        client="RAGFlow, Xinference",
        path="/v1/rerank",
        fields={"model": MODEL, "return_documents": "true", "return_len": "true"},
    ),
    Recorded(client="RAGFlow, Jina", path="/v1/rerank", fields={"model": MODEL, "top_n": 5}),
    Recorded(
        client="Continue, TEI",
        path="/rerank",
        fields={
            "return_text": False,
            "raw_scores": False,
            "truncation_direction": "Right",
            "truncate": True,
        },
        documents_field="texts",
        results_field=None,
        score_field="score",
    ),
    Recorded(client="NeuronAI, LocalAI", path="/v1/rerank", fields={"model": MODEL, "top_n": 3}),
    Recorded(
        client="NeuronAI, Jina",
        path="/v1/rerank",
        fields={"model": MODEL, "top_n": 3, "return_documents": False},
        wrapper="text",
    ),
    Recorded(client="n8n, Cohere", path="/v2/rerank", fields={"model": MODEL, "top_n": 3}),
    Recorded(
        client="Vercel AI SDK, Cohere",
        path="/v2/rerank",
        fields={"model": MODEL, "top_n": 2, "max_tokens_per_doc": 1000, "priority": 1},
    ),
    Recorded(
        client="Infinity",
        path="/rerank",
        fields={"return_documents": False, "raw_scores": False, "model": "default/not-specified"},
    ),
    Recorded(
        client="Voyage, JavaScript",  # nothing but what must be
        path="/v1/rerank",
        fields={"model": MODEL},
        results_field="data",
    ),
    Recorded(
        client="Atlas, Voyage",
        path="/v1/rerank",
        fields={"model": MODEL, "top_k": 3},
        results_field="data",
    ),
]


@pytest.mark.parametrize("recorded", REQUESTS, ids=lambda recorded: recorded.client)
def test_what_the_client_reads(
    recorded: Recorded,
    address: str,
    query: str,
    documents: list[str],
    ranking: list[tuple[int, float]],
) -> None:
    response = httpx.post(
        address + recorded.path, json=recorded.body(query, documents), headers=recorded.headers
    )
    assert response.status_code == 200, response.text
    wanted = recorded.fields.get("top_n") or recorded.fields.get("top_k")
    assert recorded.read(response.json()) == ranking[:wanted]


def test_dify_reads_the_text_of_documents(
    address: str, query: str, documents: list[str], ranking: list[tuple[int, float]]
) -> None:
    plain, multimodal = (recorded for recorded in REQUESTS if "compatible" in recorded.client)
    for recorded in (plain, multimodal):
        response = httpx.post(address + recorded.path, json=recorded.body(query, documents))
        texts = [result["document"]["text"] for result in response.json()["results"]]
        assert texts == [documents[index] for index, _ in ranking]


def test_infinity_reads_what_the_answer_is(address: str, query: str, documents: list[str]) -> None:
    [recorded] = (recorded for recorded in REQUESTS if recorded.client == "Infinity")
    body = recorded.body(query, documents)
    assert httpx.post(address + recorded.path, json=body).json()["object"] == "rerank"


def test_nvidias_clients_read_logits(
    address: str, query: str, documents: list[str], ranking: list[tuple[int, float]]
) -> None:
    body = {
        "model": MODEL,
        "query": {"text": query},
        "passages": [{"text": text} for text in documents],
        "truncate": "END",
    }
    found = httpx.post(f"{address}/v1/ranking", json=body).json()["rankings"]
    assert [ranked["index"] for ranked in found] == [index for index, _ in ranking]
    for ranked, (_, score) in zip(found, ranking, strict=True):
        assert 1 / (1 + math.exp(-ranked["logit"])) == pytest.approx(score, rel=1e-5)


def test_ragflow_counts_tokens(address: str, query: str, documents: list[str]) -> None:
    body = {"model": MODEL, "query": query, "documents": documents, "top_n": len(documents)}
    usage = httpx.post(f"{address}/v1/rerank", json=body).json()["usage"]
    assert usage["total_tokens"] > len(f"{query} {documents[0]}".split()) * len(documents)


def test_continue_asks_what_it_talks_to(address: str) -> None:
    info = httpx.get(f"{address}/info").json()
    assert info["model_id"]
    assert info["max_client_batch_size"] >= 32  # what it may send at once


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer secret"},
        {"x-api-key": "secret"},
        {"Authorization": "Bearer secret", "x-api-key": "secret"},
    ],
)
def test_where_clients_put_the_key(
    headers: dict[str, str],
    keyed_address: str,
    query: str,
    documents: list[str],
    ranking: list[tuple[int, float]],
) -> None:
    """Most send a bearer token, some the other header, Continue's Jina client sends both."""
    body = {"model": "ranklet-mini", "query": query, "documents": documents}
    url = f"{keyed_address}/v1/rerank"
    results = httpx.post(url, json=body, headers=headers).json()["results"]
    assert [(result["index"], result["relevance_score"]) for result in results] == ranking
    assert httpx.post(url, json=body).status_code == 401
