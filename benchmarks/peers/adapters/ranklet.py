"""Ours."""

from pathlib import Path

from ranklet.runtime.reranker import Reranker

from . import Score

OUTPUT = "logit"


def open_model(models: Path, *, bundle: str, variant: str, workers: int) -> Score:  # noqa: ARG001 - all adapters take the folder of models
    """Open a bundle."""
    reranker = Reranker.open(bundle, variant=variant, workers=workers)

    def score(query: str, documents: list[str]) -> list[float]:
        scores: list[float] = reranker.score(query, documents, raw_scores=True).tolist()
        return scores

    return score
