"""From the files of pairs to queries, and from candidates to lists."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from training.candidates import CandidateFinder
from training.list_maker import ListMaker
from training.pairs import TrainingQuery, read_pairs
from training.passages import cut_passages
from training.recipe import read_list_recipe

pytestmark = pytest.mark.torch

FIRST = read_list_recipe(Path("training/first.yaml"))
RECIPE = replace(FIRST, pairs={"a": 200, "b": 10}, sentences={"a": 5}, keyword_share=0.5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, count in (("a", 300), ("b", 40)):
        with gzip.open(tmp_path / f"{name}.jsonl.gz", "wt") as lines:
            for number in range(count):
                text = (
                    f"Text {name} {number // 2}. It has one long sentence of more than seven words."
                )
                row = {"query": f"What is the {name} of number {number}?", "positive": text}
                lines.write(json.dumps(row) + "\n" + json.dumps(row | {"negatives": []}) + "\n")
    return tmp_path


def test_what_is_held_out_is_never_trained_on(folder: Path) -> None:
    pairs = read_pairs(folder, RECIPE)
    held_out = {query.document for query in pairs.development}
    assert held_out
    assert held_out.isdisjoint(query.document for query in pairs.training)
    assert len(pairs.documents) == len(set(pairs.documents))


def test_counts_are_those_of_the_recipe_and_the_run_repeats(folder: Path) -> None:
    pairs = read_pairs(folder, RECIPE)
    answered = [query.text for query in pairs.training if query.is_answered and query.set == "a"]
    assert len(answered) == len(set(answered)) == 200
    assert sum(query.is_answered and query.set == "b" for query in pairs.training) == 10
    assert sum(not query.is_answered for query in pairs.training) == 5
    assert pairs == read_pairs(folder, RECIPE)
    assert pairs != read_pairs(folder, replace(RECIPE, seed=1))


def test_some_questions_become_keywords(folder: Path) -> None:
    texts = [query.text for query in read_pairs(folder, RECIPE).training if query.is_answered]
    keywords = [text for text in texts if not text.startswith("What")]
    assert 0.3 < len(keywords) / len(texts) < 0.7
    assert all(
        text.split()[:2] in (["number", text.split()[1]], text.split()[:2]) for text in keywords
    )
    assert not any("?" in text for text in keywords)


def test_some_known_answers_are_not_used(folder: Path) -> None:
    queries = read_pairs(folder, replace(RECIPE, unlabelled_share=0.5)).training
    hidden = [query for query in queries if query.document is None]
    assert 0.3 < len(hidden) / len(queries) < 0.7
    assert not any(query.is_answered for query in hidden)


def test_documents_are_cut_where_sentences_end() -> None:
    text = "One two three. Four five! Six seven eight nine ten. Eleven"
    passages = cut_passages([text, "Short"], [5])
    assert passages.texts == [
        "One two three. Four five!",
        "Six seven eight nine ten.",
        "Eleven",
        "Short",
    ]
    assert passages.of(0).tolist() == [0, 1, 2]
    assert passages.of(1).tolist() == [3]
    assert passages.of(None).tolist() == []
    assert cut_passages([text, "Short"], []).texts == [text, "Short"]


def test_the_best_passage_of_the_answer_stands_for_it() -> None:
    random = np.random.default_rng(2)
    documents = [f"first {number}. second {number}." for number in range(30)]
    passages = cut_passages(documents, [2])
    vectors = random.normal(size=(60, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    (found,) = CandidateFinder(passages.texts, vectors, depth=20).find(["second"], vectors[9:10])
    maker = ListMaker(passages, vectors, RECIPE.lists, size=8, seed=1)
    chosen, _ = maker.make(TrainingQuery("second", "a", 4), found)
    assert chosen[0] == 9
    assert 8 not in chosen
    alone = TrainingQuery("second", "a", None, is_answered=False)
    assert any(9 in maker.make(alone, found)[0] for _ in range(20))


def test_a_list_has_the_answer_first_and_nothing_like_it() -> None:
    random = np.random.default_rng(1)
    documents = [f"word{number} word{number % 7} shared" for number in range(60)]
    vectors = random.normal(size=(60, 8)).astype(np.float32)
    vectors[5] = vectors[9]  # the same text as far as the bi-encoder can tell
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    finder = CandidateFinder(documents, vectors, depth=20)
    (found,) = finder.find(["word9 shared"], vectors[9:10] + vectors[5:6])
    assert found.by_bm25[0] == 9
    assert {5, 9} <= set(found.by_cosine[:2].tolist())
    maker = ListMaker(cut_passages(documents, []), vectors, RECIPE.lists, size=8, seed=1)
    chosen, teacher = maker.make(TrainingQuery("word9 shared", "a", 9), found)
    assert chosen[0] == 9
    assert 5 not in chosen
    assert len(set(chosen.tolist())) == 8
    np.testing.assert_allclose(teacher, 20 * found.cosine[chosen] + 4 * found.bm25[chosen])
    unlabelled = TrainingQuery("word9 shared", "a", 9, is_answered=False)
    assert not {5, 9} & set(maker.make(unlabelled, found)[0].tolist())
