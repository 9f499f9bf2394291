"""What each dialect understands and answers beside /v1/rerank's own: paths, fields, shapes."""

import json
import re
from collections.abc import Callable
from typing import Any, ClassVar

import httpx
import pytest

from ranklet.service.body import decode_body
from ranklet.service.dialect import all_dialects, dialects_by_path
from ranklet.service.dialects.rerank_v1 import DIALECT as RERANK

Ask = Callable[..., Any]

QUERY = "what is the capital city of france"
DOCUMENTS = ["the moon is old", "paris is the capital of france", "a large city on the river"]
LONG = "the moon " * 60 + "paris is the capital city of france " + "the moon " * 60


@pytest.fixture
def ask(tiny_client: httpx.Client) -> Ask:
    """Posts fields to a path and gives the answer, which holds no null."""

    def post(path: str, **body: object) -> Any:  # noqa: ANN401 - JSON is anything
        response = tiny_client.post(path, json=body)
        assert response.status_code == 200, response.text
        assert "null" not in re.split(r"[^a-z]+", response.text)
        return response.json()

    return post


def scores_of(answer: dict[str, Any]) -> dict[int, float]:
    return {result["index"]: result["relevance_score"] for result in answer["results"]}


def windows_read(chunks: int, documents: int) -> int | None:
    """Give the most windows of a document where a body asks for ``chunks``."""
    fields = {"query": "a", "documents": ["b"] * documents, "max_chunks_per_doc": chunks}
    return RERANK.read(decode_body(json.dumps(fields).encode(), RERANK.body)).max_windows


def test_every_path_has_one_owner() -> None:
    dialects = all_dialects()
    paths = [path for dialect in dialects for path in dialect.paths]
    assert len(paths) == len(set(paths))
    by_path = dialects_by_path(dialects)
    for dialect in dialects:
        assert all(dialect in by_path[path] for path in (*dialect.paths, *dialect.shared_paths))
    for spoken in by_path.values():
        fields = [dialect.documents_field for dialect in spoken]
        assert len(fields) == len(set(fields))


@pytest.mark.parametrize(
    "path", ["/v1/rerank", "/rerank", "/jina/v1/rerank", "/v3/rerank", "/v1/rerank/"]
)
def test_the_union_is_answered_on_all_its_paths(ask: Ask, path: str) -> None:
    answer = ask(path, query=QUERY, documents=DOCUMENTS, top_n=1)
    expected = ask("/v1/rerank", query=QUERY, documents=DOCUMENTS, top_n=1)
    assert answer.pop("id") != expected.pop("id")
    assert answer == expected


class TestUnion:
    def test_rank_fields_are_read_in_order(self, ask: Ask) -> None:
        documents = [{"title": "paris", "body": "capital", "year": 1, "x": None}, "paris\n1"]
        answer = ask(
            "/v1/rerank", query=QUERY, documents=documents, rank_fields=["title", "x", "year"]
        )
        scores = scores_of(answer)
        assert scores[0] == scores[1]
        document = next(r["document"] for r in answer["results"] if r["index"] == 0)
        assert document == {"text": "paris\n1", "title": "paris", "body": "capital", "year": 1}

    @pytest.mark.parametrize("text", [5, ["a"], {"a": "b"}, None, True])
    def test_the_text_of_a_document_is_a_string(self, ask: Ask, text: object) -> None:
        documents = [{"text": text, "title": "Organic"}, {"text": "moon", "title": "sun"}]
        answer = ask("/v1/rerank", query=QUERY, documents=documents, rank_fields=["title"])
        found = {result["index"]: result["document"] for result in answer["results"]}
        assert found == {0: {"text": "Organic", "title": "Organic"}, 1: documents[1]}

    @pytest.mark.parametrize(
        ("path", "field"),
        [("/v1/rerank", "documents"), ("/reranking", "documents"), ("/v1/reranking", "input")],
    )
    def test_a_rank_field_is_read_once(self, ask: Ask, path: str, field: str) -> None:
        """Repeated two hundred times, one would make a megabyte two hundred of them."""
        document = {"title": "paris", "year": 1}
        names = ["title", "year"] * 100
        answer = ask(path, query=QUERY, rank_fields=names, **{field: [document]})
        assert answer["usage"] == ask(path, query=QUERY, **{field: ["paris\n1"]})["usage"]

    def test_without_any_rank_field_the_text_is_read(self, ask: Ask) -> None:
        documents = [{"text": "paris", "title": None}, "paris"]
        scores = scores_of(
            ask("/v1/rerank", query=QUERY, documents=documents, rank_fields=["title"])
        )
        assert scores[0] == scores[1]

    def test_one_string_is_one_document(self, ask: Ask) -> None:
        [result] = ask("/v1/rerank", query=QUERY, documents="paris")["results"]
        assert result["document"] == {"text": "paris"}

    def test_messages_of_text_are_read(self, ask: Ask) -> None:
        parts = [{"type": "text", "text": "paris"}, {"type": "text", "text": "capital"}]
        documents = [{"content": parts}, "paris\ncapital", {"content": "paris\ncapital"}]
        answer = ask("/v1/rerank", query={"content": parts}, documents=documents)
        assert len(set(scores_of(answer).values())) == 1
        assert answer["results"][0]["document"]["text"] == "paris\ncapital"

    @pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank", "/reranking"])
    def test_parts_of_one_message_are_documents(self, ask: Ask, path: str) -> None:
        message = {"content": [{"type": "text", "text": text} for text in DOCUMENTS]}
        answers = [
            ask(path, query=QUERY, documents=documents, return_documents=True)["results"]
            for documents in (message, DOCUMENTS)
        ]
        assert answers[0] == answers[1]

    def test_one_object_is_one_document(self, ask: Ask) -> None:
        for document in ({"text": "paris", "id": 7}, {"content": "paris", "text": "paris"}):
            [result] = ask("/v1/rerank", query=QUERY, documents=document)["results"]
            assert result["document"] == document
        assert ask("/v1/rerank", query=QUERY, documents={"content": []})["results"] == []

    def test_parts_that_are_not_text_are_named(self, tiny_client: httpx.Client) -> None:
        content = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "x"}}]
        body = {"query": QUERY, "documents": {"content": content}}
        response = tiny_client.post("/v1/rerank", json=body)
        assert response.status_code == 422
        assert response.json()["error"]["param"] == "documents.content[1]"

    @pytest.mark.parametrize(
        ("document", "words"),
        [
            ({"content": [{"type": "image_url", "image_url": {"url": "x"}}]}, "not image_url"),
            ({"content": [{"type": "text", "text": "a"}, {"type": "audio"}]}, "content[1]"),
            ({"content": [{"type": "text"}]}, '"text"'),
            ({"content": 1}, "a list of parts"),
            ({"image": "https://picture"}, "'image'"),
            ({}, "no fields"),
        ],
    )
    def test_what_is_not_text_is_refused_by_name(
        self, tiny_client: httpx.Client, document: dict[str, Any], words: str
    ) -> None:
        body = {"query": QUERY, "documents": ["a", document]}
        response = tiny_client.post("/v1/rerank", json=body)
        assert response.status_code == 422
        assert response.json()["error"]["param"].startswith("documents[1]")
        assert words in response.json()["message"]

    def test_top_k_is_top_n_and_adds_what_voyage_reads(self, ask: Ask) -> None:
        answer = ask("/v1/rerank", query=QUERY, documents=DOCUMENTS, top_k=2, truncation=True)
        assert [set(result) for result in answer["data"]] == [{"index", "relevance_score"}] * 2
        assert answer["usage"]["total_tokens"] > 0
        for result, voyage in zip(answer["results"], answer["data"], strict=True):
            assert {key: result[key] for key in voyage} == voyage

    @pytest.mark.parametrize("options", [{}, {"top_k": None}, {"model": None, "top_n": None}])
    def test_voyages_clients_need_not_send_top_k(
        self, ask: Ask, options: dict[str, object]
    ) -> None:
        body = {"query": QUERY, "documents": DOCUMENTS, **options}
        answer = ask("/v1/rerank", **body)
        assert [set(result) for result in answer["data"]] == [{"index", "relevance_score"}] * 3
        assert all("document" in result for result in answer["results"])
        answer = ask("/v1/rerank", **body, return_documents=True)
        assert {result["document"] for result in answer["data"]} == set(DOCUMENTS)

    def test_other_clients_are_spared_what_voyages_read(self, ask: Ask) -> None:
        body = {"query": QUERY, "documents": DOCUMENTS}
        assert "data" not in ask("/v1/rerank", **body, top_n=2)
        assert "data" in ask("/v1/rerank", **body, top_n=2, top_k=2)

    def test_infinitys_client_names_no_model_and_wants_an_object_of_its_own(self, ask: Ask) -> None:
        body = {"query": QUERY, "documents": DOCUMENTS, "return_documents": False}
        answer = ask("/rerank", **body, raw_scores=False, model="default/not-specified")
        assert answer["object"] == "rerank"
        plain = ask("/rerank", **body, raw_scores=None)
        assert plain["object"] == "list"
        assert answer["results"] == plain["results"]

    def test_chunks_are_read_where_asked(self, ask: Ask) -> None:
        cut, chunked = (
            ask("/v1/rerank", query=QUERY, documents=[LONG], max_chunks_per_doc=chunks)
            for chunks in (1, 10)
        )
        assert scores_of(chunked)[0] > scores_of(cut)[0]
        assert chunked["usage"]["total_tokens"] > cut["usage"]["total_tokens"] == 64

    def test_more_chunks_than_a_request_may_have_are_refused(
        self, ask: Ask, tiny_client: httpx.Client
    ) -> None:
        for documents, most in ((1, 10_000), (7, 1_428), (1_000, 10)):
            body: dict[str, Any] = {"query": "a", "documents": ["b"] * documents}
            ask("/v1/rerank", **body, max_chunks_per_doc=most)
            body["max_chunks_per_doc"] = most + 1
            response = tiny_client.post("/v1/rerank", json=body)
            assert response.status_code == 422
            assert response.json()["error"]["param"] == "max_chunks_per_doc"
            assert f"{most + 1:,} times {documents:,} documents" in response.json()["message"]
            assert f"send at most {most:,}" in response.json()["message"]

    def test_siliconflows_clients_send_as_many_chunks_for_any_documents(self, ask: Ask) -> None:
        body = {"query": QUERY, "documents": DOCUMENTS * 10, "overlap_tokens": 80}
        assert len(ask("/v1/rerank", **body, max_chunks_per_doc=1024)["results"]) == 30

    @pytest.mark.parametrize(("chunks", "documents"), [(1, 20_000), (250, 40), (250, 1)])
    def test_chunks_do_not_depend_on_the_number_of_documents(
        self, chunks: int, documents: int
    ) -> None:
        assert windows_read(chunks, documents) == chunks

    @pytest.mark.parametrize("documents", [1, 2])
    def test_no_document_is_read_in_more_than_250_chunks(self, documents: int) -> None:
        assert windows_read(5_000, documents) == 250

    def test_texts_are_cut_where_asked(self, ask: Ask) -> None:
        def tokens(**limits: object) -> int:
            answer = ask("/v1/rerank", query="moon " * 9, documents=[LONG], **limits)
            count: int = answer["usage"]["prompt_tokens"]
            return count

        assert tokens() == tokens(truncate_prompt_tokens=-1, max_tokens_per_doc=0) == 64
        assert tokens(max_tokens_per_doc=10) == 9 + 10 + 3
        assert tokens(max_tokens_per_query=2, max_tokens_per_doc=10) == 2 + 10 + 3
        assert tokens(truncate_prompt_tokens=20) == 20

    def test_the_beginning_is_cut_where_asked(self, ask: Ask) -> None:
        body = {"query": QUERY, "documents": [LONG + " moon sun river", "moon sun river"]}
        limits = {"max_tokens_per_doc": 3}
        right, left = (
            scores_of(ask("/v1/rerank", **body, **limits, truncation_side=side))
            for side in ("right", "left")
        )
        assert right[0] != right[1] == left[1] == left[0]

    def test_use_activation_is_the_opposite_of_raw_scores(self, ask: Ask) -> None:
        body = {"query": QUERY, "documents": DOCUMENTS}
        logits = scores_of(ask("/v1/rerank", **body, use_activation="false"))
        assert logits == scores_of(ask("/v1/rerank", **body, raw_scores=True))
        assert max(map(abs, logits.values())) > 1


class TestCohereV2:
    def test_answer_has_no_documents(self, ask: Ask) -> None:
        answer = ask("/v2/rerank", query=QUERY, documents=DOCUMENTS, top_n=2, priority=3)
        assert set(answer) == {"id", "results", "meta"}
        assert [set(result) for result in answer["results"]] == [{"index", "relevance_score"}] * 2
        assert answer["meta"]["api_version"] == {"version": "2"}
        assert answer["meta"]["tokens"]["input_tokens"] > 0
        assert (
            scores_of(answer).items()
            <= scores_of(ask("/v1/rerank", query=QUERY, documents=DOCUMENTS)).items()
        )

    def test_nulls_count_as_absent(self, ask: Ask) -> None:
        optional = dict.fromkeys(("model", "top_n", "max_tokens_per_doc", "priority"))
        assert len(ask("/v2/rerank", query=QUERY, documents=DOCUMENTS, **optional)["results"]) == 3

    def test_documents_are_cut_to_max_tokens_per_doc(self, ask: Ask) -> None:
        answer = ask("/v2/rerank", query="moon", documents=[LONG], max_tokens_per_doc=5)
        assert answer["meta"]["tokens"]["input_tokens"] == 1 + 5 + 3

    def test_documents_come_back_where_asked(self, ask: Ask) -> None:
        answer = ask("/v2/rerank", query=QUERY, documents=DOCUMENTS, return_documents=True)
        assert set(answer) == {"id", "results", "meta"}
        assert {result["document"]["text"] for result in answer["results"]} == set(DOCUMENTS)

    @pytest.mark.parametrize(
        "options",
        [
            {"use_activation": False},
            {"raw_scores": True},
            {"truncate_prompt_tokens": 8},
            {"truncate_prompt_tokens": 8, "truncation_side": "left"},
            {"max_tokens_per_query": 2},
            {"max_chunks_per_doc": 4},
            {"rank_fields": ["title"]},
        ],
    )
    def test_what_the_first_version_knows_is_heeded(
        self, ask: Ask, options: dict[str, object]
    ) -> None:
        documents = [{"text": LONG, "title": "moon"}, {"text": "paris", "title": QUERY}]
        body = {"query": QUERY, "documents": documents}
        scores = scores_of(ask("/v2/rerank", **body, **options))
        assert scores == scores_of(ask("/v1/rerank", **body, **options))
        assert scores != scores_of(ask("/v2/rerank", **body))

    def test_fields_are_read_without_a_text(self, ask: Ask) -> None:
        documents = [{"title": "moon"}, {"title": QUERY}]
        answer = ask("/v2/rerank", query=QUERY, documents=documents, rank_fields=["title"])
        assert answer["results"][0]["index"] == 1

    def test_truncation_false_is_heeded(self, tiny_client: httpx.Client) -> None:
        body = {"query": QUERY, "documents": [LONG], "truncation": False}
        response = tiny_client.post("/v2/rerank", json=body)
        assert response.status_code == 422
        assert response.json()["error"]["param"] == "documents[0]"

    def test_top_k_is_top_n(self, ask: Ask) -> None:
        assert len(ask("/v2/rerank", query=QUERY, documents=DOCUMENTS, top_k=1)["results"]) == 1

    def test_a_query_that_was_cut_is_mentioned(self, ask: Ask) -> None:
        answer = ask("/v2/rerank", query="moon " * 100, documents=["paris"])
        assert "cut to 32 tokens" in answer["meta"]["warnings"][0]


def test_top_k_is_top_n_with_texts(ask: Ask) -> None:
    assert len(ask("/rerank", query=QUERY, texts=DOCUMENTS, top_k=1)) == 1


class TestLlamaCpp:
    @pytest.mark.parametrize("path", ["/reranking", "/v1/reranking"])
    def test_documents_come_back_only_where_asked(self, ask: Ask, path: str) -> None:
        answer = ask(path, query=QUERY, documents=DOCUMENTS)
        assert {"model", "object", "usage", "results"} <= set(answer)
        assert all(set(result) == {"index", "relevance_score"} for result in answer["results"])
        answer = ask(path, query=QUERY, documents=DOCUMENTS, return_documents=True)
        assert {result["document"]["text"] for result in answer["results"]} == set(DOCUMENTS)


class TestMixedbread:
    @pytest.mark.parametrize("path", ["/reranking", "/v1/reranking"])
    def test_input_is_answered_in_data(self, ask: Ask, path: str) -> None:
        answer = ask(path, model="tiny", query=QUERY, input=DOCUMENTS, top_k=2)
        assert set(answer) == {"object", "model", "data", "usage", "top_k", "return_input"}
        assert (answer["model"], answer["top_k"], answer["return_input"]) == ("tiny", 2, False)
        assert [set(result) for result in answer["data"]] == [{"index", "score"}] * 2

    def test_top_n_is_top_k(self, ask: Ask) -> None:
        answer = ask("/v1/reranking", query=QUERY, input=DOCUMENTS, top_n=1)
        assert (len(answer["data"]), answer["top_k"]) == (1, 1)

    def test_input_comes_back_as_it_was(self, ask: Ask) -> None:
        inputs = [{"title": "paris", "year": None}, {"title": "moon"}]
        body = {"query": QUERY, "input": inputs, "rank_fields": ["title"], "return_input": "true"}
        data = ask("/v1/reranking", **body)["data"]
        expected = [{"title": "paris"}, {"title": "moon"}]
        assert [result["input"] for result in sorted(data, key=lambda r: r["index"])] == expected


class TestNvidia:
    BODY: ClassVar[dict[str, object]] = {
        "query": {"text": QUERY},
        "passages": [{"text": text} for text in DOCUMENTS],
    }

    @pytest.mark.parametrize("path", ["/v1/ranking", "/ranking", "/v1/v1/ranking"])
    def test_passages_get_logits(self, ask: Ask, path: str) -> None:
        answer = ask(path, model="tiny", truncate="END", **self.BODY)
        assert set(answer) == {"rankings", "usage"}
        found = [(ranking["index"], ranking["logit"]) for ranking in answer["rankings"]]
        raw = ask("/v1/rerank", query=QUERY, documents=DOCUMENTS, raw_scores=True)
        assert found == [(result["index"], result["relevance_score"]) for result in raw["results"]]
        assert answer["usage"] == raw["usage"]

    def test_top_k_and_nulls(self, ask: Ask) -> None:
        assert len(ask("/v1/ranking", **self.BODY, top_k=1)["rankings"]) == 1
        nulls = dict.fromkeys(("model", "top_k", "truncate"))
        assert len(ask("/v1/ranking", **self.BODY, **nulls)["rankings"]) == 3

    def test_what_is_too_long_is_cut_unless_that_is_forbidden(
        self, ask: Ask, tiny_client: httpx.Client
    ) -> None:
        body = {"query": {"text": QUERY}, "passages": [{"text": "a"}, {"text": LONG}]}
        for options in ({}, {"truncate": "END"}):
            assert len(ask("/v1/ranking", **body, **options)["rankings"]) == 2
        response = tiny_client.post("/v1/ranking", json={**body, "truncate": "NONE"})
        assert response.status_code == 422
        assert response.json()["error"]["param"] == "passages[1]"
        assert 'set truncate to "END"' in response.json()["message"]


class TestScore:
    @pytest.mark.parametrize("path", ["/score", "/v1/score"])
    def test_scores_keep_the_order_of_the_request(self, ask: Ask, path: str) -> None:
        answer = ask(path, text_1=QUERY, text_2=DOCUMENTS)
        assert set(answer) == {"id", "object", "created", "model", "data", "usage"}
        assert [score["index"] for score in answer["data"]] == [0, 1, 2]
        ranked = scores_of(ask("/v1/rerank", query=QUERY, documents=DOCUMENTS))
        assert {score["index"]: score["score"] for score in answer["data"]} == ranked

    @pytest.mark.parametrize(
        ("queries", "documents"),
        [
            ("text_1", "text_2"),
            ("queries", "documents"),
            ("queries", "items"),
            ("data_1", "data_2"),
        ],
    )
    def test_both_have_several_names(self, ask: Ask, queries: str, documents: str) -> None:
        answer = ask("/score", **{queries: [QUERY], documents: DOCUMENTS})
        assert answer["data"] == ask("/score", text_1=QUERY, text_2=DOCUMENTS)["data"]

    def test_parts_of_one_message_are_texts(self, ask: Ask) -> None:
        def message(texts: list[str]) -> dict[str, object]:
            return {"content": [{"type": "text", "text": text} for text in texts]}

        for queries in ([QUERY], [QUERY, "old moon", QUERY]):
            answer = ask("/score", text_1=message(queries), text_2=message(DOCUMENTS))
            assert answer["data"] == ask("/score", text_1=queries, text_2=DOCUMENTS)["data"]
        data = ask("/score", text_1={"text": QUERY}, text_2={"content": "paris"})["data"]
        assert data == ask("/score", text_1=QUERY, text_2="paris")["data"]

    def test_as_many_queries_as_documents_go_pair_by_pair(self, ask: Ask) -> None:
        queries = [QUERY, "old moon", QUERY]
        together = ask("/score", queries=queries, documents=DOCUMENTS)
        alone = [
            ask("/score", queries=query, documents=document)
            for query, document in zip(queries, DOCUMENTS, strict=True)
        ]
        assert [score["score"] for score in together["data"]] == [
            one["data"][0]["score"] for one in alone
        ]
        tokens = sum(one["usage"]["total_tokens"] for one in alone)
        assert together["usage"]["total_tokens"] == tokens

    def test_nothing_gives_nothing(self, ask: Ask) -> None:
        assert ask("/score", queries=[], documents=[])["data"] == []
        assert ask("/score", queries="a", documents=[])["data"] == []

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"text_1": ["a", "b"], "text_2": ["a", "b", "c"]}, "text_1"),
            ({"queries": [], "documents": ["a"]}, "queries"),
            ({"queries": "a"}, "documents"),
            ({"documents": "a"}, "queries"),
            ({"text_1": [{"image": "a"}], "text_2": "b"}, "text_1[0].text"),
        ],
    )
    def test_what_does_not_go_together_is_named(
        self, tiny_client: httpx.Client, body: object, field: str
    ) -> None:
        response = tiny_client.post("/score", json=body)
        assert response.status_code == 422
        assert response.json()["error"]["param"] == field

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"text_1": "a", "text_2": "b" * 20_001}, "text_2[0]"),
            ({"text_1": "a", "items": ["b", "b" * 20_001]}, "items[1]"),
            ({"text_1": "a" * 20_001, "text_2": "b"}, "text_1"),
            ({"data_1": ["a", "a" * 20_001], "data_2": ["b", "b"]}, "data_1[1]"),
            ({"text_1": "a", "text_2": ["b"] * 1001}, "text_2"),
        ],
    )
    def test_what_is_too_large_is_named_as_it_was_sent(
        self, tiny_client: httpx.Client, body: object, field: str
    ) -> None:
        response = tiny_client.post("/score", json=body)
        assert response.status_code == 413
        assert response.json()["error"]["param"] == field

    def test_use_activation_false_gives_logits(self, ask: Ask) -> None:
        body = {"text_1": QUERY, "text_2": DOCUMENTS}
        logits = [score["score"] for score in ask("/score", **body, use_activation=False)["data"]]
        raw = scores_of(ask("/rerank", query=QUERY, documents=DOCUMENTS, raw_scores=True))
        assert dict(enumerate(logits)) == raw


def test_the_body_tells_dialects_apart_however_it_is_spelled(tiny_client: httpx.Client) -> None:
    def is_tei(content: bytes, path: str = "/rerank") -> bool:
        return isinstance(tiny_client.post(path, content=content).json(), list)

    for path in ("/rerank", "/v1/rerank", "/reranking", "/v1/reranking"):
        assert is_tei(b'{"query": "b", "documents": ["a"], "texts": ["a"]}', path)
    assert is_tei(b'{"texts": ["a"], "query": "b"}')
    assert is_tei(b'\xef\xbb\xbf{"query": "\\ud800", "texts": ["a"]}')
    assert is_tei(b'{"query": "b", "texts": ["a"], "documents": null}')
    assert not is_tei(b'{"query": "\\"texts\\"", "documents": ["\\"texts\\""]}')
    assert not is_tei(b'{"query": "b", "documents": ["a"], "texts": null}')
    assert not is_tei(b'{"query": "b", "documents": [{"text": "a", "texts": ["c"]}]}')


def test_what_is_too_large_is_named_as_the_dialect_does(tiny_client: httpx.Client) -> None:
    many, long = ["a"] * 1001, ["a" * 20_001]
    for path, field in (("/v1/reranking", "input"), ("/rerank", "texts")):
        for texts, place in ((many, "documents"), (long, f"{field}[0]")):
            content = json.dumps({"query": "b", field: texts})
            response = tiny_client.post(path, content=content)
            assert response.status_code == 413
            assert place in response.text
