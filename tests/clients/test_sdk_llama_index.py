"""LlamaIndex's postprocessors for Cohere and for Text Embeddings Inference."""
# The clients, and so their types, are in an environment of their own.
# pyright: basic, reportMissingImports=false

from typing import Any

import pytest
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.postprocessor.cohere_rerank import CohereRerank
from llama_index.postprocessor.tei_rerank import TextEmbeddingInference

MODEL = "jina-reranker-v1-base-en"


@pytest.fixture
def nodes(documents: list[str]) -> list[NodeWithScore]:
    """As retrieved, with scores of the first stage that have to be replaced."""
    return [
        NodeWithScore(node=TextNode(id_=str(index), text=text), score=-1.0)
        for index, text in enumerate(documents)
    ]


def pairs(nodes: Any) -> list[tuple[int, float]]:
    return [(int(node.node.id_), node.score) for node in nodes]


@pytest.mark.parametrize("path", ["", "/v1"])
def test_cohere(
    path: str,
    address: str,
    query: str,
    nodes: list[NodeWithScore],
    ranking: list[tuple[int, float]],
) -> None:
    postprocessor = CohereRerank(
        api_key="any", base_url=f"{address}{path}", model=MODEL, top_n=2, max_retries=1
    )
    assert pairs(postprocessor.postprocess_nodes(nodes, QueryBundle(query))) == ranking[:2]


def test_tei(
    address: str, query: str, nodes: list[NodeWithScore], ranking: list[tuple[int, float]]
) -> None:
    postprocessor = TextEmbeddingInference(base_url=address, top_n=3)
    assert pairs(postprocessor.postprocess_nodes(nodes, QueryBundle(query))) == ranking[:3]


def test_tei_with_a_key(
    keyed_address: str, query: str, nodes: list[NodeWithScore], ranking: list[tuple[int, float]]
) -> None:
    """The token goes into the header as it is, so it has to begin with "Bearer"."""
    postprocessor = TextEmbeddingInference(base_url=keyed_address, auth_token="Bearer secret")
    assert pairs(postprocessor.postprocess_nodes(nodes, QueryBundle(query))) == ranking
