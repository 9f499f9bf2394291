"""Graded queries: the file of the recipe, and the lists that are made of it."""

import gzip
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from training import held_out, prepare_graded
from training.base import load_base, load_tokenizer, tokenize
from training.corpus import PASSAGE_TOKENS
from training.development import rank_quality, score
from training.graded import CLUSTERS, Cluster, read_clusters
from training.lists import RankingLists, join, load_lists
from training.model import CrossEncoder, load_model, save_member
from training.pairs import Row, is_held_out
from training.recipe import EncoderSettings, read_graded_recipe

pytestmark = pytest.mark.torch

RUNS = (
    *("sixth", "seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth"),
    *("thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth"),
    *("eighteenth", "nineteenth", "twentieth", "twenty-first"),
    *("twenty-second", "twenty-third", "twenty-fourth", "twenty-fifth"),
    *("twenty-sixth", "twenty-seventh", "twenty-eighth", "twenty-ninth", "thirtieth"),
)
RECIPES = [Path(f"training/recipes/{run}.yaml") for run in RUNS]
WORDS = "ash bay cup dew elm fig gem hay ivy jug kit log mud nut oak pea rye sun tar urn".split()
SCORES = [-1, 1, 4, 7]


def words_of(text: str) -> str:
    return " ".join(text.lower().split())


@pytest.fixture(scope="module")
def shipped() -> Sequence[Cluster]:
    return read_clusters(CLUSTERS)


def test_the_file_is_what_the_recipes_want(shipped: Sequence[Cluster]) -> None:
    for recipe in RECIPES:
        graded = read_graded_recipe(recipe).graded
        assert len(shipped) >= graded.skipped + graded.clusters
    held_out = sum(cluster.is_held_out for cluster in shipped)
    assert held_out / len(shipped) == pytest.approx(1 / 12, rel=0.2)


def test_no_everyday_example_is_learnt(shipped: Sequence[Cluster]) -> None:
    lines = Path("training/everyday.jsonl").read_text().splitlines()
    examples = [json.loads(line) for line in lines]
    tested = {words_of(text) for one in examples for text in [one["query"], *one["documents"]]}
    learnt = {words_of(text) for cluster in shipped for text in cluster.passages}
    learnt |= {words_of(query.text) for cluster in shipped for query in cluster.queries}
    assert not tested & learnt


def test_no_test_query_is_learnt(shipped: Sequence[Cluster]) -> None:
    if not os.environ.get("RANKLET_DATA"):
        pytest.skip("RANKLET_DATA is unset: no test collections")
    files = Path(os.environ["RANKLET_DATA"]).glob("ir/*/queries.jsonl")
    lines = [line for path in files for line in path.read_text().splitlines()]
    tested = {words_of(json.loads(line)["text"]) for line in lines}
    assert tested
    learnt = {words_of(query.text) for cluster in shipped for query in cluster.queries}
    assert not tested & learnt


def cluster_of(passages: list[str], *queries: tuple[str, list[int]]) -> dict[str, object]:
    graded = [{"text": text, "grades": grades} for text, grades in queries]
    return {"source": "written", "is_held_out": False, "passages": passages, "queries": graded}


EIGHT = ["a", "b", "c", "d", "e", "f", "g", "h"]


@pytest.mark.parametrize(
    ("cluster", "message"),
    [
        (cluster_of(EIGHT, ("ash", [3])), "'ash' wants 8 grades"),
        (cluster_of(EIGHT, ("ash", [1] * 8)), "'ash' wants 8 grades, one of at least 2"),
        (cluster_of(EIGHT, ("ash", [4] * 8)), "<= 3"),
        (cluster_of(EIGHT[:7], ("ash", [3] * 7)), "a cluster has 8 passages"),
        (cluster_of([*EIGHT[:7], "a"], ("ash", [3] * 8)), "no two the same"),
    ],
)
def test_clusters_that_are_none_are_refused(
    tmp_path: Path, cluster: dict[str, object], message: str
) -> None:
    path = tmp_path / "graded.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(cluster).encode()))
    with pytest.raises(msgspec.ValidationError, match=message):
        read_clusters(path)


def test_too_few_clusters_are_told(tmp_path: Path) -> None:
    path = tmp_path / "graded.jsonl.gz"
    path.write_bytes(gzip.compress(b""))
    with pytest.raises(ValueError, match="holds 0 clusters behind the first 0, fewer than the 3"):
        read_clusters(path, count=3)


def test_a_run_skips_what_another_learnt_from(tmp_path: Path) -> None:
    path = tmp_path / "graded.jsonl.gz"
    write_graded(path)
    assert read_clusters(path, skipped=4, count=5) == read_clusters(path)[4:9]
    assert read_clusters(path, skipped=4) == read_clusters(path)[4:]


def test_longer_lists_make_room_for_shorter_ones(lists: RankingLists) -> None:
    short = lists.columns(np.tile(np.arange(4), (12, 1)))
    joined = join(short, lists)
    assert joined.documents.shape == (24, 6)
    np.testing.assert_array_equal(joined.documents[:12, :4], short.documents)
    assert (joined.documents[:12, 4:] == -1).all()
    np.testing.assert_array_equal(joined.documents[12:], lists.documents)
    np.testing.assert_array_equal(joined.queries[12], lists.queries[0])


GRADES = [[0, 1, 2, 3, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 3, 0], [0, 3, 0, 2, 0, 2, 0, 3]]
"""Of one answer in full and one in part, of one alone, of more than a list has places for."""


def write_graded(path: Path, held_out: int = 1) -> None:
    """Write twelve clusters, the first ones held out, three queries each."""
    random = np.random.default_rng(8)
    clusters: list[dict[str, object]] = []
    for number in range(12):
        passages = [" ".join(random.choice(WORDS, size=12)) + f" {number}" for _ in range(8)]
        texts = [" ".join(random.choice(WORDS, size=4)) for _ in GRADES]
        cluster = cluster_of(passages, *zip(texts, GRADES, strict=True))
        clusters.append(cluster | {"is_held_out": number < held_out})
    lines = "".join(json.dumps(cluster) + "\n" for cluster in clusters)
    path.write_bytes(gzip.compress(lines.encode()))


def prepare(
    folder: Path, lists: RankingLists, monkeypatch: pytest.MonkeyPatch, **changed: object
) -> tuple[RankingLists, RankingLists]:
    lists.save(folder / "training.npz")
    settings = {
        "documents": 16,
        "own": 2,
        "bm25": 2,
        "bi_encoder": 2,
        "depth": 8,
        "same_above": 1.1,
        "cosine_scale": 20.0,
        "bm25_scale": 2.0,
        "bi_encoders": {"all-MiniLM-L6-v2": 1.0},
    }
    graded = {
        "again": 0,
        "skipped": 0,
        "clusters": 12,
        "queries_each": None,
        "others": 0.2,
        "scores": SCORES,
        "is_taught": True,
    }
    recipe = {
        "seed": 3,
        "graded": {key: changed.get(key, value) for key, value in graded.items()},
        "lists": {key: changed.get(key, value) for key, value in settings.items()},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    words = ["--recipe", "recipe.yaml", "--lists", ".", "--output", "out", "--device", "cpu"]
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["command", *words, "--graded", "graded.jsonl.gz"])
    prepare_graded.main()
    return load_lists(folder / "out/training.npz"), load_lists(folder / "out/development.npz")


@pytest.mark.usefixtures("package")
def test_lists_hold_what_was_graded_and_candidates(
    tmp_path: Path, lists: RankingLists, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_graded(tmp_path / "graded.jsonl.gz")
    training, development = prepare(tmp_path, lists, monkeypatch)
    assert len(development.queries) == 3
    assert len(training.queries) == 33 + 7  # a fifth of them, which nobody graded
    assert training.documents.shape == (40, 16)
    for row in range(33):
        there = training.documents[row] >= 0
        assert there.tolist() == [True, row % 3 != 1, *[True] * 14]  # one answer, or two in front
        found = training.grades[row][there].tolist()
        assert found[:8] == sorted(GRADES[row % 3], reverse=True)
        assert not any(found[8:])
        assert len({*training.documents[row][there].tolist()}) == there.sum()


@pytest.mark.usefixtures("package")
def test_grades_add_to_the_teachers_scores(
    tmp_path: Path, lists: RankingLists, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_graded(tmp_path / "graded.jsonl.gz")
    training, _ = prepare(tmp_path, lists, monkeypatch)
    plain, _ = prepare(tmp_path, lists, monkeypatch, scores=[0, 0, 0, 0])
    np.testing.assert_array_equal(plain.documents, training.documents)
    difference = (training.teacher - plain.teacher)[0]
    expected = [7, 4, 1, -1, -1, -1, -1, -1] + [0] * 8
    np.testing.assert_allclose(difference, expected, atol=1e-5)
    np.testing.assert_array_equal(training.teacher[33:], plain.teacher[33:])


@pytest.mark.usefixtures("package")
def test_the_first_clusters_can_be_read_again(
    tmp_path: Path, lists: RankingLists, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_graded(tmp_path / "graded.jsonl.gz")
    whole, _ = prepare(tmp_path, lists, monkeypatch, others=0)
    training, development = prepare(
        tmp_path, lists, monkeypatch, again=2, skipped=7, clusters=5, others=0
    )
    assert len(training.queries) + len(development.queries) == (2 + 5) * 3
    of_whole = [*range(3), *range(18, 33)]  # without the first cluster, which is held out
    for row, same in enumerate(of_whole):
        assert training.queries[row].tolist() == whole.queries[same].tolist()


@pytest.mark.usefixtures("package")
def test_a_cross_encoder_may_have_no_say_in_graded_lists(
    tmp_path: Path, lists: RankingLists, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_graded(tmp_path / "graded.jsonl.gz")
    taught, _ = prepare(tmp_path, lists, monkeypatch)
    assert taught.taught.all()
    others = replace(lists, is_taught=np.zeros(12, dtype=np.bool_))
    training, _ = prepare(tmp_path, others, monkeypatch)
    assert training.taught.tolist() == [True] * 33 + [False] * 7  # as a run before had it
    training, _ = prepare(tmp_path, lists, monkeypatch, is_taught=False)
    assert training.taught.tolist() == [False] * 33 + [True] * 7


@pytest.mark.usefixtures("package")
def test_of_a_cluster_some_queries_can_be_enough(
    tmp_path: Path, lists: RankingLists, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_graded(tmp_path / "graded.jsonl.gz", held_out=2)
    training, development = prepare(tmp_path, lists, monkeypatch, others=0, queries_each=2)
    assert len(development.queries) == 2 * 3
    assert len(training.queries) == 10 * 2
    pairs = [[training.queries[row + step].tobytes() for step in (0, 1)] for row in range(0, 20, 2)]
    texts = [
        [query.text for query in cluster.queries]
        for cluster in read_clusters(tmp_path / "graded.jsonl.gz", skipped=2)
    ]
    tokenizer = load_tokenizer()
    drawn: set[tuple[int, ...]] = set()
    for pair, asked in zip(pairs, texts, strict=True):
        all_of_them = [ids.tobytes() for ids in tokenize(tokenizer, asked, at_most=99)]
        drawn.add(tuple(all_of_them.index(one) for one in pair))
    assert {(0, 1), (0, 2), (1, 2)} >= drawn
    assert len(drawn) > 1


@pytest.mark.usefixtures("package")
def test_without_others_all_candidates_are_of_clusters(
    tmp_path: Path, lists: RankingLists, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_graded(tmp_path / "graded.jsonl.gz")
    training, development = prepare(tmp_path, lists, monkeypatch, others=0)
    assert len(training.queries) == 33
    clusters = read_clusters(tmp_path / "graded.jsonl.gz")
    texts = [text for cluster in clusters for text in cluster.passages]
    graded = {ids.tobytes() for ids in tokenize(load_tokenizer(), texts, at_most=PASSAGE_TOKENS)}
    used = [one.passages for one in (training, development)]
    assert {one[place].tobytes() for one in used for place in range(len(one))} <= graded


@pytest.mark.usefixtures("package")
def test_nothing_held_out_is_trained_on(
    tmp_path: Path, lists: RankingLists, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_graded(tmp_path / "graded.jsonl.gz", held_out=11)
    training, development = prepare(tmp_path, lists, monkeypatch, others=0)
    assert len(training.queries) == 3
    used = {training.passages[place].tobytes() for place in range(len(training.passages))}
    is_graded = development.grades > 0
    held_out = {
        development.passages[place].tobytes() for place in development.documents[is_graded].tolist()
    }
    assert len(held_out) == 11 * 6  # passages of a cluster that answer something
    assert not used & held_out


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"documents": 12}, "a list has at least 13 documents, not 12"),
        ({"own": 3, "documents": 20}, "have `own` 2, not 3"),
        ({"clusters": 13}, "holds 12 clusters behind the first 0, fewer than the 13"),
        ({"again": 1}, "again is at most skipped, 0, not 1"),
        ({"skipped": 1}, "holds 11 clusters behind the first 1, fewer than the 12"),
        ({"clusters": 1}, "some clusters are held out and some are not"),
        ({"depth": 500}, "fewer than the 500 of `depth`"),
    ],
)
def test_what_cannot_be_made_is_told(
    tmp_path: Path,
    lists: RankingLists,
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, object],
    message: str,
) -> None:
    write_graded(tmp_path / "graded.jsonl.gz")
    with pytest.raises((SystemExit, msgspec.ValidationError), match=message):
        prepare(tmp_path, lists, monkeypatch, **changed)


@pytest.mark.usefixtures("package")
def test_held_out_queries_are_measured_by_who_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "graded.jsonl.gz"
    write_graded(path, held_out=4)
    lines = gzip.decompress(path.read_bytes()).splitlines()
    for place, change in ((1, {"is_asked": True}), (2, {"source": "results"})):
        lines[place] = json.dumps(json.loads(lines[place]) | change).encode()
    path.write_bytes(gzip.compress(b"\n".join(lines)))
    settings = EncoderSettings(layers=1, exits={"it": 1})
    save_member(CrossEncoder(load_base(), settings).member("it"), tmp_path / "model")
    words = ["command", str(tmp_path / "model"), "--graded", str(path), "--every", "4"]
    monkeypatch.setattr(sys, "argv", words)
    held_out.main()
    row = json.loads(capsys.readouterr().out)
    monkeypatch.setattr(sys, "argv", [*words[:-1], "0"])
    with pytest.raises(SystemExit):
        held_out.main()
    assert "--every is at least 1, not 0" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", [*words, "--data", str(tmp_path / "none")])
    with pytest.raises(SystemExit, match=r"none holds no SET\.jsonl\.gz"):
        held_out.main()
    assert row["asked"]["queries"] == 3
    assert row["results"]["queries"] == 3
    assert row["written"]["queries"] == 2  # the first and the fifth of six
    chosen = held_out.held_out_lists([one for one in read_clusters(path) if one.is_asked])
    np.testing.assert_array_equal(chosen.grades, GRADES)
    scores = score(load_model(tmp_path / "model", "it"), chosen, device="cpu")["it"]
    assert row["asked"]["nDCG@10"] == rank_quality(scores, chosen)["nDCG@10"]
    assert rank_quality(chosen.grades.astype(np.float32), chosen)["nDCG@10"] == 1


@pytest.mark.usefixtures("package")
def test_held_out_queries_of_sets_have_their_documents() -> None:
    random = np.random.default_rng(9)
    rows: list[Row] = []
    for number in range(400):  # which ends every sentence of a document, and its query
        sentences = [" ".join([*random.choice(WORDS, size=22), f"{number}."]) for _ in range(4)]
        rows.append(Row(" ".join(sentences[1].split()[-6:]), " ".join(sentences)))
    known = held_out.known_lists([rows[:200], rows[200:]], device="cpu")
    assert len(known.queries) == sum(map(is_held_out, rows)) > 9
    tokenizer = load_tokenizer()

    def number_of(ids: NDArray[np.integer]) -> str:
        return tokenizer.decode(ids.tolist()).rstrip(". ").split()[-1]

    for row, places in enumerate(known.documents):
        there = places[places >= 0]
        assert len(there) == len(np.unique(there)) > known.own
        asked = number_of(known.queries[row])
        answers = [number_of(known.passages[place]) == asked for place in there.tolist()]
        assert known.grades[row, places >= 0].tolist() == [3 * one for one in answers]


def test_lists_of_before_have_grades(lists: RankingLists, tmp_path: Path) -> None:
    path = tmp_path / "lists.npz"
    lists.save(path)
    with np.load(path) as arrays:
        before = {name: arrays[name] for name in arrays if name != "grades"}
    np.savez(path, **before)
    np.testing.assert_array_equal(load_lists(path).grades, lists.grades)
