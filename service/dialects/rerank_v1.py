"""``/v1/rerank`` as the union of what the clients of LocalAI and Jina send and expect.

No answer holds a null: some clients fail on them.
"""

import math
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ..dialect import Dialect  # noqa: TID252 - relative inside the package
from ..errors import FieldError  # noqa: TID252 - the same
from ..rerank import RerankRequest, RerankResult  # noqa: TID252 - the same

Flag = bool | Literal["true", "false", "True", "False"]
"""A boolean; some clients send it as a string."""

_DOCUMENTS_IN_SEARCH_UNIT = 100
"""Cohere bills a search of up to 100 documents as one unit."""


class RerankBody(msgspec.Struct, kw_only=True):
    """What to rank. Fields that are not listed are ignored, null counts as absent."""

    query: Annotated[str, Meta(description="What the documents are ranked for.")]
    documents: Annotated[
        list[str | dict[str, Any]],
        Meta(description='Strings, or objects with the document in "text".'),
    ]
    model: Annotated[
        str | None,
        Meta(description="A name that /v1/models lists; the default model where absent."),
    ] = None
    top_n: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="How many results to give; all where absent or more than there are."),
    ] = None
    return_documents: Annotated[
        Flag | None, Meta(description="Whether results hold their document; true where absent.")
    ] = None
    raw_scores: Annotated[
        Flag | None,
        Meta(description="Whether scores are raw logits, not probabilities; false where absent."),
    ] = None


class Result(msgspec.Struct, kw_only=True):
    """A document's place in the ranking."""

    index: Annotated[int, Meta(description="The document's position in the request, from 0.", ge=0)]
    relevance_score: Annotated[
        float, Meta(description="From 0 to 1, higher is better; unbounded with raw_scores.")
    ]
    document: Annotated[
        dict[str, Any] | UnsetType,
        Meta(description="The document as an object with its text; other fields as they came."),
    ] = UNSET


class Usage(msgspec.Struct):
    """Tokens that the model read, of all pairs of query and document, after cutting."""

    prompt_tokens: int
    total_tokens: int


class ApiVersion(msgspec.Struct):
    """The version of the interface."""

    version: str = "1"


class BilledUnits(msgspec.Struct):
    """What Cohere would bill; nothing is billed here."""

    search_units: int


class Tokens(msgspec.Struct):
    """Tokens read and written; a reranker writes none."""

    input_tokens: int
    output_tokens: int = 0


class RerankMeta(msgspec.Struct, kw_only=True):
    """What Cohere's clients expect beside the results."""

    api_version: ApiVersion
    billed_units: BilledUnits
    tokens: Tokens
    warnings: Annotated[
        list[str] | UnsetType, Meta(description="What was done to the request, as a query cut.")
    ] = UNSET


class RerankAnswer(msgspec.Struct, kw_only=True):
    """The ranking, best first."""

    id: str
    object: Literal["list"] = "list"
    model: Annotated[str, Meta(description="The model's name as requested.")]
    results: list[Result]
    usage: Usage
    meta: RerankMeta


def _read(body: RerankBody) -> RerankRequest:
    return RerankRequest(
        query=body.query,
        documents=[_text(document, index) for index, document in enumerate(body.documents)],
        model=body.model,
        top_n=body.top_n,
        raw_scores=_is_set(body.raw_scores, default=False),
    )


def _text(document: str | dict[str, Any], index: int) -> str:
    if isinstance(document, str):
        return document
    text = document.get("text")
    if not isinstance(text, str):
        field = f"documents[{index}].text"
        message = f'{field}: a document is a string or an object whose "text" is a string'
        raise FieldError(message, field=field)
    return text


def _is_set(flag: Flag | None, *, default: bool) -> bool:
    if flag is None:
        return default
    return flag if isinstance(flag, bool) else flag.lower() == "true"


def _write(body: RerankBody, _: RerankRequest, result: RerankResult) -> RerankAnswer:
    has_documents = _is_set(body.return_documents, default=True)
    return RerankAnswer(
        id=result.id,
        model=result.model,
        results=[
            Result(
                index=ranked.index,
                relevance_score=ranked.score,
                document=_document(body.documents[ranked.index]) if has_documents else UNSET,
            )
            for ranked in result.ranking
        ],
        usage=Usage(result.tokens, result.tokens),
        meta=RerankMeta(
            api_version=ApiVersion(),
            billed_units=BilledUnits(math.ceil(result.documents / _DOCUMENTS_IN_SEARCH_UNIT)),
            tokens=Tokens(result.tokens),
            warnings=list(result.warnings) or UNSET,
        ),
    )


def _document(document: str | dict[str, Any]) -> dict[str, Any]:
    if isinstance(document, str):
        return {"text": document}
    return {key: value for key, value in document.items() if value is not None}


DIALECT = Dialect(
    paths=("/v1/rerank",),
    body=RerankBody,
    answer=RerankAnswer,
    read=_read,
    write=_write,
    summary="Rank documents for a query",
    description=(
        "Understands what clients of LocalAI and Jina send. Documents and queries beyond the "
        "model's window are cut, never refused; a query that was cut is mentioned in "
        "meta.warnings."
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
