"""Haystack's ranker for Text Embeddings Inference, and the clients of Voyage and Mixedbread."""
# The clients, and so their types, are in an environment of their own.
# pyright: basic, reportMissingImports=false

import asyncio
from typing import Any

import mixedbread
import pytest
import voyageai
from haystack import Document
from haystack.utils import Secret
from haystack_integrations.components.rankers.huggingface_api import HuggingFaceTEIRanker
from haystack_integrations.components.rankers.huggingface_api.ranker import TruncationDirection

MODEL = "jina-reranker-v1-base-en"


def haystack_pairs(answer: dict[str, Any]) -> list[tuple[int, float]]:
    return [(int(document.id), document.score) for document in answer["documents"]]


@pytest.fixture
def pages(documents: list[str]) -> list[Document]:
    return [Document(id=str(index), content=text) for index, text in enumerate(documents)]


def test_haystack(
    address: str, query: str, pages: list[Document], ranking: list[tuple[int, float]]
) -> None:
    ranker = HuggingFaceTEIRanker(url=address, top_k=3, token=None)
    assert haystack_pairs(ranker.run(query, pages)) == ranking[:3]
    answer = ranker.run(query, pages, truncation_direction=TruncationDirection.LEFT)
    assert haystack_pairs(answer) == ranking[:3]
    answer = asyncio.run(ranker.run_async(query, pages))
    assert haystack_pairs(answer) == ranking[:3]


def test_haystack_with_a_key(
    keyed_address: str, query: str, pages: list[Document], ranking: list[tuple[int, float]]
) -> None:
    ranker = HuggingFaceTEIRanker(url=keyed_address, token=Secret.from_token("secret"))
    assert haystack_pairs(ranker.run(query, pages)) == ranking


def test_haystack_raw_scores(
    address: str, query: str, pages: list[Document], ranking: list[tuple[int, float]]
) -> None:
    ranker = HuggingFaceTEIRanker(url=address, raw_scores=True, token=None)
    found = haystack_pairs(ranker.run(query, pages))
    assert [index for index, _ in found] == [index for index, _ in ranking]
    assert min(score for _, score in found) < 0


def test_voyage(
    address: str, query: str, documents: list[str], ranking: list[tuple[int, float]]
) -> None:
    client = voyageai.Client(api_key="any", base_url=f"{address}/v1")
    answer = client.rerank(query, documents, model=MODEL, top_k=2)
    assert [(result.index, result.relevance_score) for result in answer.results] == ranking[:2]
    assert answer.results[0].document == documents[ranking[0][0]]
    assert answer.total_tokens > len(documents)


def test_voyage_without_blocking_or_top_k(
    address: str, query: str, documents: list[str], ranking: list[tuple[int, float]]
) -> None:
    client = voyageai.AsyncClient(api_key="any", base_url=f"{address}/v1")
    answer = asyncio.run(client.rerank(query, documents, model=MODEL))
    assert [(result.index, result.relevance_score) for result in answer.results] == ranking


@pytest.mark.parametrize("path", ["", "/v1"])
def test_mixedbread(
    path: str, address: str, query: str, documents: list[str], ranking: list[tuple[int, float]]
) -> None:
    with mixedbread.Mixedbread(api_key="any", base_url=f"{address}{path}") as client:
        answer = client.rerank(
            model=MODEL, query=query, input=documents, top_k=2, return_input=True
        )
    assert [(result.index, result.score) for result in answer.data] == ranking[:2]
    assert answer.data[0].input == documents[ranking[0][0]]
    assert answer.top_k == 2
    assert answer.usage.total_tokens > len(documents)


def test_mixedbread_errors_have_their_types(address: str) -> None:
    with mixedbread.Mixedbread(api_key="any", base_url=address) as client:
        with pytest.raises(mixedbread.NotFoundError):
            client.rerank(model="unknown", query="q", input=["a"])
        with pytest.raises(mixedbread.UnprocessableEntityError):
            client.rerank(model=MODEL, query="q", input=["a"], top_k=0)


def test_mixedbread_without_blocking(
    address: str, query: str, documents: list[str], ranking: list[tuple[int, float]]
) -> None:
    async def ask() -> Any:
        async with mixedbread.AsyncMixedbread(api_key="any", base_url=address) as client:
            return await client.rerank(model=MODEL, query=query, input=documents)

    answer = asyncio.run(ask())
    assert [(result.index, result.score) for result in answer.data] == ranking
