"""From the files of pairs to queries, and from candidates to lists."""

import gzip
import json
import re
from pathlib import Path
from zlib import crc32

import bm25s
import numpy as np
import pytest
import torch
from msgspec.structs import replace
from training.bm25 import Bm25
from training.candidates import CandidateFinder
from training.corpus import Queries
from training.list_maker import ListMaker, ListShape
from training.pairs import read_pairs
from training.passages import cut_passages
from training.recipe import read_list_recipe
from training.texts import Texts

pytestmark = pytest.mark.torch

FIRST = read_list_recipe(Path("training/recipes/first.yaml"))
RECIPE = replace(
    FIRST, pairs={"a": 200, "b": 10}, sentences={"a": 5}, keyword_share=0.5, unlabelled_share=0.0
)


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


def test_training_goes_by_document_and_the_development_slice_by_query(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as lines:
        for number in range(2000):
            row = {"query": f"query {number}", "positive": f"Text {number // 20}."}
            lines.write(json.dumps(row) + "\n")
    pairs = read_pairs(tmp_path, replace(RECIPE, pairs={"a": 60}, sentences={}))
    assert len(pairs.training) == 60
    assert len({query.document for query in pairs.training}) == 3
    held_out = [
        text for text in map("query {}".format, range(2000)) if crc32(text.encode()) % 20 == 0
    ]
    held_out.sort(key=lambda text: crc32(text.encode(), RECIPE.seed))
    assert [query.text for query in pairs.development] == held_out[:12]


def test_some_questions_become_keywords(folder: Path) -> None:
    texts = [query.text for query in read_pairs(folder, RECIPE).training if query.is_answered]
    keywords = [text for text in texts if not text.startswith("What")]
    assert 0.3 < len(keywords) / len(texts) < 0.7
    assert all(re.fullmatch(r"(b )?number \d+", text) for text in keywords)
    assert not any("?" in text for text in keywords)


def test_sentences_and_a_few_of_their_words_are_queries_that_nobody_labelled(
    tmp_path: Path,
) -> None:
    sentences = [
        f"Honest cooks of town {number} bake brown bread before the sun rises"
        for number in range(9)
    ]
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as lines:
        for number in range(60):
            text = " ".join(f"{sentence} again {number}." for sentence in sentences)
            lines.write(json.dumps({"query": f"Bread {number}?", "positive": text}) + "\n")
    recipe = replace(
        RECIPE, pairs={"a": 60}, sentences={"a": 40}, sentences_each=3, sentence_keyword_share=0.5
    )
    pairs = read_pairs(tmp_path, recipe)
    found = [query for query in pairs.training if not query.text.startswith("Bread")]
    assert len(found) == 120
    assert not any(query.is_answered for query in found)
    whole = [query for query in found if query.text.startswith("Honest cooks of town")]
    assert 30 < len({query.text for query in whole}) == len(whole) < 90
    for query in found:
        assert query.document is not None
        words = [word.rstrip(".") for word in pairs.documents[query.document].split()]
        assert set(query.text.split()) <= set(words)
        assert query in whole or (2 <= len(query.text.split()) <= 6 and "the" not in query.text)


def test_some_known_answers_are_not_used(folder: Path) -> None:
    queries = read_pairs(folder, replace(RECIPE, unlabelled_share=0.5)).training
    hidden = [query for query in queries if query.document is None]
    assert 0.3 < len(hidden) / len(queries) < 0.7
    assert not any(query.is_answered for query in hidden)


def test_documents_are_cut_where_sentences_end() -> None:
    text = "One two three. Four five! Six seven eight nine ten. Eleven"
    passages = cut_passages([text, "Short"], [[5], [100]])
    assert passages.texts == [
        "One two three. Four five!",
        "Six seven eight nine ten.",
        "Eleven",
        text,
        "Short",
    ]
    assert passages.starts.tolist() == [0, 4, 5]
    assert cut_passages(["\nOne two three.\n"], [[2]]).texts == ["One two three."]


def _random_texts(random: np.random.Generator, count: int) -> Texts:
    lengths: list[int] = random.integers(1, 20, count).tolist()
    return Texts.of([random.integers(0, 40, length).astype(np.uint16) for length in lengths])


def test_bm25_is_that_of_bm25s() -> None:
    random = np.random.default_rng(4)
    texts, queries = _random_texts(random, 50), _random_texts(random, 6)
    reference = bm25s.BM25()
    words = [[str(token) for token in texts[place]] for place in range(50)]
    reference.index(words, show_progress=False)
    found = Bm25(texts, vocabulary=40, device="cpu").score([queries[place] for place in range(6)])
    for place in range(6):
        wanted = reference.get_scores([str(token) for token in queries[place]])
        np.testing.assert_allclose(found[place], wanted / wanted.max(), atol=1e-5)


SHAPE = ListShape(12, own=2, bm25=4, bi_encoder=4)


def _made(
    queries: Queries, *, alike: tuple[int, int] | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Make lists over 60 documents of 5 passages each; give them, their scores and the vectors."""
    random = np.random.default_rng(1)
    passages = _random_texts(random, 300)
    vectors = torch.from_numpy(random.normal(size=(300, 16)).astype(np.float32))
    if alike:
        vectors[alike[0]] = vectors[alike[1]]
    vectors = torch.nn.functional.normalize(vectors, dim=1)
    finder = CandidateFinder(passages, vectors, vocabulary=40, depth=20)
    (found,) = finder.find(queries.texts, vectors[[12, 13, 101]])
    starts = np.arange(0, 301, 5)
    maker = ListMaker(starts, vectors, RECIPE.lists, shape=SHAPE, seed=1)
    chosen, teacher = maker.make(queries, found)
    wanted = (
        RECIPE.lists.cosine_scale * found.cosine + RECIPE.lists.bm25_scale * found.bm25
    ).gather(1, chosen.clamp(min=0))
    torch.testing.assert_close(teacher, wanted)
    return chosen, found.cosine, found.by_cosine


def _queries(documents: list[int], answered: list[bool]) -> Queries:
    texts = _random_texts(np.random.default_rng(3), 3)
    return Queries(texts, np.array(documents), np.array(answered))


def test_a_list_begins_with_the_answering_document() -> None:
    queries = _queries([2, 2, -1], [True, False, False])
    chosen, cosine, _ = _made(queries)
    own = cosine[0, 10:15].argsort(descending=True)[:2] + 10
    assert chosen[0, :2].tolist() == own.tolist()
    assert (chosen[1:, :2] == -1).all()
    assert chosen[0, 0] == 12
    for row in (0, 1):
        assert not ((chosen[row, 2:] >= 10) & (chosen[row, 2:] < 15)).any()
    assert 101 in _made(_queries([-1, -1, -1], [False] * 3))[0][2]  # its vector is the query's
    assert (chosen[:, 2:] >= 0).all()


def test_what_is_like_the_answer_is_left_out() -> None:
    queries = _queries([2, 2, -1], [True, True, False])
    for alike in ((200, 12), (201, 13)):
        chosen, _, by_cosine = _made(queries, alike=alike)
        assert alike[0] in by_cosine[alike[1] - 12, :2]
        assert alike[0] not in chosen[:2]


def test_candidates_stand_in_a_list_once() -> None:
    chosen, _, _ = _made(_queries([2, 7, -1], [True, True, False]))
    for row in chosen[:, 2:10]:
        assert row.sort().values.diff().min() > 0
