"""Lists to rank: a query, passages, the teacher's scores, and which of the passages may answer."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .texts import Texts


@dataclass(frozen=True, slots=True)
class RankingLists:
    """What ``prepare`` makes and ``train`` reads."""

    queries: Texts
    passages: Texts
    documents: NDArray[np.int32]
    """Places of passages, shape (queries, passages in a list); -1 where there is none."""
    teacher: NDArray[np.float32]
    """Scores of the teacher, of the same shape."""
    own: int
    """How many of a list's first passages are of the document that answers, or missing."""

    def save(self, path: Path) -> None:
        """Write the file as a whole or not at all, with those passages alone that are in a list."""
        used, places = np.unique(self.documents, return_inverse=True)
        missing = int(used[0] < 0)
        passages = self.passages.take(used[missing:])
        new = path.with_suffix(".new.npz")
        np.savez(
            new,
            query_ids=self.queries.ids,
            query_starts=self.queries.starts,
            passage_ids=passages.ids,
            passage_starts=passages.starts,
            documents=(places.reshape(self.documents.shape) - missing).astype(np.int32),
            teacher=self.teacher,
            own=self.own,
        )
        new.replace(path)


def load_lists(path: Path) -> RankingLists:
    """Read what ``RankingLists.save`` wrote."""
    with np.load(path) as arrays:
        return RankingLists(
            queries=Texts(arrays["query_ids"], arrays["query_starts"]),
            passages=Texts(arrays["passage_ids"], arrays["passage_starts"]),
            documents=arrays["documents"],
            teacher=arrays["teacher"],
            own=int(arrays["own"]),
        )
