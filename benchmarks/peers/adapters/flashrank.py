"""FlashRank, with the checkpoint under a name of its own in FlashRank's folder layout."""

from importlib import import_module
from pathlib import Path
from typing import Any

from . import Score, longest_first

flashrank: Any = import_module("flashrank")
configuration: Any = import_module("flashrank.Config")

OUTPUT = "probability"


def open_model(models: Path, *, files: str) -> Score:
    """Open a folder."""
    configuration.model_file_map[files] = "model.onnx"
    ranker = flashrank.Ranker(model_name=files, cache_dir=str(models), log_level="WARNING")

    def score_pass(query: str, documents: list[str]) -> list[float]:
        passages = [{"id": index, "text": text} for index, text in enumerate(documents)]
        ranked = ranker.rerank(flashrank.RerankRequest(query=query, passages=passages))
        scores = [0.0] * len(documents)
        for passage in ranked:
            scores[passage["id"]] = float(passage["score"])
        return scores

    def score(query: str, documents: list[str], *, batch: int | None = None) -> list[float]:
        """Score in one pass, FlashRank's only way, or in batches that the caller makes."""
        if batch is None:
            return score_pass(query, documents)

        def score_batches(part: list[str]) -> list[float]:
            starts = range(0, len(part), batch)
            return [s for i in starts for s in score_pass(query, part[i : i + batch])]

        return longest_first(score_batches, documents)

    return score
