"""The border: from a request's bytes to a struct, or to an error that says what to change.

Litestar would answer 400 to every wrong value and 500 to what is not UTF-8, so bodies are decoded
here; ``arrival`` reads them.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Literal, TypeVar, cast, get_args, get_origin, get_type_hints

import msgspec
from msgspec import UNSET, Raw, UnsetType

from .errors import FieldError, MalformedBodyError, TooLargeError

_Body = TypeVar("_Body")

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_LONE_SURROGATE = re.compile(
    rb"\\u[dD](?:"
    rb"[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"  # a first half without a second
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])[c-fC-F][0-9a-fA-F]{2})"  # the other way round
)
"""Where no backslash is escaped itself."""

_NOT_IN_JSON = b"\0"

NULL = Raw(b"null")

_TYPE_WORDS = {
    "str": "a string",
    "int": "an integer",
    "bool": "true or false",
    "float": "a number",
    "object": "an object",
    "array": "an array",
    "null": "null",
}


def readable(content: bytes) -> bytes:
    """Give a body as it can be decoded, without byte order mark.

    Lone surrogates, which JSON can spell and UTF-8 cannot, are replaced by U+FFFD.
    """
    content = content.removeprefix(_BYTE_ORDER_MARK)
    if b"\\" not in content or _is_json(content) or _NOT_IN_JSON in content:
        return content
    marked = content.replace(rb"\\", _NOT_IN_JSON)
    return _LONE_SURROGATE.sub(rb"\\ufffd", marked).replace(_NOT_IN_JSON, rb"\\")


def _is_json(content: bytes) -> bool:
    try:
        msgspec.json.decode(content, type=Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def decode_body(content: bytes, kind: type[_Body]) -> _Body:
    """Decode JSON that is ``readable``, whatever the content type says.

    Raises:
        MalformedBodyError: it is not JSON or not UTF-8.
        FieldError: a field is missing or has a wrong value.
    """
    try:
        body = decode_value(content, kind)
        if not content.isascii():
            content.decode()  # msgspec does not look into what it leaves as it came
    except UnicodeDecodeError as error:
        message = f"the body is not UTF-8: {error.reason}; send JSON encoded as UTF-8"
        raise MalformedBodyError(message) from error
    return body


def check_lists(body: msgspec.Struct, *, limit: int, documents_field: str) -> None:
    """Refuse lists of more than ``limit`` items before anybody reads them.

    Raises:
        TooLargeError: names the field as the caller does.
    """
    for name in body.__struct_fields__:
        value = getattr(body, name)
        if isinstance(value, list) and len(cast("list[object]", value)) > limit:
            raise TooLargeError(
                what="documents" if name == documents_field else f"items in {name}",
                found=len(cast("list[object]", value)),
                limit=limit,
                setting="RANKLET_MAX_DOCUMENTS",
                field=name,
            )


def drop_texts(body: msgspec.Struct) -> None:
    """Drop lists and objects that have been read, and with them the bytes that they view.

    A body waits for its scores as long as its texts do, for a few flags that the answer needs.
    """
    for name in body.__struct_fields__:
        if isinstance(getattr(body, name), list | dict):
            setattr(body, name, None)


def field_names(content: bytes, among: Sequence[str]) -> frozenset[str]:
    """Give those of the names that a body has as fields that are not null; none where broken."""
    try:
        body = decode_value(content, _fields_as_they_came(tuple(among)))
    except (MalformedBodyError, FieldError, UnicodeDecodeError):
        return frozenset()
    return frozenset(name for name in among if getattr(body, name) not in (UNSET, NULL))


@cache
def _fields_as_they_came(names: tuple[str, ...]) -> type[msgspec.Struct]:
    """Make a struct of these fields alone: others may be a million, and are only skipped."""
    return msgspec.defstruct("Fields", [(name, Raw | UnsetType, UNSET) for name in names])


def decode_value(content: bytes | Raw, kind: type[_Body]) -> _Body:
    """Decode a value that was left as it came; raises as ``decode_body``."""
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as error:
        raise _field_error(str(error), kind) from error
    except msgspec.DecodeError as error:
        message = f"the body is not JSON: {error}"
        raise MalformedBodyError(message) from error
    except RecursionError as error:
        message = "the body is nested too deeply"
        raise MalformedBodyError(message) from error


def _field_error(text: str, kind: type[object]) -> FieldError:
    """Say in the caller's words what msgspec found: "Expected `str`, got `int` - at `$.query`"."""
    problem, at, place = text.rpartition(" - at `$")  # the last: what is quoted may have it, too
    if not at:
        problem, place = place, ""
    field = place.rstrip("`").removeprefix(".")
    missing = re.fullmatch(r"Object missing required field `(\w+)`", problem)
    if missing:
        field = f"{field}.{missing[1]}".removeprefix(".")
        return FieldError(f"{field} is required", field=field)
    words = re.sub(r"`([^`]*)`", _type_in_words, problem)
    words = words[:1].lower() + words[1:]
    if problem.startswith("Invalid enum value"):
        words += _instead(kind, field)
    return FieldError(f"{field or 'the body'}: {words}", field=field or None)


def _instead(kind: type[object], field: str) -> str:
    """Tell what to send for a field of which only some values are known."""
    hint = get_type_hints(kind).get(field) if issubclass(kind, msgspec.Struct) else None
    options = get_args(hint)
    literals = [option for option in options if get_origin(option) is Literal]
    choices = [repr(choice) for option in literals for choice in get_args(option)]
    if bool in options:  # spelled as strings they are taken, but nobody should be told to
        choices = ["true", "false"]
    return f"; send {' or '.join(choices)}" if choices else ""


def _type_in_words(match: re.Match[str]) -> str:
    names = [name.strip() for name in match[1].split("|")]
    return " or ".join(dict.fromkeys(_TYPE_WORDS.get(name, name) for name in names))
