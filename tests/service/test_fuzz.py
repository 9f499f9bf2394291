"""Whatever is sent, the server answers sensibly and never with 500."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ranklet.service.dialect import all_dialects, dialects_by_path

Post = Callable[[object], httpx.Response]

TEXT = st.text(st.characters(codec=None, categories=None), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
PATHS = st.sampled_from(sorted(dialects_by_path(all_dialects())))
DOCUMENT = TEXT | st.dictionaries(st.just("text") | TEXT, TEXT | JSON, max_size=3)
PART = st.fixed_dictionaries({"type": st.sampled_from(["text", "image_url"]), "text": TEXT | JSON})
MESSAGE = st.fixed_dictionaries({"content": st.lists(PART, max_size=2) | JSON})
DOCUMENTS = st.lists(DOCUMENT | MESSAGE | JSON, max_size=4) | TEXT | MESSAGE | JSON
FLAG = st.none() | st.booleans() | st.sampled_from(["true", "no"]) | JSON
NUMBER = st.none() | st.integers(-2, 5) | st.integers() | JSON
BODIES = st.fixed_dictionaries(
    {"query": TEXT | MESSAGE | JSON},
    optional={
        **dict.fromkeys(("documents", "texts", "input", "passages"), DOCUMENTS),
        **dict.fromkeys(("text_1", "text_2", "items"), DOCUMENTS),
        "model": st.none() | st.sampled_from(["tiny", "absent", "nobody", ""]) | JSON,
        "rank_fields": st.none() | st.lists(TEXT, max_size=2) | JSON,
        "truncation_side": st.sampled_from(["left", "right"]) | JSON,
        "truncation_direction": st.sampled_from(["Left", "right"]) | JSON,
        **dict.fromkeys(("top_n", "top_k", "max_chunks_per_doc"), NUMBER),
        **dict.fromkeys(("max_tokens_per_doc", "truncate_prompt_tokens"), NUMBER),
        **dict.fromkeys(("return_documents", "return_text", "return_input"), FLAG),
        **dict.fromkeys(("raw_scores", "use_activation", "truncate"), FLAG),
    },
)

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def check(response: httpx.Response) -> None:
    assert response.status_code in {200, 400, 404, 413, 422, 503}, response.text
    body: Any = json.loads(response.content.decode())
    if response.status_code != 200:
        assert set(body) in ({"error", "detail", "message"}, {"error", "error_type"})
        assert response.status_code != 503 or "is not installed" in response.text


@relaxed
@given(PATHS, BODIES)
def test_any_json(tiny_client: httpx.Client, path: str, body: object) -> None:
    check(tiny_client.post(path, content=json.dumps(body)))


@relaxed
@given(PATHS, st.binary())
@example("/v1/rerank", b"")
def test_any_bytes(tiny_client: httpx.Client, path: str, content: bytes) -> None:
    check(tiny_client.post(path, content=content))


@relaxed
@given(PATHS, BODIES, st.data())
def test_broken_json(
    tiny_client: httpx.Client, path: str, body: object, data: st.DataObject
) -> None:
    content = bytearray(json.dumps(body, ensure_ascii=data.draw(st.booleans())), "utf-8", "replace")
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(content) - 1))
        content[position : position + data.draw(st.integers(0, 2))] = data.draw(
            st.binary(max_size=3)
        )
        content = content or bytearray(b" ")
    check(tiny_client.post(path, content=bytes(content)))


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
