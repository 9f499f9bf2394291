"""/v1/rerank with the shipped model: what clients of LocalAI and Jina send and expect."""

import itertools
import json
import math
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from ranklet.runtime.reranker import Reranker


def rerank(client: httpx.Client, **body: object) -> dict[str, Any]:
    response = client.post("/v1/rerank", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def holds_null(answer: object) -> bool:
    return "null" in re.split(r"[\s,:\[\]{}]+", json.dumps(answer))


def test_documented_curl_ranks_the_three_documents(
    client: httpx.Client, skincare: dict[str, Any]
) -> None:
    results = rerank(client, **skincare)["results"]
    indices = [result["index"] for result in results]
    assert indices[0] == 3
    assert sorted(indices) == [2, 3, 6]


def test_answer_has_what_clients_need_and_nothing_else(
    client: httpx.Client, skincare: dict[str, Any]
) -> None:
    answer = rerank(client, **skincare)
    assert set(answer) == {"id", "object", "model", "results", "usage", "meta"}
    assert answer["object"] == "list"
    assert answer["model"] == "jina-reranker-v1-base-en"
    assert answer["meta"] == {
        "api_version": {"version": "1"},
        "billed_units": {"search_units": 1},
        "tokens": {"input_tokens": answer["usage"]["prompt_tokens"], "output_tokens": 0},
    }
    for result in answer["results"]:
        assert set(result) == {"index", "relevance_score", "document"}
        assert result["document"] == {"text": skincare["documents"][result["index"]]}
        assert 0 <= result["relevance_score"] <= 1
    scores = [result["relevance_score"] for result in answer["results"]]
    assert scores == sorted(scores, reverse=True)
    assert not holds_null(answer)


def test_every_answer_has_its_own_id(client: httpx.Client) -> None:
    ids = {rerank(client, query="a", documents=["b"])["id"] for _ in range(5)}
    assert len(ids) == 5


def test_scores_and_usage_are_those_of_the_runtime(
    client: httpx.Client, skincare: dict[str, Any], bundle: Path
) -> None:
    answer = rerank(client, **{**skincare, "top_n": None})
    with Reranker.open(bundle) as reranker:
        scores = reranker.score(skincare["query"], skincare["documents"])
        pairs = reranker.submit(skincare["query"], skincare["documents"]).result()
    for result in answer["results"]:
        assert result["relevance_score"] == float(scores[result["index"]])
    tokens = int(pairs.tokens.sum())
    assert answer["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}


def test_a_score_is_the_same_whatever_else_is_scored_at_the_same_time(
    client: httpx.Client, skincare: dict[str, Any]
) -> None:
    alone = [
        rerank(client, query=skincare["query"], documents=[document])["results"][0]
        for document in skincare["documents"]
    ]
    with ThreadPoolExecutor(8) as pool:
        answers = [
            future.result()
            for future in [
                pool.submit(rerank, client, **{**skincare, "top_n": 10}) for _ in range(24)
            ]
        ]
    for answer in answers:
        for result in answer["results"]:
            assert result["relevance_score"] == alone[result["index"]]["relevance_score"]


@pytest.mark.parametrize("top_n", [None, 10, 11, 99_999_999_999_999_999_999_999])
def test_top_n_gives_all_where_absent_or_too_large(
    client: httpx.Client, skincare: dict[str, Any], top_n: int | None
) -> None:
    assert len(rerank(client, **{**skincare, "top_n": top_n})["results"]) == 10


def test_null_counts_as_absent(client: httpx.Client) -> None:
    optional = ("model", "top_n", "return_documents", "raw_scores", "rank_fields")
    answer = rerank(client, query="a", documents=["b", "c"], **dict.fromkeys(optional))
    assert len(answer["results"]) == 2
    assert not holds_null(answer)


@pytest.mark.parametrize("model", [None, ""])
def test_the_default_model_answers_where_none_is_named(
    client: httpx.Client, model: str | None
) -> None:
    answer = rerank(client, query="a", documents=["b"], model=model)
    assert answer["model"] == "jina-reranker-v1-base-en"


def test_unknown_fields_are_ignored(client: httpx.Client) -> None:
    rerank(client, query="a", documents=["b"], backend="rerankers", truncation=True, x=[{"y": 1}])


def test_documents_may_be_objects_and_keep_their_other_fields(client: httpx.Client) -> None:
    documents = [{"text": "skin", "id": 7, "title": None}, "skin", {"text": "sun"}]
    results = rerank(client, query="skin", documents=documents)["results"]
    by_index = {result["index"]: result for result in results}
    assert by_index[0]["document"] == {"text": "skin", "id": 7}
    assert by_index[0]["relevance_score"] == by_index[1]["relevance_score"]


def test_fields_of_documents_come_back_as_they_came(
    post: Callable[[object], httpx.Response],
) -> None:
    fields = rb'"a": [1E2, -0.5, {"b": null}, "\u00e9\ud83d\ude00"], "\u00e9": true, "c": " \ud800"'
    answer = post(b'{"query": "a", "documents": [{%s, "d": null, "text": "b"}]}' % fields).json()
    assert answer["results"][0]["document"] == {
        "a": [100.0, -0.5, {"b": None}, "é😀"],
        "é": True,
        "c": " �",
        "text": "b",
    }


def test_equal_documents_keep_their_order(client: httpx.Client) -> None:
    results = rerank(client, query="skin", documents=["same"] * 5)["results"]
    assert [result["index"] for result in results] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(False, False), ("false", False), ("False", False), (True, True), ("true", True)],
)
def test_return_documents(client: httpx.Client, value: object, expected: bool) -> None:
    answer = rerank(client, query="a", documents=["b"], return_documents=value)
    assert ("document" in answer["results"][0]) is expected


def test_raw_scores_are_logits_in_the_same_order(
    client: httpx.Client, skincare: dict[str, Any]
) -> None:
    scores = rerank(client, **skincare)["results"]
    logits = rerank(client, **skincare, raw_scores="true")["results"]
    for score, logit in zip(scores, logits, strict=True):
        assert score["index"] == logit["index"]
        expected = 1 / (1 + math.exp(-logit["relevance_score"]))
        assert score["relevance_score"] == pytest.approx(expected, rel=1e-5)
    assert any(abs(logit["relevance_score"]) > 1 for logit in logits)


def test_a_long_query_is_cut_with_a_warning(client: httpx.Client) -> None:
    answer = rerank(client, query="skin care " * 1000, documents=["b"])
    assert "160" in answer["meta"]["warnings"][0]
    assert "320" in answer["meta"]["warnings"][0]
    assert answer["usage"]["total_tokens"] <= 320


def test_no_documents_give_no_results(client: httpx.Client) -> None:
    answer = rerank(client, query="a", documents=[])
    assert answer["results"] == []
    assert answer["usage"] == {"prompt_tokens": 0, "total_tokens": 0}


ODDITIES = {
    "empty": "",
    "blank": " \n\t ",
    "nul": "a\x00b",
    "right to left": "שלום עולם",
    "emoji": "👩‍👩‍👧 family",
    "special tokens": "[CLS] [SEP] [PAD]",
    "long": "natural skin care " * 55_000,
    "one long word": "x" * 1_000_000,
}


@pytest.mark.parametrize("text", ODDITIES.values(), ids=ODDITIES)
def test_odd_text_is_scored(client: httpx.Client, text: str) -> None:
    answer = rerank(client, query=text, documents=["skin", text])
    assert {result["index"] for result in answer["results"]} == {0, 1}
    by_index = {result["index"]: result for result in answer["results"]}
    assert by_index[1]["document"] == {"text": text}


def test_search_units_count_hundreds_of_documents(client: httpx.Client) -> None:
    answer = rerank(client, query="a", documents=["b"] * 101, return_documents=False)
    assert answer["meta"]["billed_units"] == {"search_units": 2}


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", None])
def test_json_is_read_whatever_the_content_type(
    client: httpx.Client, content_type: str | None
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    content = json.dumps({"query": "a", "documents": ["b"]}).encode()
    assert client.post("/v1/rerank", content=content, headers=headers).status_code == 200


def test_models_tells_what_is_behind_the_name(client: httpx.Client) -> None:
    models = client.get("/v1/models").json()
    assert models["object"] == "list"
    [model] = models["data"]
    assert model["id"] == "jina-reranker-v1-base-en"
    assert model["object"] == "model"
    assert model["status"] == "ready"
    assert model["bundle"] == "ranklet-mini"
    assert model["is_default"]
    assert model["variant"]
    assert not holds_null(models)


def test_requests_share_the_workers_fairly(client: httpx.Client) -> None:
    """A request of few documents does not wait for one of many that came before it."""
    texts = (f"{number} " + "natural skin care " * 60 for number in itertools.count())
    many = list(itertools.islice(texts, 150))
    finished: list[str] = []

    def ask(name: str, documents: list[str]) -> None:
        rerank(client, query="skin", documents=documents, return_documents=False)
        finished.append(name)

    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(ask, "many", many)
        quick = pool.submit(ask, "few", ["sun", "skin"])
        slow.result()
        quick.result()
    assert finished == ["few", "many"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"query": "a", "documents": ["b", "skin " * 500]}, "documents[1]"),
        ({"query": "skin " * 500, "documents": ["b"]}, "query"),
    ],
)
def test_what_would_be_cut_is_refused_where_truncation_is_false(
    post: Callable[[object], httpx.Response], body: dict[str, Any], field: str
) -> None:
    assert post({**body, "truncation": True}).status_code == 200
    assert post({"query": "a", "documents": ["b"], "truncation": False}).status_code == 200
    response = post({**body, "truncation": "false"})
    assert response.status_code == 422
    assert response.json()["error"]["param"] == field
    assert "set truncation to true" in response.json()["detail"]
