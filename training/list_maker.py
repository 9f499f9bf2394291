"""From a query's candidates to the list that is trained on."""

import numpy as np
from numpy.typing import NDArray

from .base import Vectors
from .candidates import Candidates
from .pairs import TrainingQuery
from .passages import Passages
from .recipe import ListSettings


class ListMaker:
    """Chooses passages and scores them as the teacher does."""

    def __init__(
        self,
        passages: Passages,
        vectors: Vectors,
        settings: ListSettings,
        *,
        size: int,
        seed: int,
    ) -> None:
        self._passages = passages
        self._vectors = vectors
        self._settings = settings
        self._size = size
        self._random = np.random.default_rng(seed)

    def make(
        self, query: TrainingQuery, found: Candidates
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Choose a list for a query.

        Returns:
            Places of passages, the positive first where there is one, int32; and the teacher's
            scores of them, float32. Both of shape (documents in a list,).
        """
        # Which passage of the document answers nobody said: the bi-encoder's best stands for it,
        # and the others are left out.
        own = self._passages.of(query.document)
        chosen = [int(own[found.cosine[own].argmax()])] if query.is_answered else []
        taken = set(own.tolist())
        shares = (self._settings.bm25, self._settings.bi_encoder)
        scale = self._size / self._settings.documents
        for best, share in zip((found.by_bm25, found.by_cosine), shares, strict=True):
            others = self._without_same(best, own)
            candidates = [int(place) for place in others if place not in taken]
            most = min(round(share * scale), self._size - len(chosen))
            chosen += self._random.permutation(candidates)[:most].tolist()
            taken.update(chosen)
        while len(chosen) < self._size:
            place = int(self._random.integers(len(self._vectors)))
            if place not in taken:
                chosen.append(place)
                taken.add(place)
        documents = np.array(chosen, dtype=np.int32)
        return documents, self._teach(found, documents)

    def _without_same(self, places: NDArray[np.int64], own: NDArray[np.int64]) -> NDArray[np.int64]:
        """Leave out what is so like the answer that calling it irrelevant would be wrong."""
        cosines = self._vectors[places] @ self._vectors[own].T
        others: NDArray[np.int64] = places[
            cosines.max(axis=1, initial=-1) <= self._settings.same_above
        ]
        return others

    def _teach(self, found: Candidates, documents: NDArray[np.int32]) -> NDArray[np.float32]:
        cosine = self._settings.cosine_scale * found.cosine[documents]
        return (cosine + self._settings.bm25_scale * found.bm25[documents]).astype(np.float32)
