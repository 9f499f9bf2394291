"""The teacher ranks test collections, here with tiny bi-encoders in the place of the packages'."""

import json
import sys
from pathlib import Path

import pytest
from training import orientation

pytestmark = pytest.mark.torch

TEXTS = [
    "Soap is made of fat and lye.",
    "Paris.",
    "Sugar, salt and soap are sold here, and much that nobody has asked for.",
]


@pytest.mark.usefixtures("mpnet")
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
    assert [row["scorer"] for row in report["rows"]] == [
        "all-MiniLM-L6-v2",
        "all-mpnet-base-v2",
        "cosine: 0.4 all-MiniLM-L6-v2 + 0.6 all-mpnet-base-v2",
        "20 x cosine + 2 x BM25",
    ]
    # Of random vectors nothing is known but that cosines are close to one another: BM25 decides.
    assert report["rows"][-1]["quality"]["RR"] == 1.0
