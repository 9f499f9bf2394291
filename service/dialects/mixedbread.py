"""``/v1/reranking`` as Mixedbread's clients know it, told apart by ``input``."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from .. import inputs, wire  # noqa: TID252 - relative inside the package
from ..dialect import Dialect  # noqa: TID252 - the same
from ..rerank import RerankRequest, RerankResult  # noqa: TID252 - the same


class MixedbreadBody(msgspec.Struct, kw_only=True):
    """What to rank. Fields that are not listed are ignored, null counts as absent."""

    query: wire.Query
    input: wire.Documents
    model: wire.Model = None
    top_k: wire.TopN = None
    top_n: Annotated[wire.Limit | None, Meta(description="Another name of top_k.")] = None
    rank_fields: wire.RankFields = None
    return_input: Annotated[
        wire.Flag | None, Meta(description="Whether results hold their input; false where absent.")
    ] = None


class MixedbreadResult(msgspec.Struct, kw_only=True):
    """An input's place in the ranking."""

    index: wire.Index
    score: wire.RelevanceScore
    input: Annotated[
        Any,
        Meta(
            description="The input as it came, without nulls.",
            extra_json_schema={"type": ["string", "object"]},
        ),
    ] = UNSET


class MixedbreadAnswer(msgspec.Struct, kw_only=True):
    """The ranking, best first."""

    object: Literal["list"] = "list"
    model: Annotated[str, Meta(description="The model's name as requested.")]
    data: list[MixedbreadResult]
    usage: wire.Usage
    top_k: Annotated[int, Meta(description="How many results there are.")]
    return_input: bool


def _read(body: MixedbreadBody) -> RerankRequest:
    return RerankRequest(
        query=inputs.read_text(body.query, field="query"),
        documents=inputs.read_texts(body.input, field="input", rank_fields=body.rank_fields),
        model=body.model,
        top_n=body.top_k or body.top_n,
        kept=inputs.kept_objects(body.input)
        if wire.is_set(body.return_input, default=False)
        else None,
    )


def _write(_: MixedbreadBody, request: RerankRequest, result: RerankResult) -> MixedbreadAnswer:
    return MixedbreadAnswer(
        model=result.model,
        data=[
            MixedbreadResult(
                index=ranked.index,
                score=ranked.score,
                input=_input(request, ranked.index),
            )
            for ranked in result.ranking
        ],
        usage=wire.usage(result),
        top_k=len(result.ranking),
        return_input=request.kept is not None,
    )


def _input(request: RerankRequest, index: int) -> str | Raw | UnsetType:
    if request.kept is None:
        return UNSET
    kept = request.kept.get(index)
    return Raw(kept) if kept else request.documents[index]


DIALECT = Dialect(
    name="Mixedbread",
    documents_field="input",
    paths=(),
    shared_paths=("/v1/reranking", "/reranking"),
    body=MixedbreadBody,
    answer=MixedbreadAnswer,
    read=_read,
    write=_write,
    summary="Rank inputs for a query",
    description='A body with "input" is answered in "data", as Mixedbread\'s clients expect.',
    example={
        "query": "Who wrote To Kill a Mockingbird?",
        "input": [
            "To Kill a Mockingbird is a novel by Harper Lee, published in 1960.",
            "Moby-Dick was written by Herman Melville.",
        ],
        "top_k": 1,
        "return_input": True,
    },
)
