"""``/v1/rerank`` as the union of what clients of many services send: LocalAI, Jina and others.

No answer holds a null: some clients fail on them.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from ranklet.runtime.tokenization import Cut

from .. import inputs, wire  # noqa: TID252 - relative inside the package
from ..dialect import Dialect  # noqa: TID252 - the same
from ..errors import FieldError  # noqa: TID252 - the same
from ..rerank import RerankRequest, RerankResult  # noqa: TID252 - the same

_MAX_CHUNKS = 10_000
"""Of all documents of a request together; Cohere's limit."""
_MAX_CHUNKS_READ = 250
"""Of one document, which bounds its memory. The same whatever else is in the request: a score does
not depend on its company."""


class RerankBody(msgspec.Struct, kw_only=True):
    """What to rank. Fields that are not listed are ignored, null counts as absent."""

    query: wire.Query
    documents: wire.Documents
    model: wire.Model = None
    top_n: wire.TopN = None
    top_k: wire.TopK = None
    rank_fields: wire.RankFields = None
    return_documents: Annotated[
        wire.Flag | None,
        Meta(
            description="Whether results hold their document. Where absent, they do not on "
            "/v2/rerank and /reranking, and do on the other paths."
        ),
    ] = None
    raw_scores: wire.RawScores = None
    use_activation: Annotated[
        wire.Flag | None, Meta(description="vLLM's opposite of raw_scores; true where absent.")
    ] = None
    max_chunks_per_doc: Annotated[
        wire.Limit | None,
        Meta(
            description="A long document is read in up to so many overlapping windows, and the "
            f"best counts, but no more than {_MAX_CHUNKS_READ}; as the model is configured where "
            f"absent. Times the documents it may be {_MAX_CHUNKS:,} at the most, unless it is 1 or "
            "overlap_tokens is sent."
        ),
    ] = None
    overlap_tokens: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(
            description="What SiliconFlow's clients send beside max_chunks_per_doc; windows "
            "overlap by a share of their own, whatever it says."
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
            extra_json_schema={
                "type": "object",
                "required": ["text"],
                "properties": {"text": {"type": "string"}},
            },
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
    object: Annotated[
        Literal["list", "rerank"],
        Meta(description="rerank where raw_scores was sent, as Infinity's clients do; else list."),
    ]
    model: Annotated[str, Meta(description="The model's name as requested.")]
    results: list[Result]
    data: Annotated[
        list[VoyageResult] | UnsetType,
        Meta(
            description="The results again, as Voyage's clients read them; absent where top_n is "
            "sent, which those never do, without top_k."
        ),
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
    texts = inputs.read_texts(body.documents, field="documents", rank_fields=body.rank_fields)
    return RerankRequest(
        query=inputs.read_text(body.query, field="query"),
        documents=texts,
        model=body.model,
        top_n=body.top_n or body.top_k or None,
        raw_scores=wire.is_set(body.raw_scores, default=False)
        or not wire.is_set(body.use_activation, default=True),
        max_windows=_max_windows(body, documents=len(texts)),
        cut=Cut(
            query_tokens=body.max_tokens_per_query or None,
            document_tokens=body.max_tokens_per_doc or None,
            pair_tokens=wire.pair_tokens(body.truncate_prompt_tokens),
            side=body.truncation_side or "right",
        ),
        kept=inputs.kept_objects(body.documents, texts=texts)
        if wire.is_set(body.return_documents, default=returns_documents)
        else None,
    )


def _max_windows(body: RerankBody, *, documents: int) -> int | None:
    """Give the windows in which a document is read, None where the request does not say."""
    chunks = body.max_chunks_per_doc
    if chunks is None:
        return None
    # SiliconFlow, whose clients send 1,024 whatever they rank, has no limit of all documents.
    is_bounded = body.overlap_tokens is None and chunks > 1
    if is_bounded and chunks * documents > _MAX_CHUNKS:
        most = max(1, _MAX_CHUNKS // documents)
        message = (
            f"max_chunks_per_doc: {chunks:,} times {documents:,} documents is more than the "
            f"{_MAX_CHUNKS:,} chunks of a request; send at most {most:,}, or fewer documents"
        )
        raise FieldError(message, field="max_chunks_per_doc")
    return min(chunks, _MAX_CHUNKS_READ)


def _write(body: RerankBody, request: RerankRequest, result: RerankResult) -> RerankAnswer:
    return RerankAnswer(
        id=result.id,
        object="list" if body.raw_scores is None else "rerank",
        model=result.model,
        results=results(body, request, result),
        data=_voyage_results(body, request, result) if _may_be_voyages(body) else UNSET,
        usage=wire.usage(result),
        meta=wire.rerank_meta(result, version="1"),
    )


def results(body: RerankBody, request: RerankRequest, result: RerankResult) -> list[Result]:
    """Give the ranking, with the documents that the request keeps.

    Raises:
        FieldError: something was cut that the body forbids to cut.
    """
    if not wire.is_set(body.truncation, default=True):
        wire.refuse_cut(result, documents_field="documents", flag="truncation")
    return [
        Result(
            index=ranked.index,
            relevance_score=ranked.score,
            document=_document(request, ranked.index),
        )
        for ranked in result.ranking
    ]


def _document(request: RerankRequest, index: int) -> dict[str, str] | Raw | UnsetType:
    if request.kept is None:
        return UNSET
    kept = request.kept.get(index)
    return Raw(kept) if kept else {"text": request.documents[index]}


def _may_be_voyages(body: RerankBody) -> bool:
    """Whether a client of Voyage may have sent this: with ``top_k``, or with no limit at all."""
    return body.top_n is None or body.top_k is not None


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
    name="LocalAI, Jina, Cohere v1, vLLM, Voyage, Infinity",
    documents_field="documents",
    paths=("/v1/rerank", "/rerank", "/jina/v1/rerank", "/v3/rerank"),
    body=RerankBody,
    answer=RerankAnswer,
    read=_read,
    write=_write,
    summary="Rank documents for a query",
    description=(
        "Understands what clients of LocalAI, Jina, Cohere v1, vLLM, Voyage and Infinity send. "
        "Documents and queries beyond the model's window are cut unless `truncation` is false; a "
        "query that was cut is mentioned in meta.warnings."
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
