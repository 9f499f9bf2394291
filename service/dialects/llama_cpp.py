"""``/reranking`` as llama.cpp's server has it: as ``/v1/rerank``, without the documents."""

from dataclasses import replace

from ..rerank import RerankRequest, RerankResult  # noqa: TID252 - relative inside the package
from . import rerank_v1
from .rerank_v1 import RerankAnswer, RerankBody


def _write(body: RerankBody, request: RerankRequest, result: RerankResult) -> RerankAnswer:
    return rerank_v1.write(body, request, result, returns_documents=False)


DIALECT = replace(
    rerank_v1.DIALECT,
    name="llama.cpp",
    paths=("/reranking", "/v1/reranking"),
    write=_write,
    description=(
        "As /v1/rerank, but results hold their document only where return_documents is true. "
        "Scores are probabilities, unless raw_scores is true."
    ),
)
