"""From bytes to structs, or to an error that says what to change."""

import json
from contextlib import suppress
from typing import Annotated

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranklet.service.body import decode_body
from ranklet.service.errors import FieldError, MalformedBodyError


class Inner(msgspec.Struct):
    text: str


class Body(msgspec.Struct):
    query: str
    items: list[Inner] = []
    count: Annotated[int, msgspec.Meta(ge=1)] | None = None


@pytest.mark.parametrize(
    ("spelled", "expected"),
    [
        (r"\ud800", "\ufffd"),
        (r"\udc00 and \uD83D\uDE00", "\ufffd and 😀"),
        (r"\ud800\ud800\udc00", "\ufffd\U00010000"),
        (r"a\\ud800", r"a\ud800"),
        (r"\\\ud800", "\\\ufffd"),
        (r"\ud83d\n", "\ufffd\n"),
    ],
)
def test_lone_surrogates_are_replaced(spelled: str, expected: str) -> None:
    assert decode_body(b'{"query": "%s"}' % spelled.encode(), Body).query == expected


@given(st.text(st.characters(codec=None, categories=None)))
def test_any_text_that_json_can_spell_is_read(text: str) -> None:
    """Python spells lone surrogates; what is read is text that UTF-8 can spell."""
    query = decode_body(json.dumps({"query": text}).encode(), Body).query
    expected = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert query.encode() == expected.encode()


def test_a_byte_order_mark_is_skipped() -> None:
    assert decode_body(b'\xef\xbb\xbf{"query": "a"}', Body).query == "a"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{}", "query is required"),
        (b'{"query": "a", "items": [{}]}', "items[0].text is required"),
        (b'{"query": "a", "items": [{"text": 1}]}', "items[0].text: expected a string"),
        (b'{"query": "a", "count": 0}', "count: expected an integer"),
        (b'{"query": "a", "count": "1"}', "count: expected an integer or null, got a string"),
        (b"[]", "the body: expected an object, got an array"),
    ],
)
def test_fields_are_named(content: bytes, message: str) -> None:
    with pytest.raises(FieldError) as caught:
        decode_body(content, Body)
    assert str(caught.value).startswith(message)


@given(st.binary())
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with suppress(FieldError, MalformedBodyError):
        decode_body(content, Body)
