"""Cohere's own client, in both versions, blocking and not."""
# The clients, and so their types, are in an environment of their own.
# pyright: basic, reportMissingImports=false

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cohere
import httpx
import pytest
from cohere.errors import (
    NotFoundError,
    TooManyRequestsError,
    UnauthorizedError,
    UnprocessableEntityError,
)

MODEL = "jina-reranker-v1-base-en"

ONCE = {"max_retries": 0}
"""The client repeats what may pass; an error that is looked for need not be waited for."""


def pairs(answer: Any) -> list[tuple[int, float]]:
    return [(result.index, result.relevance_score) for result in answer.results]


@pytest.fixture(params=["", "/v1"], ids=["root", "v1"])
def base_url(request: pytest.FixtureRequest, address: str) -> str:
    """Both addresses that people write; the client puts v1 or v2 behind either."""
    return f"{address}{request.param}"


@pytest.mark.parametrize("client_class", [cohere.Client, cohere.ClientV2])
def test_both_versions(
    client_class: Any,
    base_url: str,
    query: str,
    documents: list[str],
    ranking: list[tuple[int, float]],
) -> None:
    client = client_class(api_key="any", base_url=base_url)
    answer = client.rerank(model=MODEL, query=query, documents=documents, top_n=3)
    assert pairs(answer) == ranking[:3]
    assert answer.id
    assert answer.meta.billed_units.search_units == 1
    assert answer.meta.tokens.input_tokens > len(documents)


@pytest.mark.parametrize("client_class", [cohere.AsyncClient, cohere.AsyncClientV2])
def test_both_versions_without_blocking(
    client_class: Any,
    base_url: str,
    query: str,
    documents: list[str],
    ranking: list[tuple[int, float]],
) -> None:
    async def ask() -> list[Any]:
        async with client_class(api_key="any", base_url=base_url) as client:
            call = client.rerank
            calls = (call(model=MODEL, query=query, documents=documents) for _ in range(3))
            return await asyncio.gather(*calls)

    for answer in asyncio.run(ask()):
        assert pairs(answer) == ranking


def test_none_counts_as_absent(
    address: str, query: str, documents: list[str], ranking: list[tuple[int, float]]
) -> None:
    """The client sends an argument that is None as null."""
    first = cohere.Client(api_key="any", base_url=address)
    answer = first.rerank(
        query=query,
        documents=documents,
        model=None,
        top_n=None,
        rank_fields=None,
        return_documents=None,
        max_chunks_per_doc=None,
    )
    assert pairs(answer) == ranking
    second = cohere.ClientV2(api_key="any", base_url=address)
    answer = second.rerank(
        model=MODEL, query=query, documents=documents, top_n=None, max_tokens_per_doc=None
    )
    assert pairs(answer) == ranking


def test_documents_with_fields(
    address: str, query: str, documents: list[str], ranking: list[tuple[int, float]]
) -> None:
    client = cohere.Client(api_key="any", base_url=address)
    items = [{"text": text, "sku": f"item {index}"} for index, text in enumerate(documents)]
    answer = client.rerank(query=query, documents=items, return_documents=True)
    assert pairs(answer) == ranking
    for result in answer.results:
        assert result.document.text == documents[result.index]
        assert result.document.sku == f"item {result.index}"


def test_rank_fields(
    address: str, query: str, documents: list[str], ranking: list[tuple[int, float]]
) -> None:
    client = cohere.Client(api_key="any", base_url=address)
    items = [{"text": "the same for all", "title": text} for text in documents]
    answer = client.rerank(query=query, documents=items, rank_fields=["title"], top_n=2)
    assert pairs(answer) == ranking[:2]


def test_a_key(
    keyed_address: str, query: str, documents: list[str], ranking: list[tuple[int, float]]
) -> None:
    with pytest.raises(UnauthorizedError) as caught:
        cohere.ClientV2(api_key="wrong", base_url=keyed_address).rerank(
            model="ranklet-mini", query=query, documents=documents
        )
    assert "wrong" not in str(caught.value.body)
    client = cohere.ClientV2(api_key="secret", base_url=keyed_address)
    answer = client.rerank(model="ranklet-mini", query=query, documents=documents)
    assert pairs(answer) == ranking


@pytest.mark.parametrize("client_class", [cohere.Client, cohere.ClientV2])
def test_errors_have_their_types(client_class: Any, address: str) -> None:
    client = client_class(api_key="any", base_url=address)
    with pytest.raises(UnprocessableEntityError) as wrong_value:
        client.rerank(model=MODEL, query="q", documents=["a"], top_n=0)
    assert "top_n" in wrong_value.value.body["message"]
    with pytest.raises(NotFoundError) as unknown_model:
        client.rerank(model="rerank-v3.5", query="q", documents=["a"])
    assert MODEL in unknown_model.value.body["message"]


def test_a_full_queue(bundle: Path, serve: Callable[..., str]) -> None:
    words = ["--max-documents", 400, "--max-queued-pairs", 400, "--workers", 1]
    address = serve("--model", bundle, *words)
    client = cohere.ClientV2(api_key="any", base_url=address)
    body = {"query": "which word is it", "documents": [f"word {n} " * 300 for n in range(400)]}

    def fill() -> None:  # again where one of the small requests was there first
        while httpx.post(f"{address}/v1/rerank", json=body, timeout=120).status_code == 429:
            pass

    filling = threading.Thread(target=fill)

    def ask_meanwhile() -> None:
        while filling.is_alive():
            client.rerank(model="ranklet-mini", query="q", documents=["a"], request_options=ONCE)

    filling.start()
    with pytest.raises(TooManyRequestsError) as caught:
        ask_meanwhile()
    assert int(caught.value.headers["retry-after"]) >= 1
    filling.join()
