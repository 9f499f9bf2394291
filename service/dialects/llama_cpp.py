"""``/reranking`` as llama.cpp's server has it: as ``/v1/rerank``, without the documents."""

from dataclasses import replace

from ..rerank import RerankRequest  # noqa: TID252 - relative inside the package
from . import rerank_v1
from .rerank_v1 import RerankBody


def _read(body: RerankBody) -> RerankRequest:
    return rerank_v1.read(body, returns_documents=False)


DIALECT = replace(
    rerank_v1.DIALECT,
    name="llama.cpp",
    paths=("/reranking", "/v1/reranking"),
    read=_read,
    description=(
        "As /v1/rerank, but results hold their document only where return_documents is true. "
        "Scores are probabilities, unless raw_scores is true."
    ),
)
