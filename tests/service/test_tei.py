"""What clients of text-embeddings-inference send and expect."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from ranklet import __version__
from ranklet.service.dialects.tei import DIALECT

StartServer = Callable[..., tuple["subprocess.Popen[str]", httpx.Client]]

QUERY = "what is the capital city of france"
TEXTS = ["the moon is old", "paris is the capital of france", "a large city on the river"]


def rank(client: httpx.Client, /, **body: object) -> httpx.Response:
    response = client.post("/rerank", json={"query": QUERY, "texts": TEXTS, **body})
    assert response.status_code == 200, response.text
    return response


@pytest.mark.parametrize("path", [*DIALECT.paths, *DIALECT.shared_paths])
def test_a_bare_list_best_first(tiny_client: httpx.Client, path: str) -> None:
    response = tiny_client.post(path, json={"query": QUERY, "texts": TEXTS})
    ranks: list[dict[str, Any]] = response.json()
    assert [set(item) for item in ranks] == [{"index", "score"}] * 3
    scores = [item["score"] for item in ranks]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score < 1 for score in scores)


def test_options_as_clients_send_them(tiny_client: httpx.Client) -> None:
    plain = rank(tiny_client).json()
    options: dict[str, object] = {
        "raw_scores": False,
        "return_text": False,
        "truncate": True,
        "truncation_direction": "Right",
    }
    assert rank(tiny_client, **options).json() == plain
    assert rank(tiny_client, **dict.fromkeys(options)).json() == plain


def test_text_and_raw_scores_where_asked(tiny_client: httpx.Client) -> None:
    plain = rank(tiny_client).json()
    ranks: list[dict[str, Any]] = rank(tiny_client, return_text=True, raw_scores=True).json()
    assert [item["index"] for item in ranks] == [item["index"] for item in plain]
    assert [item["text"] for item in ranks] == [TEXTS[item["index"]] for item in ranks]
    assert any(item["score"] < 0 or item["score"] > 1 for item in ranks)


def test_top_n_as_llama_cpps_server(tiny_client: httpx.Client) -> None:
    assert rank(tiny_client, top_n=1).json() == rank(tiny_client).json()[:1]


@pytest.mark.parametrize("direction", ["Left", "left"])
def test_the_direction_of_truncation_is_heeded(tiny_client: httpx.Client, direction: str) -> None:
    long = "the moon " * 100
    texts = [long + "paris is the capital city of france", "moon " + long]
    right = rank(tiny_client, texts=texts, truncation_direction="Right").json()
    left = rank(tiny_client, texts=texts, truncation_direction=direction).json()
    scores = [{item["index"]: item["score"] for item in ranks} for ranks in (right, left)]
    assert scores[1][0] > scores[0][0] + 0.1
    assert left[0]["index"] == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [({"texts": ["moon", "moon " * 100]}, "texts[1]"), ({"query": "moon " * 100}, "query")],
)
def test_what_is_too_long_is_refused_where_truncate_is_false(
    tiny_client: httpx.Client, body: dict[str, Any], field: str
) -> None:
    assert len(rank(tiny_client, **body).json()) == len(body.get("texts", TEXTS))
    content = {"query": "moon", "texts": TEXTS, **body, "truncate": False}
    response = tiny_client.post("/rerank", json=content)
    assert response.status_code == 422
    assert response.json()["error_type"] == "Validation"
    assert response.json()["error"].startswith(f"{field} is longer")


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        ({"query": "moon " * 40, "texts": ["moon"]}, "the 32 tokens that it may take of"),
        ({"query": "moon " * 9, "texts": ["moon " * 100]}, "what the query, of 9 tokens,"),
    ],
)
def test_what_is_refused_is_told_its_limit(
    tiny_client: httpx.Client, body: dict[str, Any], limit: str
) -> None:
    """The query may take half of the window, however short the texts are."""
    error = tiny_client.post("/rerank", json={**body, "truncate": False}).json()["error"]
    assert limit in error
    assert "window of 64; shorten it, or set truncate to true" in error


def test_what_fits_is_ranked_where_truncate_is_false(tiny_client: httpx.Client) -> None:
    assert rank(tiny_client, truncate=False).json() == rank(tiny_client).json()


def test_headers_tell_what_was_computed(tiny_client: httpx.Client) -> None:
    headers = rank(tiny_client).headers
    assert headers["x-compute-type"] == "cpu"
    assert int(headers["x-compute-characters"]) == len(QUERY) + sum(map(len, TEXTS))
    usage = tiny_client.post("/v1/rerank", json={"query": QUERY, "documents": TEXTS}).json()
    assert int(headers["x-compute-tokens"]) == usage["usage"]["total_tokens"]
    times = [name for name in DIALECT.headers if name.endswith("-time")]
    assert len(times) == 5
    assert all(0 <= int(headers[name]) < 60_000 for name in times)


@pytest.mark.parametrize(
    ("content", "status", "error_type"),
    [
        (b'{"query": "a", "texts": []}', 400, "Empty"),
        (b'{"query": 1, "texts": ["a"]}', 422, "Validation"),
        (b'{"query": "a", "texts": [{}]}', 422, "Validation"),
        (b'{"query": "a", "texts": ["a"], "truncation_direction": "Up"}', 422, "Validation"),
        (b'{"query": "a", "texts": ["a"], "model": "nobody"}', 404, "Validation"),
        (b'{"query": "a", "texts": ["a"], "model": "absent"}', 503, "Unhealthy"),
        (b'{"query": "a", "texts": ["%s"]}' % (b"b" * 20_001), 413, "Validation"),
    ],
)
def test_errors_have_their_own_shape(
    tiny_client: httpx.Client, content: bytes, status: int, error_type: str
) -> None:
    response = tiny_client.post("/rerank", content=content)
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error", "error_type"}
    assert response.json()["error_type"] == error_type
    assert response.json()["error"]


@pytest.mark.parametrize("path", DIALECT.paths)
def test_a_body_that_is_not_json_has_the_shape_of_the_path(
    tiny_client: httpx.Client, path: str
) -> None:
    response = tiny_client.post(path, content=b"{")
    assert response.status_code == 400
    assert set(response.json()) == {"error", "error_type"}


def test_info_tells_the_model_and_the_limits(tiny_client: httpx.Client) -> None:
    info = tiny_client.get("/info").json()
    assert info["model_id"]
    assert set(info["model_type"]) == {"reranker"}
    assert (info["max_input_length"], info["max_client_batch_size"]) == (64, 1000)
    assert info["version"] == __version__
    assert info["model_dtype"] in {"int8", "float32"}
    assert info["max_batch_tokens"] == 64
    assert info["tokenization_workers"] >= 1
    assert (info["max_batch_requests"], info["sha"], info["docker_label"]) == (0, "", "")
    assert tiny_client.get("/v1/info").json() == info


def test_info_promises_no_more_texts_than_may_wait(
    start_server: StartServer, tiny_bundle: Path, tmp_path: Path
) -> None:
    config = tmp_path / "models.yaml"
    config.write_text(
        f"name: chunked\nbackend: rerankers\nparameters: {{model: {tiny_bundle}}}\n"
        "long_documents: chunk\n"
    )
    for words, most in ((["--model", tiny_bundle], 50), (["--config", config], 5)):
        _, client = start_server(*words, "--max-queued-pairs", "50")
        assert client.get("/info").json()["max_client_batch_size"] == most
        rank(client, texts=["moon " * 10_000] * most)
        over = {"query": QUERY, "texts": ["moon " * 10_000] * (most + 1)}
        assert client.post("/rerank", json=over).status_code == 413


def test_only_the_lack_of_texts_is_of_type_empty(tiny_client: httpx.Client) -> None:
    for content, kind in [(b'{"query": "a", "texts": []}', "Empty"), (b"{", "Validation")]:
        response = tiny_client.post("/", content=content)
        assert response.status_code == 400
        assert response.json()["error_type"] == kind
