"""Candidates of questions, for somebody to grade."""

import gzip
import json
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from training import pool
from training.base import load_base
from training.model import CrossEncoder, save_member
from training.pairs import Row, is_held_out
from training.recipe import EncoderSettings

pytestmark = pytest.mark.torch

WORDS = "ash bay cup dew elm fig gem hay ivy jug kit log mud nut oak pea rye sun tar urn".split()


class Line(msgspec.Struct, forbid_unknown_fields=True):
    source: str
    query: str
    passages: list[str]


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    """Write a set of forty documents, each with a question; equal sentences stand in several."""
    random = np.random.default_rng(6)
    rows: list[Row] = []
    for number in range(40):
        sentences = [" ".join(random.choice(WORDS, size=25)) + f" {number}." for _ in range(3)]
        text = "Of all things that there are. " + " ".join(sentences)
        rows.append(Row(" ".join(sentences[1].split()[2:7]), text))
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as lines:
        for row in rows:
            lines.write(json.dumps({"query": row.query, "positive": row.positive}) + "\n")
    return rows


@pytest.mark.usefixtures("package")
def test_a_question_gets_eight_passages(
    rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = EncoderSettings(layers=1, exits={"it": 1})
    save_member(CrossEncoder(load_base(), settings).member("it"), tmp_path / "model")
    words = ["command", "--data", tmp_path, "--sets", "a", "--model", tmp_path / "model"]

    def ask(*more: str) -> list[Line]:
        options = ["--output", tmp_path / "new/out.jsonl", "--device", "cpu", *more]
        monkeypatch.setattr(sys, "argv", [*map(str, words), *map(str, options)])
        pool.main()
        lines = (tmp_path / "new/out.jsonl").read_text().splitlines()
        return [msgspec.json.decode(line, type=Line) for line in lines]

    found = ask()
    answers = {row.query: row.positive for row in rows if not is_held_out(row)}
    assert {line.query for line in found} == answers.keys()
    everything = " ".join(answers.values())
    for line in found:
        passages = line.passages
        assert line.source == "a"
        assert len({*passages}) == len(passages) == 8
        assert all(passage in everything for passage in passages)
        assert any(passage in answers[line.query] for passage in passages)
    assert ask() == found
    assert ask("--skip", "5", "--count", "3")[0].query == found[5].query
    with pytest.raises(SystemExit, match="0 questions and"):
        ask("--skip", "100")
    with pytest.raises(SystemExit, match="No such file"):
        ask("--sets", "b")
