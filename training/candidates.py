"""Candidates of queries: what BM25 and the bi-encoder find, with the scores of both."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from .bm25 import Bm25
from .texts import Texts

_QUERIES_IN_BLOCK = 256


@dataclass(frozen=True, slots=True)
class Candidates:
    """The best passages of some queries, and the scores of all."""

    queries: slice
    """Which ones."""
    by_bm25: Tensor
    """Places of passages, int64, shape (queries, depth), best first."""
    by_cosine: Tensor
    """Likewise."""
    bm25: Tensor
    """Shares of the query's best score, float32, shape (queries, passages)."""
    cosine: Tensor
    """float32, shape (queries, passages)."""


class CandidateFinder:
    """Finds candidates among all passages, on the device of their vectors."""

    def __init__(self, passages: Texts, vectors: Tensor, *, vocabulary: int, depth: int) -> None:
        self._vectors = vectors
        self._depth = depth
        self._bm25 = Bm25(passages, vocabulary=vocabulary, device=vectors.device.type)

    def find(self, queries: Texts, vectors: Tensor) -> Iterator[Candidates]:
        """Yield the candidates of all queries, some queries at a time."""
        for start in range(0, len(queries), _QUERIES_IN_BLOCK):
            block = slice(start, min(start + _QUERIES_IN_BLOCK, len(queries)))
            bm25 = self._bm25.score([queries[place] for place in range(block.start, block.stop)])
            cosine = vectors[block] @ self._vectors.T
            by_bm25, by_cosine = (scores.topk(self._depth).indices for scores in (bm25, cosine))
            yield Candidates(block, by_bm25, by_cosine, bm25, cosine)
