"""A candidate is exported, measured, and every look at a test collection written down."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from training import evaluate

pytestmark = pytest.mark.torch

SHIPPED = Path(__file__).parents[2] / "models" / "ranklet-nano"


@pytest.fixture
def candidate(tmp_path: Path) -> Path:
    folder = shutil.copytree(SHIPPED, tmp_path / "candidate")
    (folder / "development.json").write_text('{"step": 7}')
    return folder


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    folder = tmp_path / "few"
    folder.mkdir()
    texts = {"paris": "Paris is the capital of France.", "soap": "Soap is made of fat and lye."}
    corpus = [{"_id": name, "title": "", "text": text} for name, text in texts.items()]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, corpus)) + "\n")
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "What is soap made of?"}\n')
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq\tsoap\t1\nq\tparis\t0\n")
    return folder


def test_a_look_is_written_down_behind_the_others(
    candidate: Path, collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = tmp_path / "looks.jsonl"
    looks.write_text('{"candidate": "one before"}\n')
    monkeypatch.setattr(evaluate, "LOOKS", looks)
    report, bundles = tmp_path / "report.json", tmp_path / "bundles"
    words = ["--models", candidate, "--data", collection, "--bundles", bundles]
    words += ["--variants", "fp32", "--note", "a try", "--output", report]
    monkeypatch.setattr(sys, "argv", ["evaluate", *map(str, words)])
    evaluate.main()

    before, look = map(json.loads, looks.read_text().splitlines())
    assert before == {"candidate": "one before"}
    assert (look["candidate"], look["depth"]) == ("a try", None)  # all that is judged is ranked
    (row,) = (row for row in look["values"] if row["model"] == "candidate")
    assert (row["collection"], row["variant"]) == ("few", "fp32")
    assert row["quality"]["RR"] == 1.0
    assert json.loads(report.read_text())["development"] == {"candidate": {"step": 7}}
    # What is not measured is not built: int8 might be refused where fp32 is worth a look.
    assert {path.name for path in (bundles / "candidate").glob("*.onnx")} == {"fp32.onnx"}


def test_models_of_one_name_are_refused_before_anything_is_looked_at(
    candidate: Path, collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = shutil.copytree(candidate, tmp_path / "other" / "candidate")
    bundles = tmp_path / "bundles"
    words = ["--models", candidate, other, "--data", collection, "--bundles", bundles]
    words += ["--note", "both"]
    monkeypatch.setattr(sys, "argv", ["evaluate", *map(str, words)])
    with pytest.raises(SystemExit, match="candidate, candidate repeat"):
        evaluate.main()
    assert not bundles.exists()


def test_a_model_without_a_development_slice_can_be_looked_at(
    candidate: Path, collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (candidate / "development.json").unlink()
    looks, report = tmp_path / "looks.jsonl", tmp_path / "report.json"
    monkeypatch.setattr(evaluate, "LOOKS", looks)
    words = ["--models", candidate, "--data", collection, "--bundles", tmp_path / "bundles"]
    words += ["--variants", "fp32", "--note", "any", "--output", report]
    monkeypatch.setattr(sys, "argv", ["evaluate", *map(str, words)])
    evaluate.main()
    assert json.loads(looks.read_text())["candidate"] == "any"
    assert json.loads(report.read_text())["development"] == {"candidate": {}}
