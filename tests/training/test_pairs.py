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
from training.recipe import read_recipe

pytestmark = pytest.mark.torch

RECIPE = replace(read_recipe(), pairs={"a": 200, "b": 10}, sentences={"a": 5}, keyword_share=0.5)


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
    maker = ListMaker(vectors, RECIPE.lists, size=8, seed=1)
    chosen, teacher = maker.make(TrainingQuery("word9 shared", "a", 9), found)
    assert chosen[0] == 9
    assert 5 not in chosen
    assert len(set(chosen.tolist())) == 8
    np.testing.assert_allclose(teacher, 20 * found.cosine[chosen] + 4 * found.bm25[chosen])
    unlabelled = TrainingQuery("word9 shared", "a", 9, is_answered=False)
    assert not {5, 9} & set(maker.make(unlabelled, found)[0].tolist())
