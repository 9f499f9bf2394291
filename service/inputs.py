"""What is to be ranked, as it comes: strings, objects with fields, messages of parts."""

from collections.abc import Mapping, Sequence
from typing import TypeGuard

import msgspec
from msgspec import Raw

from .body import NULL, decode_value
from .errors import FieldError

_MAX_CONTAINERS = 100_000
"""Lists and objects in all that is read of the objects of a request. Making so many of them takes
20 ms, during which nothing else is answered; 16 MB can hold four million."""


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
        _check_containers([(field, documents)], {})
        return _read_parts(documents["content"], field=f"{field}.content")
    names = dict.fromkeys(rank_fields or ())  # repeated, one would multiply a document
    order = {name: place for place, name in enumerate(names)}
    placed = [(f"{field}[{index}]", one) for index, one in enumerate(as_list(documents))]
    _check_containers(placed, order)
    return [_read(document, field=place, order=order) for place, document in placed]


def read_text(value: Document, *, field: str) -> str:
    """Give the text of a string or an object, as ``read_texts`` does without ``rank_fields``."""
    _check_containers([(field, value)], {})
    return _read(value, field=field, order={})


def _check_containers(placed: Sequence[tuple[str, Document]], order: Mapping[str, int]) -> None:
    """Refuse fields that would take long to read, before any is read."""
    found = 0
    for place, document in placed:
        if isinstance(document, str):
            continue
        named = _named(document, order)
        for name in named or _message_fields(document):
            value = document[name]
            if not _is_string(value):
                found += _count_containers(value) if named else _count_parts(value)
            if found > _MAX_CONTAINERS:
                instead = f", or leave {name} out of rank_fields" if named else ""
                message = (
                    f"{place}.{name}: with this, what is read holds more than "
                    f"{_MAX_CONTAINERS:,} lists and objects; send it as a string{instead}"
                )
                raise FieldError(message, field=f"{place}.{name}")


def _count_containers(value: Raw) -> int:
    """Count brackets, those in strings too: to tell them apart is to read the field."""
    spelled = bytes(value)
    return spelled.count(b"[") + spelled.count(b"{")


def _count_parts(content: Raw) -> int:
    """Count a message's parts, or more: each has a brace and four quotation marks at least."""
    spelled = bytes(content)
    return min(spelled.count(b"{"), spelled.count(b'"') // 4)


def _named(document: dict[str, Raw], order: Mapping[str, int]) -> list[str]:
    """Give the fields that ``rank_fields`` names, in its order, but for null.

    It looks at the document's fields or at the names, whichever are fewer: a thousand documents
    and as many names would be a million looks.
    """
    names = sorted(document.keys() & order.keys(), key=order.__getitem__)
    return [name for name in names if document[name] != NULL]


def _message_fields(document: dict[str, Raw]) -> list[str]:
    return ["content"] if document.get("text", NULL) == NULL and "content" in document else []


def _read(value: Document, *, field: str, order: Mapping[str, int]) -> str:
    if isinstance(value, str):
        return value
    if parts := _named(value, order):
        return "\n".join(_spelled(value[name]) for name in parts)
    text = value.get("text", NULL)
    if _is_string(text):
        return decode_value(text, str)
    if _message_fields(value):
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
