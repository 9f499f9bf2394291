"""Reading test collections and first stages, sound and broken."""

import re
from pathlib import Path

import pytest

from ranklet.evaluation.collection import read_collection
from ranklet.evaluation.errors import CollectionError, CollectionFileMissingError
from ranklet.evaluation.trec import Retrieved, read_run, write_run
from ranklet.runtime.errors import InputError


class TestFirstStage:
    def test_the_run_in_the_folder_is_found_by_itself(self, collection_folder: Path) -> None:
        collection = read_collection(collection_folder)
        assert collection.name == "few"
        assert (collection.first_stage.name, collection.first_stage.is_ranked) == (
            "bm25_top100.trec",
            True,
        )
        assert [task.query_id for task in collection.tasks] == ["q1", "q2", "q3"]
        assert collection.tasks[0].document_ids == ("river", "paris", "soap")
        assert collection.pairs == 7

    def test_title_and_text_are_joined_as_beir_does(self, collection_folder: Path) -> None:
        river, paris, soap = read_collection(collection_folder).tasks[0].documents
        assert paris == "Paris the capital city of france"
        assert river == "a long river by the city"
        assert soap == "Organic soap clean and natural"

    def test_depth_cuts_the_run_by_score(self, collection_folder: Path) -> None:
        collection = read_collection(collection_folder, depth=1)
        assert [task.document_ids for task in collection.tasks] == [
            ("river",),
            ("soap",),
            ("moon",),
        ]

    def test_without_a_run_the_judged_documents_are_taken(self, folder_without_run: Path) -> None:
        collection = read_collection(folder_without_run)
        assert (collection.first_stage.name, collection.first_stage.is_ranked) == ("judged", False)
        # By id, whatever the order of the judgements: it must not give the answer away.
        assert collection.tasks[0].document_ids == ("bread", "paris", "river")

    def test_judged_documents_can_be_asked_for(self, collection_folder: Path) -> None:
        assert read_collection(collection_folder, run="judged").first_stage.name == "judged"

    def test_judgements_of_relevant_documents_alone_are_refused(
        self, folder_without_run: Path
    ) -> None:
        (folder_without_run / "qrels.tsv").write_text("q1\tparis\t1\n")
        with pytest.raises(CollectionError, match=r"nothing to tell apart.*--run bm25"):
            read_collection(folder_without_run)

    def test_bm25_searches_the_corpus(self, folder_without_run: Path) -> None:
        collection = read_collection(folder_without_run, run="bm25", depth=2)
        assert collection.first_stage.name == "bm25"
        best = {task.query_id: task.document_ids[0] for task in collection.tasks}
        assert best == {"q1": "paris", "q2": "soap", "q3": "moon"}
        assert all(len(task.documents) <= 2 for task in collection.tasks)
        assert all(
            score > 0
            for found in collection.first_stage.scores.values()
            for score in found.values()
        )

    def test_bm25_that_finds_nothing_is_an_error(self, folder_without_run: Path) -> None:
        (folder_without_run / "queries.jsonl").write_text(
            "\n".join(f'{{"_id": "q{number}", "text": "zebra"}}' for number in (1, 2, 3))
        )
        with pytest.raises(CollectionError, match="shares no word with any judged query"):
            read_collection(folder_without_run, run="bm25")

    @pytest.mark.parametrize("text", ["", "?!", "x y"])
    def test_bm25_without_words_is_an_error(self, text: str, folder_without_run: Path) -> None:
        lines = (f'{{"_id": "{name}", "text": "{text}"}}' for name in "abc")
        (folder_without_run / "corpus.jsonl").write_text("\n".join(lines))
        with pytest.raises(CollectionError, match="shares no word with any judged query"):
            read_collection(folder_without_run, run="bm25")

    def test_a_run_within_the_folder_or_elsewhere(self, collection_folder: Path) -> None:
        text = "q2 Q0 soap 1 1.0 mine\n"
        (collection_folder / "mine.trec").write_text(text)
        (collection_folder.parent / "other.trec").write_text(text)
        for run in ("mine.trec", str(collection_folder.parent / "other.trec")):
            collection = read_collection(collection_folder, run=run)
            assert [task.query_id for task in collection.tasks] == ["q2"]
            assert set(collection.qrels) == {"q1", "q2", "q3"}

    @pytest.mark.parametrize("run", [None, "bm25", "judged"])
    def test_documents_with_the_id_of_the_query_can_be_left_out(
        self, collection_folder: Path, run: str | None
    ) -> None:
        """As in ArguAna, whose queries are documents of the corpus."""
        for path in collection_folder.iterdir():
            path.write_text(re.sub(r"\briver\b(?! by)", "q1", path.read_text()))
        kept = read_collection(collection_folder, run=run, depth=2).tasks[0]
        left = read_collection(collection_folder, run=run, depth=2, ignores_same_ids=True).tasks[0]
        assert "q1" in kept.document_ids
        assert (
            left.document_ids
            == {
                None: ("paris", "soap"),
                "bm25": ("paris",),
                "judged": ("bread", "paris"),
            }[run]
        )

    def test_other_judgements_can_be_named(self, collection_folder: Path) -> None:
        for place in (collection_folder / "dev.tsv", collection_folder.parent / "elsewhere.tsv"):
            place.write_text("q2\tsoap\t1\n")
            name = place.name if place.parent == collection_folder else str(place)
            assert set(read_collection(collection_folder, qrels_name=name).qrels) == {"q2"}
        with pytest.raises(CollectionFileMissingError, match=r"gone.tsv: does not exist"):
            read_collection(collection_folder, qrels_name="gone.tsv")

    def test_qrels_of_beir_archives(self, collection_folder: Path) -> None:
        (collection_folder / "qrels").mkdir()
        (collection_folder / "qrels.tsv").rename(collection_folder / "qrels/test.tsv")
        assert len(read_collection(collection_folder).qrels) == 3

    def test_byte_order_marks_are_no_text(self, collection_folder: Path) -> None:
        plain = read_collection(collection_folder)
        for path in collection_folder.iterdir():
            path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
        assert read_collection(collection_folder) == plain

    def test_the_digest_follows_what_is_scored(self, collection_folder: Path) -> None:
        before = read_collection(collection_folder).digest
        assert read_collection(collection_folder, name="other").digest == before
        assert read_collection(collection_folder, depth=2).digest != before
        corpus = collection_folder / "corpus.jsonl"
        corpus.write_text(corpus.read_text().replace("clean", "dirty"))
        assert read_collection(collection_folder).digest != before


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("corpus.jsonl", '{"_id": "a", "text": "x"}\n\n{"_id": "b"}\n', "line 3: .*`text`"),
        ("corpus.jsonl", '{"_id": "a", "text": 5}\n', "line 1: Expected `str`"),
        ("corpus.jsonl", '{"_id": "a", "text": "x"}\nnot json\n', "line 2: JSON is malformed"),
        ("corpus.jsonl", '{"more": ' + "[" * 50_000, "line 1: maximum recursion depth"),
        ("corpus.jsonl", '{"_id": "a", "text": "x"}\n' * 2, "line 2: the _id 'a' is there a sec"),
        ("queries.jsonl", '{"id": "q1", "text": "x"}\n', "line 1: .*`_id`"),
        ("queries.jsonl", '{"_id": "q1", "text": "x"}\n', "has no query 'q2', which is judged"),
        ("qrels.tsv", "q1 paris 1\n", "line 1: expected query-id, corpus-id and score"),
        ("qrels.tsv", "q1\tparis\thigh\n", r"line 1: expected .* found \['q1', 'paris', 'high'\]"),
        ("qrels.tsv", "q1\tparis\t1\nq1\tparis\t0\n", "line 2: document 'paris' is judged a sec"),
        ("qrels.tsv", "query-id\tcorpus-id\tscore\n", "holds no judgements"),
        ("qrels.tsv", "q1\tparis\t0\nq2\tsoap\t-1\n", "judges no document relevant"),
        ("qrels.tsv", f"q1\tparis\t{10**20}\n", f"line 1: the score {10**20} is beyond 1,000,000"),
        (
            "corpus.jsonl",
            '{"_id": "a", "text": "\\\\ \\uD83D x"}',
            r"line 1: .* \\ud83d is half of",
        ),
        ("bm25_top100.trec", "q1 Q0 paris 1 2.0\n", "line 1: expected six columns .* found 5"),
        ("bm25_top100.trec", "q1 Q0 paris 1 nan x\n", "line 1: the score 'nan' is not a number"),
        ("bm25_top100.trec", "q1 Q0 paris 1 best x\n", "line 1: the score 'best' is not a number"),
        ("bm25_top100.trec", "q1 Q0 paris 1 2 x\n" * 2, "line 2: document 'paris' is there again"),
        ("bm25_top100.trec", "q1 Q0 soap 1 2 x\nq1 Q0 gone 2 1 x\n", "line 2: document 'gone' is"),
        ("bm25_top100.trec", "q9 Q0 paris 1 2 x\n", "holds no query that the collection judges"),
    ],
)
def test_a_broken_file_is_named_with_the_line(
    collection_folder: Path, name: str, content: str, problem: str
) -> None:
    (collection_folder / name).write_text(content)
    with pytest.raises(CollectionError, match=f"{name}[,:] {problem}"):
        read_collection(collection_folder)


def test_bytes_that_are_not_utf8_are_named_with_the_line(collection_folder: Path) -> None:
    (collection_folder / "corpus.jsonl").write_bytes(b'{"_id": "a", "text": "x"}\n\xff\n')
    with pytest.raises(CollectionError, match=r"corpus.jsonl, line 2: is not UTF-8"):
        read_collection(collection_folder)


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl", "qrels.tsv"])
def test_a_missing_file_is_named(collection_folder: Path, name: str) -> None:
    (collection_folder / name).unlink()
    with pytest.raises(CollectionFileMissingError, match=f"{name}: does not exist"):
        read_collection(collection_folder)


def test_a_missing_run_is_named(collection_folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere.trec: does not exist; .*--run bm25"):
        read_collection(collection_folder, run="nowhere.trec")


class TestRunFiles:
    def test_what_is_written_is_read_again(self, tmp_path: Path) -> None:
        path = tmp_path / "new/run.trec"
        write_run(path, {"q": {"a": -1.25, "b": 0.1, "c": 0.1}}, tag="my model")
        assert path.read_text().splitlines()[0] == "q Q0 b 1 0.1 my_model"
        assert read_run(path) == {
            "q": [Retrieved("b", 0.1, 1), Retrieved("c", 0.1, 2), Retrieved("a", -1.25, 3)]
        }

    def test_an_id_with_a_blank_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no place for the id 'q' or 'two words'"):
            write_run(tmp_path / "run.trec", {"q": {"two words": 1.0}}, tag="x")
