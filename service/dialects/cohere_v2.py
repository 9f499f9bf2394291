"""``/v2/rerank`` as Cohere's clients know it: no documents in the answer, unless asked for."""

import msgspec

from .. import wire  # noqa: TID252 - relative inside the package
from ..dialect import Dialect  # noqa: TID252 - the same
from ..rerank import RerankRequest, RerankResult  # noqa: TID252 - the same
from . import rerank_v1
from .rerank_v1 import RerankBody, Result


class CohereAnswer(msgspec.Struct):
    """The ranking, best first."""

    id: str
    results: list[Result]
    meta: wire.RerankMeta


def _read(body: RerankBody) -> RerankRequest:
    """Heed what Cohere's API of this version has not: its clients and those of vLLM send it."""
    return rerank_v1.read(body, returns_documents=False)


def _write(body: RerankBody, request: RerankRequest, result: RerankResult) -> CohereAnswer:
    results = rerank_v1.results(body, request, result)
    return CohereAnswer(result.id, results, wire.rerank_meta(result, version="2"))


DIALECT = Dialect(
    name="Cohere v2",
    documents_field="documents",
    paths=("/v2/rerank",),
    body=RerankBody,
    answer=CohereAnswer,
    read=_read,
    write=_write,
    summary="Rank documents for a query, as Cohere v2",
    description=(
        "Understands what Cohere's clients of the second version send, and all that /v1/rerank "
        "does. Results hold their document only where return_documents is true; the model may be "
        "left out; priority is ignored, all requests take turns."
    ),
    example={
        "query": "What is the capital of the United States?",
        "documents": [
            "Carson City is the capital city of the American state of Nevada.",
            "Washington, D.C. is the capital of the United States.",
        ],
        "top_n": 1,
    },
)
