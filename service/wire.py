"""Fields that many dialects have in common, and what they mean inside."""

import math
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from ranklet.runtime.text_encoding import Side

from .errors import FieldError
from .rerank import RerankResult

_DOCUMENTS_IN_SEARCH_UNIT = 100
"""Cohere bills a search of up to 100 documents as one unit."""

_TEXT_OBJECT = {
    "anyOf": [
        {"required": ["text"], "properties": {"text": {"type": "string"}}},
        {
            "required": ["content"],
            "properties": {
                "content": {
                    "type": ["string", "array"],
                    "items": {
                        "type": "object",
                        "required": ["type", "text"],
                        "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
                    },
                }
            },
        },
    ]
}

Flag = bool | Literal["true", "false", "True", "False"]
"""A boolean; some clients send it as a string."""

TextObject = Annotated[dict[str, Raw], Meta(extra_json_schema=_TEXT_OBJECT)]
"""What is not read stays as it came: lists of lists would take twenty times as much memory."""
Text = Annotated[str, Meta(extra_json_schema={"maxLength": "max_document_chars"})]
Texts = Annotated[list[Text | TextObject], Meta(extra_json_schema={"maxItems": "max_documents"})]
"""The values of maxLength and maxItems are those of the settings of these names."""

Query = Annotated[
    Text | TextObject,
    Meta(description='What documents are ranked for: a string, or an object as in "documents".'),
]
Documents = Annotated[
    Text
    | dict[str, Raw]
    | Annotated[list[Text | dict[str, Raw]], Meta(extra_json_schema={"maxItems": "max_documents"})],
    Meta(
        description='Strings, or objects with the text in "text", in "content" as a string or '
        "as a list of parts of type text, or in the fields that rank_fields names: an object "
        "without any of them is refused with 422. One string or one object is one document; of "
        "one object with a list in content, each part is one, as vLLM has it."
    ),
]
"""Objects of any shape: which fields they need depends on ``rank_fields``."""
Model = Annotated[
    str | None,
    Meta(
        description="A name that /v1/models lists; the default model where absent, empty or "
        "default/not-specified, as Infinity's clients have it."
    ),
]
Limit = Annotated[int, Meta(ge=1)]
TopN = Annotated[
    Limit | None,
    Meta(description="How many results to give; all where absent or more than there are."),
]
TopK = Annotated[Limit | None, Meta(description="Another name of top_n.")]
RawScores = Annotated[
    Flag | None,
    Meta(description="Whether scores are raw logits, not probabilities; false where absent."),
]
RankFields = Annotated[
    list[str] | None,
    Meta(
        description="The fields of document objects that are read, in this order, each once and "
        "on a line of its own; what is not a string is read as JSON. Where a document has none "
        'of them, its "text" is read.'
    ),
]
PairTokens = Annotated[
    Annotated[int, Meta(ge=-1)] | None,
    Meta(description="Query and document together are cut to so many tokens; -1 is the window."),
]
CutSide = Annotated[
    Side | None,
    Meta(description="Which side is cut: the end, where absent, or the beginning."),
]
Index = Annotated[int, Meta(description="The document's position in the request, from 0.", ge=0)]
RelevanceScore = Annotated[
    float, Meta(description="From 0 to 1, higher is better; unbounded where raw scores were asked.")
]


class Usage(msgspec.Struct):
    """Tokens that the model read, of all pairs of query and document, after cutting."""

    prompt_tokens: int
    total_tokens: int


class ApiVersion(msgspec.Struct):
    """The version of the interface."""

    version: str


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


def usage(result: RerankResult) -> Usage:
    """Give the tokens that were read."""
    return Usage(result.tokens, result.tokens)


def rerank_meta(result: RerankResult, *, version: str) -> RerankMeta:
    """Give what Cohere's clients expect."""
    return RerankMeta(
        api_version=ApiVersion(version),
        billed_units=BilledUnits(math.ceil(result.documents / _DOCUMENTS_IN_SEARCH_UNIT)),
        tokens=Tokens(result.tokens),
        warnings=list(result.warnings) or UNSET,
    )


def is_set(flag: Flag | None, *, default: bool) -> bool:
    """Give what a flag means, the default where it is absent."""
    if flag is None:
        return default
    return flag if isinstance(flag, bool) else flag.lower() == "true"


def pair_tokens(limit: int | None) -> int | None:
    """Give what truncate_prompt_tokens means: nothing and less are the model's own window."""
    return limit if limit and limit > 0 else None


def refuse_cut(
    result: RerankResult, *, documents_field: str, flag: str, to_cut: str = "true"
) -> None:
    """Raise FieldError where something was cut, for callers whose ``flag`` is not ``to_cut``."""
    window = f"the model's window of {result.window_tokens}"
    if result.query_cut:
        field, limit = "query", f"the {result.query_tokens} tokens that it may take of {window}"
    elif result.documents_cut:
        field = f"{documents_field}[{result.documents_cut[0]}]"
        limit = (
            f"what the query, of {result.query_tokens} tokens, and the request leave of {window}"
        )
    else:
        return
    message = (
        f"{field} is longer than {limit}; shorten it, or set {flag} to {to_cut} to have it cut"
    )
    raise FieldError(message, field=field)
