"""The base ranks test collections as a bi-encoder, here a tiny one in the package's place."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from training import orientation
from training.base import embed, load_base, load_tokenizer, tokenize
from training.texts import FIRST, SEPARATOR, Texts

pytestmark = pytest.mark.torch

TEXTS = [
    "Soap is made of fat and lye.",
    "Paris.",
    "Sugar, salt and soap are sold here, and much that nobody has asked for.",
]


@pytest.mark.usefixtures("package")
def test_vectors_are_the_mean_over_a_text_whatever_else_is_in_its_batch() -> None:
    ids = tokenize(load_tokenizer(), TEXTS, at_most=512)
    told: list[int] = []
    vectors = embed(Texts.of(ids), device="cpu", advance=told.append)
    model = load_base().eval()
    for vector, one in zip(vectors, ids, strict=True):
        tokens = torch.tensor([[FIRST, *one.tolist(), SEPARATOR]])
        with torch.inference_mode():
            mean = model(input_ids=tokens).last_hidden_state[0].mean(0)
        np.testing.assert_allclose(vector, mean / mean.norm(), atol=1e-5)
    assert sum(told) == len(TEXTS)


@pytest.mark.usefixtures("package")
def test_a_collection_is_ranked_by_cosine_and_with_bm25(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "few"
    folder.mkdir()
    corpus = [{"_id": str(place), "title": "", "text": text} for place, text in enumerate(TEXTS)]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, corpus)) + "\n")
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "fat and lye"}\n')
    judged = "".join(f"q\t{place}\t{int(place == 0)}\n" for place in range(len(TEXTS)))
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    monkeypatch.setenv("RANKLET_DATA", str(tmp_path))
    output = tmp_path / "report.json"
    words = ["--data", str(folder), "--output", str(output)]
    monkeypatch.setattr(sys, "argv", ["orientation", *words])
    orientation.main()

    report = json.loads(output.read_text())
    assert "--data $RANKLET_DATA/few" in report["environment"]["command"]
    assert [row["scorer"] for row in report["rows"]] == ["cosine", "20 x cosine + 4 x BM25"]
    # Of random vectors nothing is known but that cosines are close to one another: BM25 decides.
    assert report["rows"][1]["quality"]["RR"] == 1.0
