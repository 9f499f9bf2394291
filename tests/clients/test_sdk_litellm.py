"""LiteLLM, which speaks to one server in the ways of many."""
# The clients, and so their types, are in an environment of their own.
# pyright: basic, reportMissingImports=false

import asyncio
from typing import Any

import litellm
import pytest

MODEL = "jina-reranker-v1-base-en"

PROVIDERS = [
    ("cohere", ""),
    ("cohere", "/v1/rerank"),
    ("cohere", "/v2/rerank"),
    ("cohere", "/v1"),
    ("jina_ai", ""),
    ("jina_ai", "/v1"),
    ("hosted_vllm", ""),
    ("hosted_vllm", "/v1"),
    ("huggingface", ""),
    ("voyage", ""),
    ("voyage", "/v1"),
]
"""How LiteLLM may be told to speak, and what people put behind the address."""


@pytest.fixture(params=PROVIDERS, ids="".join)
def options(request: pytest.FixtureRequest, address: str) -> dict[str, Any]:
    provider, path = request.param
    return {"model": f"{provider}/{MODEL}", "api_base": address + path, "api_key": "any"}


def pairs(answer: Any) -> list[tuple[int, float]]:
    return [(result["index"], result["relevance_score"]) for result in answer.results]


def test_rerank(
    options: dict[str, Any], query: str, documents: list[str], ranking: list[tuple[int, float]]
) -> None:
    answer = litellm.rerank(query=query, documents=documents, top_n=3, **options)
    assert pairs(answer)[:3] == ranking[:3]
    assert answer.id
    assert answer.meta


def test_rerank_without_blocking(
    options: dict[str, Any], query: str, documents: list[str], ranking: list[tuple[int, float]]
) -> None:
    answer = asyncio.run(litellm.arerank(query=query, documents=documents, **options))
    assert pairs(answer) == ranking


@pytest.mark.parametrize(
    ("provider", "path"),
    [
        ("cohere", "/v1/rerank"),
        ("cohere", "/v2/rerank"),
        ("jina_ai", ""),
        ("hosted_vllm", ""),
        ("huggingface", ""),
        ("voyage", ""),
    ],
)
def test_documents_come_back(
    provider: str, path: str, address: str, query: str, documents: list[str]
) -> None:
    answer = litellm.rerank(
        model=f"{provider}/{MODEL}",
        api_base=address + path,
        api_key="any",
        query=query,
        documents=documents,
        return_documents=True,
    )
    for result in answer.results:
        assert result["document"]["text"] == documents[result["index"]]


def test_infinity_without_documents(
    address: str, query: str, documents: list[str], ranking: list[tuple[int, float]]
) -> None:
    """Infinity gives documents as strings, everyone else as objects: so it cannot have them."""
    answer = litellm.rerank(
        model=f"infinity/{MODEL}",
        api_base=address,
        api_key="any",
        query=query,
        documents=documents,
        return_documents=False,
    )
    assert pairs(answer) == ranking


@pytest.mark.parametrize("provider", ["cohere", "jina_ai", "hosted_vllm"])
def test_long_documents(provider: str, address: str, query: str, documents: list[str]) -> None:
    answer = litellm.rerank(
        model=f"{provider}/{MODEL}",
        api_base=address,
        api_key="any",
        query=query,
        documents=[documents[0] * 500, documents[2] * 500],
    )
    assert [index for index, _ in pairs(answer)] == [1, 0]


def test_huggingface_refuses_long_documents(address: str, documents: list[str]) -> None:
    """It tells every server not to cut, and learns why that fails."""
    with pytest.raises(litellm.APIError, match=r"texts\[0\] is longer .* set truncate to true"):
        litellm.rerank(
            model=f"huggingface/{MODEL}",
            api_base=address,
            query="a query",
            documents=[documents[0] * 500],
        )
