"""``/v2/rerank`` as Cohere's clients know it: no documents in the answer."""

from typing import Annotated

import msgspec
from msgspec import Meta

from ranklet.runtime.tokenization import Cut

from .. import inputs, wire  # noqa: TID252 - relative inside the package
from ..dialect import Dialect  # noqa: TID252 - the same
from ..rerank import RerankRequest, RerankResult  # noqa: TID252 - the same


class CohereBody(msgspec.Struct, kw_only=True):
    """What to rank. Fields that are not listed, as priority, are ignored; null is absent."""

    query: wire.Query
    documents: wire.Documents
    model: wire.Model = None
    top_n: wire.TopN = None
    top_k: wire.TopK = None
    max_tokens_per_doc: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(
            description="Documents are cut to so many tokens, besides what the model's window "
            "asks for; 0 and absent cut nothing more."
        ),
    ] = None


class CohereResult(msgspec.Struct):
    """A document's place in the ranking."""

    index: wire.Index
    relevance_score: wire.RelevanceScore


class CohereAnswer(msgspec.Struct):
    """The ranking, best first."""

    id: str
    results: list[CohereResult]
    meta: wire.RerankMeta


def _read(body: CohereBody) -> RerankRequest:
    return RerankRequest(
        query=inputs.read_text(body.query, field="query"),
        documents=inputs.read_texts(body.documents, field="documents"),
        model=body.model,
        top_n=body.top_n or body.top_k,
        cut=Cut(document_tokens=body.max_tokens_per_doc or None),
    )


def _write(_: CohereBody, _request: RerankRequest, result: RerankResult) -> CohereAnswer:
    results = [CohereResult(ranked.index, ranked.score) for ranked in result.ranking]
    return CohereAnswer(result.id, results, wire.rerank_meta(result, version="2"))


DIALECT = Dialect(
    name="Cohere v2",
    documents_field="documents",
    paths=("/v2/rerank",),
    body=CohereBody,
    answer=CohereAnswer,
    read=_read,
    write=_write,
    summary="Rank documents for a query, as Cohere v2",
    description=(
        "Understands what Cohere's clients of the second version send. The answer never holds "
        "documents; the model may be left out; priority is ignored, all requests take turns."
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
