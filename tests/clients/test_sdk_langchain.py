"""LangChain's document compressors for Cohere, LocalAI and Jina."""
# The clients, and so their types, are in an environment of their own.
# pyright: basic, reportMissingImports=false

import asyncio
from typing import Any

import httpx
import pytest
from langchain_cohere import CohereRerank
from langchain_community.document_compressors import JinaRerank, jina_rerank
from langchain_core.documents import Document
from langchain_localai import LocalAIRerank

MODEL = "jina-reranker-v1-base-en"


@pytest.fixture
def pages(documents: list[str]) -> list[Document]:
    return [Document(text, metadata={"index": index}) for index, text in enumerate(documents)]


@pytest.fixture
def jina_api_url(address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Jina's compressor has its address in its module, which is the one place to change it."""
    url = f"{address}/v1/rerank"
    monkeypatch.setattr(jina_rerank, "JINA_API_URL", url)
    return url


def pairs(pages: Any) -> list[tuple[int, float]]:
    return [(page.metadata["index"], page.metadata["relevance_score"]) for page in pages]


def test_cohere(
    address: str, query: str, pages: list[Document], ranking: list[tuple[int, float]]
) -> None:
    compressor = CohereRerank(base_url=address, cohere_api_key="any", model=MODEL, top_n=2)
    assert pairs(compressor.compress_documents(pages, query)) == ranking[:2]
    everything = compressor.rerank(pages, query, top_n=None)
    assert [(result["index"], result["relevance_score"]) for result in everything] == ranking


def test_cohere_with_fields(
    address: str, query: str, documents: list[str], ranking: list[tuple[int, float]]
) -> None:
    """The compressor writes documents with fields as YAML and sends that as text."""
    compressor = CohereRerank(base_url=address, cohere_api_key="any", model=MODEL, top_n=1)
    items = [{"title": text, "stock": index} for index, text in enumerate(documents)]
    [best] = compressor.rerank(items, query, rank_fields=["title"])
    assert best["index"] == ranking[0][0]
    assert 0 < best["relevance_score"] < 1


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/"])
def test_localai(
    path: str,
    address: str,
    query: str,
    pages: list[Document],
    ranking: list[tuple[int, float]],
) -> None:
    compressor = LocalAIRerank(openai_api_base=f"{address}{path}", openai_api_key="any")
    assert pairs(compressor.compress_documents(pages, query)) == ranking[:3]
    compressor.close()


def test_localai_without_blocking(
    address: str, query: str, pages: list[Document], ranking: list[tuple[int, float]]
) -> None:
    async def ask() -> list[tuple[int, float]]:
        compressor = LocalAIRerank(openai_api_base=address, openai_api_key="any", top_n=None)
        found = pairs(await compressor.acompress_documents(pages, query))
        await compressor.aclose()
        return found

    assert asyncio.run(ask()) == ranking


def test_localai_learns_why(address: str, pages: list[Document]) -> None:
    compressor = LocalAIRerank(openai_api_base=address, openai_api_key="any", model="unknown")
    with pytest.raises(httpx.HTTPStatusError) as caught:
        compressor.compress_documents(pages, "a query")
    assert caught.value.response.status_code == 404
    assert MODEL in caught.value.response.json()["detail"]
    compressor.close()


@pytest.mark.usefixtures("jina_api_url")
def test_jina(query: str, pages: list[Document], ranking: list[tuple[int, float]]) -> None:
    compressor = JinaRerank(jina_api_key="any", model=MODEL)
    assert pairs(compressor.compress_documents(pages, query)) == ranking[:3]
    everything = compressor.rerank(pages, query, top_n=None)
    assert [(result["index"], result["relevance_score"]) for result in everything] == ranking
    compressor.session.close()


@pytest.mark.usefixtures("jina_api_url")
def test_jina_learns_why(pages: list[Document]) -> None:
    compressor = JinaRerank(jina_api_key="any", model="unknown")
    with pytest.raises(RuntimeError, match=MODEL):  # a KeyError where an answer has no "detail"
        compressor.compress_documents(pages, "a query")
    compressor.session.close()
