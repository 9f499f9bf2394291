"""rerankers, with its TransformerRanker."""

from importlib import import_module
from pathlib import Path
from typing import Any

from . import Score, longest_first

library: Any = import_module("rerankers")

OUTPUT = "logit"


def open_model(models: Path, *, files: str, dtype: str | None = None) -> Score:
    """Open a folder."""
    options = {} if dtype is None else {"dtype": dtype}
    ranker = library.Reranker(
        str(models / files), model_type="cross-encoder", device="cpu", verbose=0, **options
    )

    def score(
        query: str, documents: list[str], *, batch: int | None = None, by_length: bool = False
    ) -> list[float]:
        def rank(part: list[str]) -> list[float]:
            call = {} if batch is None else {"batch_size": batch}
            ranked = ranker.rank(query, part, doc_ids=list(range(len(part))), **call)
            scores = [0.0] * len(part)
            for result in ranked.results:
                scores[result.document.doc_id] = float(result.score)
            return scores

        return longest_first(rank, documents) if by_length else rank(documents)

    return score
