"""Lists to rank: a query, documents, the teacher's scores, and the answer where one is known."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class RankingLists:
    """What ``prepare`` makes and ``train`` reads."""

    query_ids: list[Ids]
    """Tokens of each query, without special ones."""
    document_ids: list[Ids]
    documents: NDArray[np.int32]
    """Places of documents, shape (queries, documents in a list); the positive comes first."""
    teacher: NDArray[np.float32]
    """Scores of the teacher, of the same shape."""
    has_positive: NDArray[np.bool_]
    """Shape (queries,)."""

    def save(self, path: Path) -> None:
        """Write the file as a whole or not at all."""
        new = path.with_suffix(".new.npz")
        queries, query_ends = _join(self.query_ids)
        documents, document_ends = _join(self.document_ids)
        np.savez(
            new,
            query_ids=queries,
            query_ends=query_ends,
            document_ids=documents,
            document_ends=document_ends,
            documents=self.documents,
            teacher=self.teacher,
            has_positive=self.has_positive,
        )
        new.replace(path)


def load_lists(path: Path) -> RankingLists:
    """Read what ``RankingLists.save`` wrote."""
    with np.load(path) as arrays:
        return RankingLists(
            query_ids=np.split(arrays["query_ids"], arrays["query_ends"][:-1]),
            document_ids=np.split(arrays["document_ids"], arrays["document_ends"][:-1]),
            documents=arrays["documents"],
            teacher=arrays["teacher"],
            has_positive=arrays["has_positive"],
        )


def _join(texts: list[Ids]) -> tuple[Ids, NDArray[np.int64]]:
    ends = np.cumsum([len(text) for text in texts])
    return np.concatenate(texts), ends
