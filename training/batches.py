"""From lists to padded batches of pairs, put together on the device that scores them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .lists import RankingLists
from .texts import FIRST, SEPARATOR, DeviceTexts, send

SPECIAL_TOKENS = 3
"""Tokens of a pair that are neither the query's nor the document's."""

_TOKENS_IN_BATCH = {"cpu": 5120, "cuda": 65536}
"""Of like length, so that padding costs little: on a CPU few enough to stay in the cache, on a GPU
as many as make up for what it takes to start its programs."""

_MULTIPLE = 8
"""Of tokens that a batch is padded to, which fused attention on a GPU asks for."""


@dataclass(frozen=True, slots=True)
class PairBatch:
    """Pairs of like length."""

    places: NDArray[np.int64]
    """Of each pair among those of the lists, list by list."""
    ids: Tensor
    """int64, shape (pairs, tokens), padded with 0."""
    types: Tensor
    """The segment of each token, int64, of the same shape."""


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Queries and passages that belong together; all of shape (pairs,)."""

    queries: NDArray[np.integer]
    passages: NDArray[np.integer]
    query_tokens: NDArray[np.int64]
    passage_tokens: NDArray[np.int64]

    def take(self, places: NDArray[np.int64]) -> "_Pairs":
        return _Pairs(
            self.queries[places],
            self.passages[places],
            self.query_tokens[places],
            self.passage_tokens[places],
        )


class PairBatcher:
    """Makes pairs out of the queries and passages of lists."""

    def __init__(self, lists: RankingLists, device: str) -> None:
        self._device = device
        self._queries = DeviceTexts(lists.queries, device)
        self._passages = DeviceTexts(lists.passages, device)

    def encode(
        self, rows: NDArray[np.integer], documents: NDArray[np.integer], *, window: int
    ) -> Iterator[PairBatch]:
        """Encode all pairs of some lists, longest first.

        A pair is cut at the document's end, as when it is scored.

        Args:
            rows: Places of queries, shape (lists,).
            documents: Places of passages, shape (lists, passages).
            window: Tokens of a pair at most, more than any query has.
        """
        pairs = self._pair(rows, documents, window)
        lengths = pairs.query_tokens + pairs.passage_tokens + SPECIAL_TOKENS
        order = np.argsort(-lengths, kind="stable")
        start = 0
        while start < len(order):
            longest = -(-int(lengths[order[start]]) // _MULTIPLE) * _MULTIPLE
            places = order[start : start + max(1, _TOKENS_IN_BATCH[self._device] // longest)]
            ids, types = self._encode(pairs.take(places), longest)
            yield PairBatch(places, ids, types)
            start += len(places)

    def _pair(
        self, rows: NDArray[np.integer], documents: NDArray[np.integer], window: int
    ) -> _Pairs:
        queries, passages = np.repeat(rows, documents.shape[1]), documents.ravel()
        query_tokens = self._queries.lengths[queries]
        room = window - SPECIAL_TOKENS - query_tokens
        return _Pairs(
            queries, passages, query_tokens, self._passages.lengths[passages].clip(max=room)
        )

    def _encode(self, pairs: _Pairs, tokens: int) -> tuple[Tensor, Tensor]:
        """Give ids and types of pairs, padded to so many tokens."""
        steps = torch.arange(tokens, device=self._device).expand(len(pairs.queries), -1)
        behind_query = send(pairs.query_tokens + 1, self._device)[:, None]
        end = behind_query + send(pairs.passage_tokens + 1, self._device)[:, None]
        ids = self._queries.gather(pairs.queries, steps - 1)
        passage_ids = self._passages.gather(pairs.passages, steps - behind_query - 1)
        ids = torch.where(steps > behind_query, passage_ids, ids)
        ids = ids.masked_fill(steps == 0, FIRST)
        ids = ids.masked_fill((steps == behind_query) | (steps == end), SEPARATOR)
        is_second = (steps > behind_query) & (steps <= end)
        return ids.masked_fill(steps > end, 0), is_second.long()
