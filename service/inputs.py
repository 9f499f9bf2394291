"""What is to be ranked, as it comes: strings, objects with fields, messages of parts."""

from collections.abc import Sequence
from typing import TypeGuard

import msgspec
from msgspec import Raw

from .body import NULL, decode_value
from .errors import FieldError

_MAX_CONTAINERS = 100_000
"""Lists and objects in all that ``rank_fields`` names. Making so many of them takes 20 ms, during
which nothing else is answered; 16 MB can hold four million."""


Document = str | dict[str, Raw]
Documents = Document | list[Document]


def as_list(documents: Documents) -> list[Document]:
    """Give the documents, of which one may stand alone."""
    return documents if isinstance(documents, list) else [documents]


def _is_message(documents: Documents) -> TypeGuard[dict[str, Raw]]:
    """Whether there is one object whose ``content`` is a list: each part of it is a document."""
    return (
        isinstance(documents, dict)
        and documents.get("text", NULL) == NULL
        and memoryview(documents.get("content", NULL))[0] == ord("[")
    )


def read_texts(
    documents: Documents,
    *,
    field: str,
    rank_fields: Sequence[str] | None = None,
) -> list[str]:
    """Give the text of each document.

    Args:
        documents: As they came. Parts of a message that stands alone are documents each, as vLLM
            has it.
        field: What they are called on the wire.
        rank_fields: The fields of objects to read, in order and each once; "text" where None or
            empty.

    Raises:
        FieldError: a document has no text, or its fields hold too much that is not text.
        MalformedBodyError: a field to read is nested too deeply.
    """
    if _is_message(documents):
        return _read_parts(documents["content"], field=f"{field}.content")
    names = tuple(dict.fromkeys(rank_fields or ()))  # repeated, one would multiply a document
    _check_containers(documents, names, field=field)
    return [
        read_text(document, field=f"{field}[{index}]", rank_fields=names)
        for index, document in enumerate(as_list(documents))
    ]


def _check_containers(documents: Documents, names: Sequence[str], *, field: str) -> None:
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
    return "\n".join(_read_parts(content, field=field))


def _read_parts(content: Raw, *, field: str) -> list[str]:
    try:
        parts = decode_value(content, list[_Part])
    except FieldError as error:
        place = f"{field}{error.field or ''}"
        message = f"{place}: expected a string or a list of parts of type text"
        raise FieldError(message, field=place) from error
    return [_read_part(part, f"{field}[{index}]") for index, part in enumerate(parts)]


def _read_part(part: _Part, field: str) -> str:
    if part.type == "text" and part.text is not None:
        return part.text
    message = (
        f'{field}: expected an object of "type": "text" with a string in "text"'
        if part.type == "text"
        else f"{field}: this model reads text, not {part.type}; leave out parts of that type"
    )
    raise FieldError(message, field=field)


def kept_objects(documents: Documents, *, texts: Sequence[str] | None = None) -> dict[int, bytes]:
    """Give the documents that go back as more than their text, as JSON, by their index.

    Args:
        documents: As they came; nulls at the top are taken out, since copies of large objects
            would take long.
        texts: What was read of each, for those whose "text" is none: clients want a string there.
            Where None, they stay as they are.
    """
    kept: dict[int, bytes] = {}
    if _is_message(documents):
        return kept
    for index, document in enumerate(as_list(documents)):
        if isinstance(document, str) or (texts is not None and _is_only_text(document)):
            continue
        for name in [name for name, value in document.items() if value == NULL]:
            del document[name]
        if texts is not None and not _is_string(document.get("text", NULL)):
            document["text"] = Raw(msgspec.json.encode(texts[index]))
        kept[index] = msgspec.json.encode(document)
    return kept


def _is_only_text(document: dict[str, Raw]) -> bool:
    return document.keys() == {"text"} and _is_string(document["text"])
