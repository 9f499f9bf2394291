"""``/v1/ranking`` as the clients of NVIDIA's NIM know it: passages, and logits for them."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from .. import inputs, wire  # noqa: TID252 - relative inside the package
from ..dialect import Dialect  # noqa: TID252 - the same
from ..rerank import RerankRequest, RerankResult  # noqa: TID252 - the same


class NvidiaBody(msgspec.Struct, kw_only=True):
    """What to rank. Fields that are not listed are ignored, null counts as absent."""

    query: wire.Query
    passages: Annotated[wire.Texts, Meta(description='Objects with "text", or strings.')]
    model: wire.Model = None
    top_k: wire.TopN = None
    top_n: Annotated[wire.Limit | None, Meta(description="Another name of top_k.")] = None
    truncate: Annotated[
        Literal["NONE", "END"] | None,
        Meta(
            description="END cuts what is longer than the model's window, NONE refuses it with "
            "422. END where absent."
        ),
    ] = None


class NvidiaRanking(msgspec.Struct):
    """A passage's place in the ranking."""

    index: Annotated[int, Meta(description="The passage's position in the request, from 0.", ge=0)]
    logit: Annotated[float, Meta(description="Unbounded, higher is better.")]


class NvidiaAnswer(msgspec.Struct):
    """The ranking, best first."""

    rankings: list[NvidiaRanking]
    usage: wire.Usage


def _read(body: NvidiaBody) -> RerankRequest:
    return RerankRequest(
        query=inputs.read_text(body.query, field="query"),
        documents=inputs.read_texts(body.passages, field="passages"),
        model=body.model,
        top_n=body.top_k or body.top_n,
        raw_scores=True,
    )


def _write(body: NvidiaBody, _: RerankRequest, result: RerankResult) -> NvidiaAnswer:
    if body.truncate == "NONE":
        wire.refuse_cut(result, documents_field="passages", flag="truncate", to_cut='"END"')
    return NvidiaAnswer(
        rankings=[NvidiaRanking(ranked.index, ranked.score) for ranked in result.ranking],
        usage=wire.usage(result),
    )


DIALECT = Dialect(
    name="NVIDIA NIM",
    documents_field="passages",
    paths=("/v1/ranking", "/ranking"),
    body=NvidiaBody,
    answer=NvidiaAnswer,
    read=_read,
    write=_write,
    summary="Rank passages for a query",
    description=(
        "As NVIDIA's NIM for reranking: scores are logits, as their name says. Unlike there, long "
        'texts are cut unless truncate is "NONE".'
    ),
    example={
        "query": {"text": "Which way should I go?"},
        "passages": [
            {"text": "Two roads diverged in a yellow wood."},
            {"text": "Cheese is made of milk."},
        ],
    },
)
