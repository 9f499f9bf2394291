"""BM25 of many queries at once, as a product of a sparse matrix with a dense one."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .texts import Ids, Texts

_K1, _B = 1.5, 0.75
"""The usual constants: Robertson and Zaragoza, The Probabilistic Relevance Framework (2009)."""


class Bm25:
    """An index over texts; words are tokens."""

    def __init__(self, texts: Texts, *, vocabulary: int, device: str) -> None:
        self._vocabulary = vocabulary
        row = np.repeat(np.arange(len(texts)), texts.lengths)
        entries, counts = np.unique(row * vocabulary + texts.ids, return_counts=True)
        rows, tokens = np.divmod(entries, vocabulary)
        holding = np.bincount(tokens, minlength=vocabulary)
        # The logarithm is that of Lucene, which is never negative.
        idf = np.log1p((len(texts) - holding + 0.5) / (holding + 0.5))
        length = texts.lengths / max(1.0, float(texts.lengths.mean()))
        saturated = counts * (_K1 + 1) / (counts + _K1 * (1 - _B + _B * length[rows]))
        self._weights = torch.sparse_coo_tensor(
            torch.from_numpy(np.stack([rows, tokens])),
            torch.from_numpy((idf[tokens] * saturated).astype(np.float32)),
            size=(len(texts), vocabulary),
            device=device,
            is_coalesced=True,
            check_invariants=False,
        )

    def score(self, queries: Sequence[Ids]) -> Tensor:
        """Score all texts for each query.

        Args:
            queries: Token ids; one without tokens scores 0 everywhere.

        Returns:
            float32, shape (queries, texts), as shares of the query's best score, 0 to 1.
        """
        device = self._weights.device
        tokens = torch.from_numpy(np.concatenate(queries).astype(np.int64)).to(device)
        lengths = torch.tensor([len(query) for query in queries], device=device)
        places = torch.arange(len(queries), device=device).repeat_interleave(lengths)
        counts = torch.zeros(self._vocabulary, len(queries), device=device)
        counts.index_put_((tokens, places), torch.ones_like(tokens).float(), accumulate=True)
        scores = (self._weights @ counts).T.contiguous()
        return scores / scores.amax(1, keepdim=True).clamp(min=1e-9)
