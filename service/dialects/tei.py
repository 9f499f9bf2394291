"""``/rerank`` as the clients of Hugging Face's text-embeddings-inference know it, by ``texts``."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ranklet.runtime.tokenization import Cut

from .. import wire  # noqa: TID252 - relative inside the package
from ..answers import Failure  # noqa: TID252 - the same
from ..dialect import Dialect  # noqa: TID252 - the same
from ..errors import EmptyRequestError  # noqa: TID252 - the same
from ..rerank import RerankRequest, RerankResult  # noqa: TID252 - the same


class TeiBody(msgspec.Struct, kw_only=True):
    """What to rank. Fields that are not listed are ignored, null counts as absent."""

    query: Annotated[wire.Text, Meta(description="What the texts are ranked for.")]
    texts: Annotated[
        list[wire.Text],
        Meta(
            description="At least one.",
            extra_json_schema={"minItems": 1, "maxItems": "max_documents"},
        ),
    ]
    model: wire.Model = None
    top_n: wire.TopN = None
    top_k: wire.TopK = None
    raw_scores: wire.RawScores = None
    return_text: Annotated[
        wire.Flag | None, Meta(description="Whether results hold their text; false where absent.")
    ] = None
    truncate: Annotated[
        wire.Flag | None,
        Meta(
            description="Whether what is longer than the model's window is cut; if false, it is "
            "refused with 422. True where absent."
        ),
    ] = None
    truncation_direction: Annotated[
        Literal["Left", "Right", "left", "right"] | None,
        Meta(description="Which side is cut: the end, where absent, or the beginning."),
    ] = None


class TeiRank(msgspec.Struct, kw_only=True):
    """A text's place in the ranking."""

    index: Annotated[int, Meta(description="The text's position in the request, from 0.", ge=0)]
    text: Annotated[str | UnsetType, Meta(description="Where return_text is true.")] = UNSET
    score: wire.RelevanceScore


_HEADERS = {
    "x-compute-type": "cpu or cuda.",
    "x-compute-time": "Milliseconds from having the request to having its scores.",
    "x-compute-characters": "Characters of query and texts.",
    "x-compute-tokens": "Tokens that were read, of all pairs after cutting.",
    "x-total-time": "Milliseconds, as x-compute-time.",
    "x-queue-time": "Milliseconds until the first pair's turn.",
    "x-tokenization-time": "Milliseconds of all workers together.",
    "x-inference-time": "Milliseconds of all workers together.",
}

ErrorType = Literal["Unhealthy", "Backend", "Overloaded", "Validation", "Empty"]


class TeiError(msgspec.Struct):
    """The body of every answer to a request with texts that is not a success."""

    error: Annotated[str, Meta(description="What is wrong and what to change.")]
    error_type: ErrorType


_ERROR_TYPES: dict[int, ErrorType] = {429: "Overloaded", 500: "Backend", 503: "Unhealthy"}
"""By status; the others are a matter of validation."""


def _read(body: TeiBody) -> RerankRequest:
    if not body.texts:
        raise EmptyRequestError(field="texts")
    return RerankRequest(
        query=body.query,
        documents=body.texts,
        model=body.model,
        top_n=body.top_n or body.top_k,
        raw_scores=wire.is_set(body.raw_scores, default=False),
        cut=Cut(side="left" if body.truncation_direction in {"Left", "left"} else "right"),
    )


def _write(body: TeiBody, request: RerankRequest, result: RerankResult) -> list[TeiRank]:
    if not wire.is_set(body.truncate, default=True):
        wire.refuse_cut(result, documents_field="texts", flag="truncate")
    returns_text = wire.is_set(body.return_text, default=False)
    return [
        TeiRank(
            index=ranked.index,
            text=request.documents[ranked.index] if returns_text else UNSET,
            score=ranked.score,
        )
        for ranked in result.ranking
    ]


def _headers(_: RerankRequest, result: RerankResult) -> dict[str, str]:
    """Give TEI's headers: what was computed, and the milliseconds of each stage."""
    times = result.times
    seconds = {
        "x-compute-time": result.seconds,
        "x-total-time": result.seconds,
        "x-queue-time": times.queue_seconds,
        "x-tokenization-time": times.tokenization_seconds,
        "x-inference-time": times.inference_seconds,
    }
    return {
        "x-compute-type": result.device,
        "x-compute-characters": str(result.characters),
        "x-compute-tokens": str(result.tokens),
    } | {name: str(round(1000 * value)) for name, value in seconds.items()}


def _write_error(failure: Failure) -> TeiError:
    if failure.code == "empty":
        return TeiError(failure.message, "Empty")
    return TeiError(failure.message, _ERROR_TYPES.get(failure.status, "Validation"))


DIALECT = Dialect(
    name="TEI",
    documents_field="texts",
    paths=("/", "/invocations"),
    shared_paths=("/rerank", "/v1/rerank", "/reranking", "/v1/reranking"),
    body=TeiBody,
    answer=list[TeiRank],
    error=TeiError,
    read=_read,
    write=_write,
    headers=_HEADERS,
    write_headers=_headers,
    write_error=_write_error,
    summary="Rank texts for a query",
    description=(
        'A body with "texts" is answered with a bare list, as clients of text-embeddings-inference '
        "expect; headers tell what was computed and how long it took. Unlike there, a batch may "
        "have as many texts as /info says, and top_n is heeded, as llama.cpp's server does."
    ),
    example={
        "query": "What is deep learning?",
        "texts": ["Deep learning is a kind of machine learning.", "Cheese is made of milk."],
        "return_text": True,
    },
)
