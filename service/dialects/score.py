"""``/score`` as vLLM's clients know it: scores in the order of the request, nothing is ranked."""

import time
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ranklet.runtime.tokenization import Cut

from .. import inputs, wire  # noqa: TID252 - relative inside the package
from ..dialect import Dialect  # noqa: TID252 - the same
from ..errors import FieldError  # noqa: TID252 - the same
from ..rerank import RerankRequest, RerankResult  # noqa: TID252 - the same

_Texts = wire.Text | wire.TextObject | wire.Texts

_QUERIES = ("queries", "text_1", "data_1")
_DOCUMENTS = ("documents", "items", "text_2", "data_2")


class ScoreBody(msgspec.Struct, kw_only=True):
    """What to score: one query for all documents, or as many of the one as of the other.

    Both have several names, of which any will do. Of one object with a list in "content", each part
    is a query or a document. Fields that are not listed are ignored, null
    counts as absent.
    """

    queries: Annotated[_Texts | None, Meta(description="A query, or a list of them.")] = None
    documents: Annotated[_Texts | None, Meta(description="A document, or a list of them.")] = None
    items: Annotated[_Texts | None, Meta(description="Another name of documents.")] = None
    text_1: Annotated[_Texts | None, Meta(description="Another name of queries.")] = None
    text_2: Annotated[_Texts | None, Meta(description="Another name of documents.")] = None
    data_1: Annotated[_Texts | None, Meta(description="Another name of queries.")] = None
    data_2: Annotated[_Texts | None, Meta(description="Another name of documents.")] = None
    model: wire.Model = None
    use_activation: Annotated[
        wire.Flag | None,
        Meta(description="Whether scores are probabilities, not raw logits; true where absent."),
    ] = None
    truncate_prompt_tokens: wire.PairTokens = None
    truncation_side: wire.CutSide = None


class Score(msgspec.Struct, kw_only=True):
    """The score of a pair."""

    index: Annotated[int, Meta(description="The pair's position in the request, from 0.", ge=0)]
    object: Literal["score"] = "score"
    score: wire.RelevanceScore


class ScoreAnswer(msgspec.Struct, kw_only=True):
    """The scores, in the order of the request."""

    id: str
    object: Literal["list"] = "list"
    created: Annotated[int, Meta(description="Seconds since 1970.")]
    model: Annotated[str, Meta(description="The model's name as requested.")]
    data: list[Score]
    usage: wire.Usage


def _read(body: ScoreBody) -> RerankRequest:
    queries, queries_field = _texts(body, _QUERIES)
    documents, documents_field = _texts(body, _DOCUMENTS)
    if len(queries) not in {1, len(documents)}:
        message = (
            f"{queries_field}: {len(queries)} and {len(documents)} {documents_field} do not go "
            "together; send one for all, or as many of the one as of the other"
        )
        raise FieldError(message, field=queries_field)
    return RerankRequest(
        query=queries if len(queries) > 1 else "".join(queries),
        documents=documents,
        model=body.model,
        raw_scores=not wire.is_set(body.use_activation, default=True),
        cut=Cut(
            pair_tokens=wire.pair_tokens(body.truncate_prompt_tokens),
            side=body.truncation_side or "right",
        ),
        fields=(queries_field, documents_field),
    )


def _texts(body: ScoreBody, names: tuple[str, ...]) -> tuple[list[str], str]:
    """Give the texts under the first of ``names`` that the body has, and that name."""
    for name in names:
        value: inputs.Documents | None = getattr(body, name)
        if value is not None:
            return inputs.read_texts(value, field=name), name
    message = f"{names[0]} is required; it may also be called {' or '.join(names[1:])}"
    raise FieldError(message, field=names[0])


def _write(_: ScoreBody, _request: RerankRequest, result: RerankResult) -> ScoreAnswer:
    scores = sorted((ranked.index, ranked.score) for ranked in result.ranking)
    return ScoreAnswer(
        id=result.id,
        created=int(time.time()),
        model=result.model,
        data=[Score(index=index, score=score) for index, score in scores],
        usage=wire.usage(result),
    )


def _one_of(names: tuple[str, ...]) -> dict[str, object]:
    """Describe that a body has one of ``names``, and not as null."""
    given = [
        {"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in names
    ]
    return {"anyOf": given}


DIALECT = Dialect(
    name="vLLM",
    documents_field="documents",
    paths=("/score", "/v1/score"),
    body=ScoreBody,
    body_schema={"allOf": [_one_of(_QUERIES), _one_of(_DOCUMENTS)]},
    answer=ScoreAnswer,
    read=_read,
    write=_write,
    summary="Score pairs of texts",
    description="As vLLM's /score: the scores come in the order of the request.",
    example={
        "text_1": "What is the capital of France?",
        "text_2": ["The capital of Brazil is Brasilia.", "The capital of France is Paris."],
    },
)
