"""Fields that many dialects have in common, and what they mean inside."""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import UNSET, Meta, UnsetType

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

TextObject = Annotated[dict[str, Any], Meta(extra_json_schema=_TEXT_OBJECT)]
Text = Annotated[str, Meta(extra_json_schema={"maxLength": "max_document_chars"})]
Texts = Annotated[list[Text | TextObject], Meta(extra_json_schema={"maxItems": "max_documents"})]
"""The values of maxLength and maxItems are those of the settings of these names."""

Query = Annotated[
    Text | TextObject,
    Meta(description='What documents are ranked for: a string, or an object as in "documents".'),
]
Documents = Annotated[
    Text | Texts,
    Meta(
        description='Strings, or objects with the text in "text", in "content" as a string or '
        "as a list of parts of type text, or in the fields that rank_fields names. One string is "
        "one document."
    ),
]
Model = Annotated[
    str | None,
    Meta(description="A name that /v1/models lists; the default model where absent."),
]
Limit = Annotated[int, Meta(ge=1)]
TopN = Annotated[
    Limit | None,
    Meta(description="How many results to give; all where absent or more than there are."),
]
RawScores = Annotated[
    Flag | None,
    Meta(description="Whether scores are raw logits, not probabilities; false where absent."),
]
RankFields = Annotated[
    list[str] | None,
    Meta(
        description="The fields of document objects that are read, in this order and each on a "
        "line of its own; what is not a string is read as JSON. Where a document has none of "
        'them, its "text" is read.'
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


def as_list(documents: str | list[str | dict[str, Any]]) -> list[str | dict[str, Any]]:
    """Give the documents, of which one may stand alone."""
    return [documents] if isinstance(documents, str) else documents


def read_texts(
    documents: str | list[str | dict[str, Any]],
    *,
    field: str,
    rank_fields: Sequence[str] | None = None,
) -> list[str]:
    """Give the text of each document.

    Args:
        documents: As they came.
        field: What they are called on the wire.
        rank_fields: The fields of objects to read, in order; "text" where None or empty.

    Raises:
        FieldError: a document has no text.
    """
    return [
        read_text(document, field=f"{field}[{index}]", rank_fields=rank_fields)
        for index, document in enumerate(as_list(documents))
    ]


def read_text(
    value: str | dict[str, Any], *, field: str, rank_fields: Sequence[str] | None = None
) -> str:
    """Give the text of a string or an object, as ``read_texts`` does."""
    if isinstance(value, str):
        return value
    if rank_fields:
        parts = [value[name] for name in rank_fields if value.get(name) is not None]
        if parts:
            return "\n".join(_spelled(part) for part in parts)
    text = value.get("text")
    if isinstance(text, str):
        return text
    if text is None and "content" in value:
        return _read_content(value["content"], field=f"{field}.content")
    message = (
        f'{field}.text: what is ranked is a string or an object whose "text" is a string; this '
        f"object has {', '.join(map(repr, value)) or 'no fields'}"
    )
    raise FieldError(message, field=f"{field}.text")


def _spelled(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _read_content(content: object, *, field: str) -> str:
    """Read a message as vLLM's clients send it: a string or a list of typed parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        message = f"{field}: expected a string or a list of parts of type text"
        raise FieldError(message, field=field)
    parts = cast("list[object]", content)
    return "\n".join(_read_part(part, f"{field}[{index}]") for index, part in enumerate(parts))


def _read_part(part: object, field: str) -> str:
    match part:
        case {"type": "text", "text": str(text)}:
            return text
        case {"type": str(kind)} if kind != "text":
            message = f"{field}: this model reads text, not {kind}; leave out parts of that type"
        case _:
            message = f'{field}: expected an object of "type": "text" with a string in "text"'
    raise FieldError(message, field=field)


def refuse_cut(result: RerankResult, *, documents_field: str, flag: str) -> None:
    """Raise FieldError where something was cut, for callers who set ``flag`` to false."""
    if result.query_cut or result.documents_cut:
        field = "query" if result.query_cut else f"{documents_field}[{result.documents_cut[0]}]"
        message = f"{field} is longer than may be read; set {flag} to true to have it cut"
        raise FieldError(message, field=field)


def returned_document(document: str | dict[str, Any], text: str) -> dict[str, Any]:
    """Give a document as an object with its text; other fields as they came, without nulls.

    Args:
        document: As it came.
        text: What was read of it, for objects that have no text of their own.
    """
    if isinstance(document, str):
        return {"text": document}
    fields = {key: value for key, value in document.items() if value is not None}
    return {"text": text} | fields
