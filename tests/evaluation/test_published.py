"""Figures that others have published, from the collections that RANKLET_DATA names."""

from pathlib import Path

import pytest

from ranklet.evaluation.collection import read_collection
from ranklet.evaluation.metrics import measure_run, parse_metrics


def test_bm25_on_trec_dl_2019(data_dir: Path) -> None:
    """0.5058 is what Anserini and RankGPT publish for BM25 with its default parameters."""
    folder = data_dir / "ir/trec_dl19"
    collection = read_collection(folder)
    assert (len(collection.qrels), collection.pairs) == (43, 4300)
    qualities = measure_run(
        parse_metrics("nDCG@10"), collection.qrels, collection.first_stage.scores
    )
    assert round(qualities["nDCG@10"].mean, 4) == 0.5058


@pytest.mark.parametrize(("name", "queries"), [("scifact", 300), ("wikiqa_dev", 126)])
def test_collections_are_read(data_dir: Path, name: str, queries: int) -> None:
    assert len(read_collection(data_dir / "ir" / name).tasks) == queries
