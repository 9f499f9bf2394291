"""From bytes to structs, or to an error that says what to change."""

import json
import sys
import tracemalloc
from contextlib import suppress
from types import FrameType
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranklet.service.body import decode_body, field_names, readable
from ranklet.service.errors import FieldError, MalformedBodyError


class Inner(msgspec.Struct):
    text: str


class Body(msgspec.Struct):
    query: str
    items: list[Inner] = []
    count: Annotated[int, msgspec.Meta(ge=1)] | None = None
    side: Literal["left"] | None = None


@pytest.mark.parametrize(
    ("spelled", "expected"),
    [
        (r"\ud800", "\ufffd"),
        (r"\udc00 and \uD83D\uDE00", "\ufffd and 😀"),
        (r"\ud800\ud800\udc00", "\ufffd\U00010000"),
        (r"a\\ud800", r"a\ud800"),
        (r"\\\ud800", "\\\ufffd"),
        (r"\ud83d\n", "\ufffd\n"),
        (r"\\\\\udc00\\", "\\\\\ufffd\\"),
    ],
)
def test_lone_surrogates_are_replaced(spelled: str, expected: str) -> None:
    content = readable(b'{"query": "%s"}' % spelled.encode())
    assert decode_body(content, Body).query == expected


@given(st.text(st.characters(codec=None, categories=None)))
def test_any_text_that_json_can_spell_is_read(text: str) -> None:
    """Python spells lone surrogates; what is read is text that UTF-8 can spell."""
    query = decode_body(readable(json.dumps({"query": text}).encode()), Body).query
    expected = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert query.encode() == expected.encode()


@pytest.mark.parametrize("escape", [r"\n", r"\ud83d\ude00", r"\ud800"])
def test_replacing_takes_no_call_an_escape(escape: str) -> None:
    """Else a body of nothing but escapes would stop the server for seconds."""
    content = rb'{"texts": null, "query": "\ud800%s"}' % (escape.encode() * 10_000)
    called: list[str] = []

    def note(frame: FrameType, _: str, _argument: object) -> None:
        called.append(frame.f_code.co_name)

    sys.setprofile(note)
    try:
        content = readable(content)
        field_names(content, ["texts", "query"])
        query = decode_body(content, Body).query
    finally:
        sys.setprofile(None)
    assert len(query) in {10_001, 20_001}
    assert len(called) < 1_000


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b'{"texts": [1], "x": {"documents": []}}', {"texts"}),
        (b'{"texts": null, "te\\u0078ts2": 1, "documents": ""}', {"documents"}),
        (b"[]", set[str]()),
        (b"{", set[str]()),
        (b'{"texts": "\xff"}', {"texts"}),
    ],
)
def test_fields_tell_dialects_apart(content: bytes, names: set[str]) -> None:
    assert field_names(content, ["documents", "texts"]) == names


def test_fields_that_tell_nothing_are_not_kept() -> None:
    """A dictionary of all of them took 100 ms a megabyte."""
    fields = b",".join(b'"%x": 0' % number for number in range(100_000))
    tracemalloc.start()
    try:
        assert field_names(b'{"texts": [], %s}' % fields, ["documents", "texts"]) == {"texts"}
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * len(fields)


def test_what_is_not_json_is_not_made_json() -> None:
    for content in (b'{"query": "\\ud800\0\0"}', b'{"query": "\\ud800\0\\\\\0"}'):
        with pytest.raises(MalformedBodyError):
            decode_body(readable(content), Body)


def test_a_byte_order_mark_is_skipped() -> None:
    assert decode_body(readable(b'\xef\xbb\xbf{"query": "a"}'), Body).query == "a"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{}", "query is required"),
        (b'{"query": "a", "items": [{}]}', "items[0].text is required"),
        (b'{"query": "a", "items": [{"text": 1}]}', "items[0].text: expected a string"),
        (b'{"query": "a", "count": 0}', "count: expected an integer"),
        (b'{"query": "a", "count": "1"}', "count: expected an integer or null, got a string"),
        (b"[]", "the body: expected an object, got an array"),
        (b'{"query": "a", "side": " - at `$.b"}', "side: invalid enum value ' - at `$.b'"),
    ],
)
def test_fields_are_named(content: bytes, message: str) -> None:
    with pytest.raises(FieldError) as caught:
        decode_body(content, Body)
    assert str(caught.value).startswith(message)


@given(st.binary())
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with suppress(FieldError, MalformedBodyError):
        decode_body(readable(content), Body)
