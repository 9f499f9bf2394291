"""Candidates of a query: what BM25 and the bi-encoder find, with the scores of both."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import bm25s
import numpy as np
from numpy.typing import NDArray

from .base import Vectors

_QUERIES_IN_BLOCK = 256


@dataclass(frozen=True, slots=True)
class Candidates:
    """A query's best documents, and the scores of all."""

    by_bm25: NDArray[np.int64]
    """Places of documents, shape (depth,), best first."""
    by_cosine: NDArray[np.int64]
    bm25: NDArray[np.float32]
    """Shares of the query's best score, shape (documents,)."""
    cosine: NDArray[np.float32]
    """Shape (documents,)."""


class CandidateFinder:
    """Finds candidates among all documents."""

    def __init__(self, documents: Sequence[str], vectors: Vectors, *, depth: int) -> None:
        self._vectors = vectors
        self._depth = depth
        self._index = bm25s.BM25()
        tokens = bm25s.tokenize(
            list(documents), stopwords="en", return_ids=False, show_progress=False
        )
        self._index.index(tokens, show_progress=False)

    def find(self, queries: Sequence[str], vectors: Vectors) -> Iterator[Candidates]:
        """Yield each query's candidates."""
        words = bm25s.tokenize(list(queries), stopwords="en", return_ids=False, show_progress=False)
        for start in range(0, len(queries), _QUERIES_IN_BLOCK):
            cosines = vectors[start : start + _QUERIES_IN_BLOCK] @ self._vectors.T
            for place, cosine in enumerate(cosines, start):
                bm25 = self._bm25(words[place], len(cosine))
                yield Candidates(self._best(bm25), self._best(cosine), bm25, cosine)

    def _bm25(self, words: list[str], documents: int) -> NDArray[np.float32]:
        known = [word for word in words if word in self._index.vocab_dict]
        if not known:
            return np.zeros(documents, dtype=np.float32)
        scores: NDArray[np.float32] = self._index.get_scores(known)
        return scores / np.float32(scores.max())

    def _best(self, scores: NDArray[np.float32]) -> NDArray[np.int64]:
        best = np.argpartition(-scores, self._depth)[: self._depth]
        return best[np.argsort(-scores[best], kind="stable")]
