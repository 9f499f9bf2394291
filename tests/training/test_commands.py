"""``prepare``, ``train`` and ``mine`` as they are called, on a few pairs and a tiny base."""

import gzip
import json
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray
from training import mine, prepare, train
from training.calibration import Line, fit_line
from training.development import score
from training.lists import load_all, load_lists
from training.model import load_model

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("package")]

WORDS = "ash bay cup dew elm fig gem hay ivy jug kit log mud nut oak pea rye sun tar urn".split()
TRAIN = {
    "steps": 6,
    "lists_in_step": 8,
    "documents": 4,
    "window": 40,
    "long_window": 48,
    "warmup": 0.4,
}


def write_recipe(path: Path, *, start: bool = False, **changed: float) -> Path:
    settings = yaml.safe_load(Path("training/recipes/first.yaml").read_text())
    settings |= {"pairs": {"a": 300}, "sentences": {}}
    settings["lists"] |= {"documents": 12, "own": 2, "bm25": 4, "bi_encoder": 4, "depth": 8}
    encoder = {"layers": 1, "exits": {"it": 1}} | ({"start": "it"} if start else {})
    settings["encoders"] = [encoder]
    settings["train"] |= TRAIN | changed
    path.write_text(yaml.safe_dump(settings))
    return path


@pytest.fixture
def lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    random = np.random.default_rng(6)
    folder = tmp_path / "pairs"
    folder.mkdir()
    with gzip.open(folder / "a.jsonl.gz", "wt") as lines:
        for number in range(400):
            text = " ".join(random.choice(WORDS, size=30)) + f" {number}."
            row = {"query": " ".join(text.split()[3:9]), "positive": text}
            lines.write(json.dumps(row) + "\n")
    output = tmp_path / "lists"
    recipe = write_recipe(tmp_path / "lists.yaml")
    call(prepare.main, monkeypatch, "--recipe", recipe, "--data", folder, "--output", output)
    return output


def call(main: object, monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> None:
    assert callable(main)
    monkeypatch.setattr(sys, "argv", ["command", *map(str, words), "--device", "cpu"])
    main()


def test_a_run_is_finished_once_and_made_anew_when_it_is_another(
    lists: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, model = tmp_path / "run", tmp_path / "run" / "it"
    recipe = write_recipe(tmp_path / "recipe.yaml", learning_rate=2e-3, steps=40)
    words = ("--recipe", recipe, "--lists", lists, "--output", output)
    call(train.main, monkeypatch, *words)
    entries = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in entries] == [40]
    tokenizer = json.loads((model / "tokenizer_config.json").read_text())
    assert tokenizer["model_max_length"] == 48  # the longest pairs that it learnt from
    figures = json.loads((model / "development.json").read_text())
    assert figures["step"] == 40
    assert figures["quality"]["nDCG@10"] > 0

    written = {path: path.stat().st_mtime_ns for path in model.iterdir()}
    call(train.main, monkeypatch, *words)  # there is nothing left to do
    assert {path: path.stat().st_mtime_ns for path in model.iterdir()} == written
    assert len((output / "log.jsonl").read_text().splitlines()) == 1

    write_recipe(recipe, learning_rate=1e-3, steps=40)
    with pytest.raises(SystemExit, match=r"checkpoint\.pt is of a run with other settings"):
        call(train.main, monkeypatch, *words)
    (output / "checkpoint.pt").unlink()
    call(train.main, monkeypatch, *words)
    other = json.loads((model / "development.json").read_text())
    assert other["run"] != figures["run"]
    lines = (output / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [40]


def test_what_is_written_is_calibrated_and_begins_the_next_run(
    lists: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    recipe = write_recipe(tmp_path / "recipe.yaml", learning_rate=2e-3, steps=40)
    call(train.main, monkeypatch, "--recipe", recipe, "--lists", lists, "--output", first)
    development = load_lists(lists / "development.npz")
    logits = score(load_model(first / "it", "it"), development, device="cpu")["it"]
    relevant = 1 / logits.shape[1]
    probability = torch.from_numpy(logits[::2]).sigmoid().mean().item()
    assert probability == pytest.approx(relevant, abs=0.01)  # half of them fitted the line

    recipe = write_recipe(tmp_path / "next.yaml", start=True, learning_rate=0.0)
    words = ("--recipe", recipe, "--lists", lists, "--output", second, "--start", first)
    call(train.main, monkeypatch, *words)
    again = score(load_model(second / "it", "it"), development, device="cpu")["it"]
    np.testing.assert_allclose(again, logits, atol=0.05)


def test_a_model_is_measured_on_the_lists_of_several_files(
    lists: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load_lists(lists / "development.npz")
    parts = [tmp_path / "some.npz", tmp_path / "others.npz"]
    for part, places in zip(parts, (slice(4, None), slice(4)), strict=True):
        whole.rows(places).save(part)
    joined = load_all(parts)  # those of the last file in front, so that all is as it was
    texts = [
        [[lists.passages[place].tolist() for place in row] for row in lists.documents.tolist()]
        for lists in (whole, joined)
    ]
    assert texts[0] == texts[1]
    np.testing.assert_array_equal(joined.grades, whole.grades)
    np.testing.assert_array_equal(joined.queries.ids, whole.queries.ids)

    recipe = write_recipe(tmp_path / "recipe.yaml", learning_rate=2e-3, steps=4)
    words = ("--recipe", recipe, "--lists", lists, "--output")
    call(train.main, monkeypatch, *words, tmp_path / "whole")
    call(train.main, monkeypatch, *words, tmp_path / "parts", "--development", *parts)
    figures = [
        json.loads((tmp_path / name / "it/development.json").read_text())["quality"]
        for name in ("whole", "parts")
    ]
    assert figures[0] == figures[1]

    replace(whole, own=whole.own - 1).save(parts[1])
    with pytest.raises(SystemExit, match=r"others\.npz have `own` \d, those in .*some\.npz \d"):
        call(train.main, monkeypatch, *words, tmp_path / "refused", "--development", *parts)


def test_a_share_of_the_start_stays(
    lists: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train_on(
        output: str, start: str = "first", mix_in: str | None = None, **changed: float
    ) -> dict[str, torch.Tensor]:
        changed |= {"learning_rate": 2e-3, "steps": 40}
        recipe = write_recipe(tmp_path / f"{output}.yaml", start=True, **changed)
        words: list[str | Path] = ["--recipe", recipe, "--lists", lists]
        words += ["--mix-in", tmp_path / mix_in] if mix_in else []
        words += ["--output", tmp_path / output, "--start", tmp_path / start]
        call(train.main, monkeypatch, *words)
        return load_model(tmp_path / output / "it", "it").layers.state_dict()

    recipe = write_recipe(tmp_path / "recipe.yaml", learning_rate=2e-3, steps=40)
    words = ("--recipe", recipe, "--lists", lists, "--output", tmp_path / "first")
    call(train.main, monkeypatch, *words)
    start = load_model(tmp_path / "first" / "it", "it").layers.state_dict()

    def check(mixed: dict[str, torch.Tensor], learnt: dict[str, torch.Tensor]) -> None:
        for name, weight in mixed.items():
            torch.testing.assert_close(
                weight, 0.75 * learnt[name] + 0.25 * start[name], atol=1e-3, rtol=1e-2
            )

    learnt, mixed = train_on("whole"), train_on("mixed", start_share=0.25)
    check(mixed, learnt)
    later = train_on("later", start="whole")
    check(train_on("later-mixed", start="whole", mix_in="first", mix_in_share=0.25), later)
    again = train_on("later-mixed", start="whole", mix_in="later", mix_in_share=0.25)
    for name, weight in again.items():  # what was learnt stays, other weights are mixed in
        torch.testing.assert_close(weight, later[name], atol=1e-3, rtol=1e-2)
    assert any((weight - learnt[name]).abs().max() > 2e-3 for name, weight in mixed.items())
    with pytest.raises(SystemExit, match="no-run"):
        train_on("unmixed", mix_in="no-run", mix_in_share=0.25)
    assert not (tmp_path / "unmixed").exists()  # nothing was trained
    with pytest.raises(SystemExit, match=r"--mix-in and mix_in_share, in .*, need each other"):
        train_on("unmixed", mix_in="first")
    with pytest.raises(SystemExit, match="--mix-in and mix_in_share"):
        train_on("unmixed", mix_in_share=0.25)
    both = train_on("both", start="whole", mix_in="first", start_share=0.5, mix_in_share=0.25)
    for name, weight in both.items():  # first half of the start, then a quarter of the other
        wanted = 0.75 * (later[name] + learnt[name]) / 2 + 0.25 * start[name]
        torch.testing.assert_close(weight, wanted, atol=1e-3, rtol=1e-2)

    recipe = write_recipe(tmp_path / "new.yaml", start_share=0.25)
    words = ("--recipe", recipe, "--lists", lists, "--output", tmp_path / "new")
    with pytest.raises(msgspec.ValidationError, match="start_share and mix_in_share are of models"):
        call(train.main, monkeypatch, *words)


def test_a_model_learns_from_another(
    lists: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = write_recipe(tmp_path / "recipe.yaml", learning_rate=2e-3, steps=40)
    given = ("--recipe", recipe, "--lists", lists)
    call(train.main, monkeypatch, *given, "--output", tmp_path / "first")
    words = (*given, "--output", tmp_path / "second")
    teacher = tmp_path / "first" / "it"
    with pytest.raises(SystemExit, match=r"--teacher and teacher_weight, in .*, need each other"):
        call(train.main, monkeypatch, *words, "--teacher", teacher)
    write_recipe(recipe, learning_rate=2e-3, steps=40, teacher_weight=3.0)
    with pytest.raises(SystemExit, match="second/it holds no model"):
        call(train.main, monkeypatch, *words, "--teacher", tmp_path / "second" / "it")
    assert not (tmp_path / "second").exists()  # nothing was trained
    call(train.main, monkeypatch, *words, "--teacher", teacher)
    (teacher / "model.safetensors").write_bytes(
        (tmp_path / "second" / "it" / "model.safetensors").read_bytes()
    )
    with pytest.raises(SystemExit, match=r"checkpoint\.pt is of a run with other settings"):
        call(train.main, monkeypatch, *words, "--teacher", teacher)


def test_another_round_learns_what_was_wrong(
    lists: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = write_recipe(tmp_path / "recipe.yaml", learning_rate=2e-3)
    words = ("--recipe", recipe, "--output", tmp_path / "run")
    call(train.main, monkeypatch, *words, "--lists", lists)
    mined = tmp_path / "mined" / "training.npz"
    all_of_it = ("--lists", lists / "training.npz", "--model", tmp_path / "run" / "it")
    with pytest.raises(SystemExit):
        call(mine.main, monkeypatch, *all_of_it, "--output", mined, "--hardest", "9")
    choice = ("--count", "40", "--hardest", "3", "--others", "2")
    call(mine.main, monkeypatch, *all_of_it, "--output", mined, *choice)
    assert load_lists(mined).documents.shape == (40, 2 + 3 + 2)
    recipe = write_recipe(tmp_path / "next.yaml", start=True)
    words = ("--recipe", recipe, "--output", tmp_path / "next")
    others = ("--start", tmp_path / "run", "--development", lists / "development.npz")
    call(train.main, monkeypatch, *words, "--lists", mined.parent, *others)
    assert (tmp_path / "next" / "it" / "model.safetensors").exists()


def test_what_cannot_be_loaded_is_told_first(
    lists: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = tmp_path / "no" / "model"
    with pytest.raises(FileNotFoundError, match="no/model holds no model"):
        load_model(missing, "it")
    with pytest.raises(SystemExit, match="2"):
        call(
            *(mine.main, monkeypatch, "--model", missing, "--lists", lists / "development.npz"),
            *("--output", tmp_path / "mined.npz"),
        )
    start = write_recipe(tmp_path / "start.yaml", start=True)
    words = ("--recipe", start, "--lists", lists, "--output", tmp_path / "run")
    with pytest.raises(SystemExit, match="no/model/it holds no model"):
        call(train.main, monkeypatch, *words, "--start", missing)
    assert not (tmp_path / "run").exists()
    recipe = yaml.safe_load(write_recipe(tmp_path / "recipe.yaml").read_text())
    recipe["lists"]["bi_encoders"] = {"all-mpnet-base-v2": 1.0}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    monkeypatch.setattr("training.bi_encoders._MPNET_PARTS", ["no-such-part-001"])
    words = ("--recipe", tmp_path / "recipe.yaml", "--data", missing, "--output", lists)
    with pytest.raises(SystemExit, match="no-such-part-001"):
        call(prepare.main, monkeypatch, *words)
    write_recipe(tmp_path / "recipe.yaml")
    with pytest.raises(SystemExit, match="No such file or directory"):
        call(prepare.main, monkeypatch, *words)


def test_a_model_without_probabilities_ends_in_words(
    lists: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def upside_down(logits: NDArray[np.float32], relevant: NDArray[np.bool_]) -> Line:
        return fit_line(np.where(relevant, logits - 100, logits), relevant)

    monkeypatch.setattr("training.train.fit_line", upside_down)
    recipe = write_recipe(tmp_path / "recipe.yaml")
    words = ("--recipe", recipe, "--lists", lists, "--output", tmp_path / "run")
    with pytest.raises(SystemExit, match=r"no line .*checkpoint\.pt holds what was trained"):
        call(train.main, monkeypatch, *words)
    assert (tmp_path / "run" / "checkpoint.pt").exists()


def test_pairs_that_are_too_few_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as lines:
        lines.write('{"query": "what is ash", "positive": "Ash is what fire leaves."}\n')
    recipe = write_recipe(tmp_path / "recipe.yaml")
    words = ("--recipe", recipe, "--data", tmp_path, "--output", tmp_path / "lists")
    with pytest.raises(SystemExit, match="fewer than the 8 candidates"):
        call(prepare.main, monkeypatch, *words)
