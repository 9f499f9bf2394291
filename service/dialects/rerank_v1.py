"""``/v1/rerank`` as the union of what clients of LocalAI, Jina, Cohere v1, vLLM and Voyage send.

No answer holds a null: some clients fail on them.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from ranklet.runtime.tokenization import Cut

from .. import wire  # noqa: TID252 - relative inside the package
from ..dialect import Dialect  # noqa: TID252 - the same
from ..rerank import RerankRequest, RerankResult  # noqa: TID252 - the same

_MAX_CHUNKS = 10_000
"""Of all documents of a request together; Cohere's limit."""


class RerankBody(msgspec.Struct, kw_only=True):
    """What to rank. Fields that are not listed are ignored, null counts as absent."""

    query: wire.Query
    documents: wire.Documents
    model: wire.Model = None
    top_n: wire.TopN = None
    top_k: Annotated[
        wire.Limit | UnsetType | None,
        Meta(
            description="Another name of top_n. Where it is sent, even as null, the answer also "
            'has Voyage\'s "data": its client always sends it.'
        ),
    ] = UNSET
    rank_fields: wire.RankFields = None
    return_documents: Annotated[
        wire.Flag | None,
        Meta(description="Whether results hold their document; true where absent."),
    ] = None
    raw_scores: wire.RawScores = None
    use_activation: Annotated[
        wire.Flag | None, Meta(description="vLLM's opposite of raw_scores; true where absent.")
    ] = None
    max_chunks_per_doc: Annotated[
        wire.Limit | None,
        Meta(
            description="A long document is read in up to so many overlapping windows, and the "
            "best counts; as the model is configured where absent. Of all documents together, "
            f"{_MAX_CHUNKS:,} are read at the most."
        ),
    ] = None
    max_tokens_per_doc: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(description="Documents are cut to so many tokens; 0 and absent cut nothing more."),
    ] = None
    max_tokens_per_query: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(description="The query is cut to so many tokens; 0 and absent cut nothing more."),
    ] = None
    truncate_prompt_tokens: wire.PairTokens = None
    truncation_side: wire.CutSide = None
    truncation: Annotated[
        wire.Flag | None,
        Meta(
            description="Whether texts are cut that are too long, as Voyage and Jina have it; if "
            "false, they are refused with 422. True where absent."
        ),
    ] = None


class Result(msgspec.Struct, kw_only=True):
    """A document's place in the ranking."""

    index: wire.Index
    relevance_score: wire.RelevanceScore
    document: Annotated[
        Any,
        Meta(
            description="The document as an object with its text; other fields as they came.",
            extra_json_schema={"type": "object"},
        ),
    ] = UNSET


class VoyageResult(msgspec.Struct, kw_only=True):
    """A document's place in the ranking, as Voyage's client reads it."""

    index: wire.Index
    relevance_score: wire.RelevanceScore
    document: Annotated[
        str | UnsetType, Meta(description="The text, where return_documents is true.")
    ] = UNSET


class RerankAnswer(msgspec.Struct, kw_only=True):
    """The ranking, best first."""

    id: str
    object: Literal["list"] = "list"
    model: Annotated[str, Meta(description="The model's name as requested.")]
    results: list[Result]
    data: Annotated[
        list[VoyageResult] | UnsetType, Meta(description="The results again, for top_k.")
    ] = UNSET
    usage: wire.Usage
    meta: wire.RerankMeta


def _read(body: RerankBody) -> RerankRequest:
    return read(body, returns_documents=True)


def read(body: RerankBody, *, returns_documents: bool) -> RerankRequest:
    """Give what the body asks for.

    Args:
        body: The body as it came.
        returns_documents: Whether the results hold documents where the body does not say.
    """
    texts = wire.read_texts(body.documents, field="documents", rank_fields=body.rank_fields)
    chunks = body.max_chunks_per_doc
    return RerankRequest(
        query=wire.read_text(body.query, field="query"),
        documents=texts,
        model=body.model,
        top_n=body.top_n or body.top_k or None,
        raw_scores=wire.is_set(body.raw_scores, default=False)
        or not wire.is_set(body.use_activation, default=True),
        max_windows=chunks and max(1, min(chunks, _MAX_CHUNKS // max(1, len(texts)))),
        cut=Cut(
            query_tokens=body.max_tokens_per_query or None,
            document_tokens=body.max_tokens_per_doc or None,
            pair_tokens=wire.pair_tokens(body.truncate_prompt_tokens),
            side=body.truncation_side or "right",
        ),
        kept=wire.kept_objects(body.documents, texts=texts)
        if wire.is_set(body.return_documents, default=returns_documents)
        else None,
    )


def _write(body: RerankBody, request: RerankRequest, result: RerankResult) -> RerankAnswer:
    if not wire.is_set(body.truncation, default=True):
        wire.refuse_cut(result, documents_field="documents", flag="truncation")
    return RerankAnswer(
        id=result.id,
        model=result.model,
        results=[
            Result(
                index=ranked.index,
                relevance_score=ranked.score,
                document=_document(request, ranked.index),
            )
            for ranked in result.ranking
        ],
        data=UNSET if body.top_k is UNSET else _voyage_results(body, request, result),
        usage=wire.usage(result),
        meta=wire.rerank_meta(result, version="1"),
    )


def _document(request: RerankRequest, index: int) -> dict[str, str] | Raw | UnsetType:
    if request.kept is None:
        return UNSET
    kept = request.kept.get(index)
    return Raw(kept) if kept else {"text": request.documents[index]}


def _voyage_results(
    body: RerankBody, request: RerankRequest, result: RerankResult
) -> list[VoyageResult]:
    has_documents = wire.is_set(body.return_documents, default=False)
    return [
        VoyageResult(
            index=ranked.index,
            relevance_score=ranked.score,
            document=request.documents[ranked.index] if has_documents else UNSET,
        )
        for ranked in result.ranking
    ]


DIALECT = Dialect(
    name="LocalAI, Jina, Cohere v1, vLLM, Voyage",
    documents_field="documents",
    paths=("/v1/rerank", "/rerank", "/jina/v1/rerank", "/v3/rerank"),
    body=RerankBody,
    answer=RerankAnswer,
    read=_read,
    write=_write,
    summary="Rank documents for a query",
    description=(
        "Understands what clients of LocalAI, Jina, Cohere v1, vLLM and Voyage send. Documents and "
        "queries beyond the model's window are cut, never refused; a query that was cut is "
        "mentioned in meta.warnings."
    ),
    example={
        "query": "Organic skincare products for sensitive skin",
        "documents": [
            "Eco-friendly kitchenware for modern homes",
            "Natural organic skincare range for sensitive skin",
            "Tech gadgets for smart homes: 2024 edition",
        ],
        "top_n": 2,
    },
)
