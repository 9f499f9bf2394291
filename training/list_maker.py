"""From candidates to the lists that are trained on, many queries at once."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .candidates import Candidates
from .corpus import Queries
from .lists import NONE
from .recipe import ListSettings

_OWN_AT_MOST = 24
"""Passages of an answering document that are looked at."""


@dataclass(frozen=True, slots=True)
class ListShape:
    """How many passages of which kind a list has, in this order; random ones end it."""

    size: int
    own: int
    """Of the document that answers; which of them does nobody said."""
    bm25: int
    bi_encoder: int


class ListMaker:
    """Chooses passages and scores them as the teacher does."""

    def __init__(
        self,
        document_starts: NDArray[np.int64],
        vectors: Tensor,
        settings: ListSettings,
        *,
        shape: ListShape,
        seed: int,
    ) -> None:
        self._vectors = vectors
        self._settings = settings
        self._shape = shape
        self._starts = torch.from_numpy(document_starts).to(vectors.device)
        lengths = self._starts.diff()
        places = torch.arange(len(lengths), device=vectors.device)
        self._document_of = places.repeat_interleave(lengths)
        self._random = torch.Generator(vectors.device).manual_seed(seed)

    def make(self, queries: Queries, found: Candidates) -> tuple[Tensor, Tensor]:
        """Choose lists for some queries.

        Returns:
            Places of passages, int64: first the answering document's, the bi-encoder's best of
            them in front and ``NONE`` behind; and the teacher's scores of them, float32. Both of
            shape (queries, passages in a list).
        """
        device = self._vectors.device
        documents = torch.from_numpy(queries.documents[found.queries]).to(device)
        answered = torch.from_numpy(queries.is_answered[found.queries]).to(device)
        own = self._own(documents)
        chosen_own = self._best_own(own, found.cosine).where(answered[:, None], NONE)
        allowed = self._allowed(found, documents, own)
        random = torch.rand(allowed.shape, generator=self._random, device=device)
        keys = random.where(allowed, -1.0)
        depth = found.by_bm25.shape[1]
        parts = [chosen_own]
        for places, part, count in (
            (found.by_bm25, keys[:, :depth], self._shape.bm25),
            (found.by_cosine, keys[:, depth:], self._shape.bi_encoder),
        ):
            best = part.topk(count)
            others = self._at_random(documents, count)
            parts.append(places.gather(1, best.indices).where(best.values >= 0, others))
        held = sum(part.shape[1] for part in parts)
        parts.append(self._at_random(documents, self._shape.size - held))
        chosen = torch.cat(parts, dim=1)
        return chosen, self._teach(found, chosen)

    def _own(self, documents: Tensor) -> Tensor:
        """Give the passages of each query's document, shape (queries, at most so many)."""
        starts, ends = self._starts[documents], self._starts[documents + 1]
        places = starts[:, None] + torch.arange(_OWN_AT_MOST, device=starts.device)
        return places.where((places < ends[:, None]) & (documents >= 0)[:, None], NONE)

    def _best_own(self, own: Tensor, cosine: Tensor) -> Tensor:
        scores = cosine.gather(1, own.clamp(min=0)).where(own >= 0, -torch.inf)
        return own.gather(1, scores.topk(self._shape.own).indices)

    def _allowed(self, found: Candidates, documents: Tensor, own: Tensor) -> Tensor:
        """Tell which candidates, BM25's and then the bi-encoder's, may be called irrelevant.

        Neither the passages of the answering document nor what is as good as the same.
        """
        places = torch.cat([found.by_bm25, found.by_cosine], dim=1)
        likeness = self._vectors[places] @ self._vectors[own.clamp(min=0)].transpose(1, 2)
        likeness = likeness.where((own >= 0)[:, None], -torch.inf).amax(2)
        is_other = self._document_of[places] != documents[:, None]
        is_twice = (found.by_cosine[:, :, None] == found.by_bm25[:, None]).any(2)
        is_new = torch.cat([torch.ones_like(is_twice), ~is_twice], dim=1)
        return is_other & is_new & (likeness <= self._settings.same_above)

    def _at_random(self, documents: Tensor, count: int) -> Tensor:
        """Draw passages of other documents: from the end of the query's own around to its start."""
        ends = self._starts[documents + 1]  # of none, 0
        lengths = ends - self._starts[documents].where(documents >= 0, ends)
        shape = (len(documents), count)
        share = torch.rand(shape, generator=self._random, device=documents.device)
        steps = (share * (len(self._vectors) - lengths)[:, None]).long()
        return (ends[:, None] + steps) % len(self._vectors)

    def _teach(self, found: Candidates, chosen: Tensor) -> Tensor:
        places = chosen.clamp(min=0)
        cosine = self._settings.cosine_scale * found.cosine.gather(1, places)
        return cosine + self._settings.bm25_scale * found.bm25.gather(1, places)
