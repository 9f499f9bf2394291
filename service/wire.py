"""Fields that many dialects have in common, and what they mean inside."""

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from ranklet.runtime.text_encoding import Side

from .body import NULL, decode_value
from .errors import FieldError
from .rerank import RerankResult

_DOCUMENTS_IN_SEARCH_UNIT = 100
"""Cohere bills a search of up to 100 documents as one unit."""

_MAX_CONTAINERS = 100_000
"""Lists and objects in all that ``rank_fields`` names. Making so many of them takes 20 ms, during
which nothing else is answered; 16 MB can hold four million."""

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


def as_list(documents: str | list[str | dict[str, Raw]]) -> list[str | dict[str, Raw]]:
    """Give the documents, of which one may stand alone."""
    return [documents] if isinstance(documents, str) else documents


def read_texts(
    documents: str | list[str | dict[str, Raw]],
    *,
    field: str,
    rank_fields: Sequence[str] | None = None,
) -> list[str]:
    """Give the text of each document.

    Args:
        documents: As they came.
        field: What they are called on the wire.
        rank_fields: The fields of objects to read, in order and each once; "text" where None or
            empty.

    Raises:
        FieldError: a document has no text, or its fields hold too much that is not text.
        MalformedBodyError: a field to read is nested too deeply.
    """
    names = tuple(dict.fromkeys(rank_fields or ()))  # repeated, one would multiply a document
    _check_containers(documents, names, field=field)
    return [
        read_text(document, field=f"{field}[{index}]", rank_fields=names)
        for index, document in enumerate(as_list(documents))
    ]


def _check_containers(
    documents: str | list[str | dict[str, Raw]], names: Sequence[str], *, field: str
) -> None:
    """Refuse fields that would take long to read, before any is read.

    Brackets are counted, those in strings too: to tell them apart is to read the fields.
    """
    found = 0
    for index, document in enumerate(as_list(documents)):
        if isinstance(document, str):
            continue
        for name in names:
            value = document.get(name, NULL)
            if _is_string(value):
                continue
            spelled = bytes(value)
            found += spelled.count(b"[") + spelled.count(b"{")
            if found > _MAX_CONTAINERS:
                place = f"{field}[{index}].{name}"
                message = (
                    f"{place}: with this, what rank_fields names holds more than "
                    f"{_MAX_CONTAINERS:,} lists and objects; send it as a string, or leave "
                    f"{name} out of rank_fields"
                )
                raise FieldError(message, field=place)


def read_text(value: str | dict[str, Raw], *, field: str, rank_fields: Sequence[str] = ()) -> str:
    """Give the text of a string or an object, as ``read_texts`` does."""
    if isinstance(value, str):
        return value
    parts = [value[name] for name in rank_fields if value.get(name, NULL) != NULL]
    if parts:
        return "\n".join(map(_spelled, parts))
    text = value.get("text", NULL)
    if _is_string(text):
        return decode_value(text, str)
    if text == NULL and "content" in value:
        return _read_content(value["content"], field=f"{field}.content")
    message = (
        f'{field}.text: what is ranked is a string or an object whose "text" is a string; this '
        f"object has {', '.join(map(repr, value)) or 'no fields'}"
    )
    raise FieldError(message, field=f"{field}.text")


def _is_string(value: Raw) -> bool:
    return memoryview(value)[0] == ord('"')


def _spelled(value: Raw) -> str:
    if _is_string(value):
        return decode_value(value, str)
    decoded: object = decode_value(value, object)
    return msgspec.json.encode(decoded).decode()


class _Part(msgspec.Struct):
    type: str
    text: str | None = None


def _read_content(content: Raw, *, field: str) -> str:
    """Read a message as vLLM's clients send it: a string or a list of typed parts."""
    if _is_string(content):
        return decode_value(content, str)
    try:
        parts = decode_value(content, list[_Part])
    except FieldError as error:
        place = f"{field}{error.field or ''}"
        message = f"{place}: expected a string or a list of parts of type text"
        raise FieldError(message, field=place) from error
    return "\n".join(_read_part(part, f"{field}[{index}]") for index, part in enumerate(parts))


def _read_part(part: _Part, field: str) -> str:
    if part.type == "text" and part.text is not None:
        return part.text
    message = (
        f'{field}: expected an object of "type": "text" with a string in "text"'
        if part.type == "text"
        else f"{field}: this model reads text, not {part.type}; leave out parts of that type"
    )
    raise FieldError(message, field=field)


def refuse_cut(result: RerankResult, *, documents_field: str, flag: str) -> None:
    """Raise FieldError where something was cut, for callers who set ``flag`` to false."""
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
    message = f"{field} is longer than {limit}; shorten it, or set {flag} to true to have it cut"
    raise FieldError(message, field=field)


def kept_objects(
    documents: str | list[str | dict[str, Raw]], *, texts: Sequence[str] | None = None
) -> dict[int, bytes]:
    """Give the documents that go back as more than their text, as JSON, by their index.

    Args:
        documents: As they came; nulls at the top are taken out, since copies of large objects
            would take long.
        texts: What was read of each, for those without a text of their own. Where None, those stay
            without.
    """
    kept: dict[int, bytes] = {}
    for index, document in enumerate(as_list(documents)):
        if isinstance(document, str) or (texts is not None and _is_only_text(document)):
            continue
        for name in [name for name, value in document.items() if value == NULL]:
            del document[name]
        if texts is not None:
            document.setdefault("text", Raw(msgspec.json.encode(texts[index])))
        kept[index] = msgspec.json.encode(document)
    return kept


def _is_only_text(document: dict[str, Raw]) -> bool:
    return document.keys() == {"text"} and _is_string(document["text"])
