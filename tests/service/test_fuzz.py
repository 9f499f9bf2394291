"""Whatever is sent, the server answers sensibly and never with 500."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

Post = Callable[[object], httpx.Response]

TEXT = st.text(st.characters(codec=None, categories=None), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
DOCUMENT = TEXT | st.dictionaries(st.just("text") | TEXT, TEXT | JSON, max_size=3)
BODIES = st.fixed_dictionaries(
    {"query": TEXT | JSON, "documents": st.lists(DOCUMENT | JSON, max_size=4) | JSON},
    optional={
        "model": st.none() | st.sampled_from(["tiny", "absent", "nobody", ""]) | JSON,
        "top_n": st.none() | st.integers(-2, 5) | JSON,
        "return_documents": st.none() | st.booleans() | st.sampled_from(["true", "no"]) | JSON,
        "raw_scores": st.booleans() | JSON,
    },
)

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def check(response: httpx.Response) -> None:
    assert response.status_code in {200, 400, 404, 413, 422, 503}, response.text
    body: dict[str, Any] = json.loads(response.content.decode())
    if response.status_code == 200:
        assert set(body) == {"id", "object", "model", "results", "usage", "meta"}
    else:
        assert set(body) == {"error", "detail", "message"}
        assert response.status_code != 503 or body["error"]["code"] == "model_not_installed"


@relaxed
@given(BODIES)
def test_any_json(post: Post, body: object) -> None:
    check(post(body))


@relaxed
@given(st.binary())
@example(b"")
def test_any_bytes(post: Post, content: bytes) -> None:
    check(post(content))


@relaxed
@given(BODIES, st.data())
def test_broken_json(post: Post, body: object, data: st.DataObject) -> None:
    content = bytearray(json.dumps(body, ensure_ascii=data.draw(st.booleans())), "utf-8", "replace")
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(content) - 1))
        content[position : position + data.draw(st.integers(0, 2))] = data.draw(
            st.binary(max_size=3)
        )
        content = content or bytearray(b" ")
    check(post(bytes(content)))


@pytest.mark.parametrize("place", ["document", "unknown"])
def test_any_depth(post: Post, place: str) -> None:
    """What can be read can also be written back, up to Python's limit of recursion."""
    bodies = {
        "document": b'{"query": "a", "documents": [{"text": "b", "x": %s}]}',
        "unknown": b'{"query": "a", "documents": ["b"], "x": %s}',
    }
    for depth in (10, *range(950, 1010), 100_000):
        response = post(bodies[place] % (b"[" * depth + b"]" * depth))
        assert response.status_code in {200, 400}
