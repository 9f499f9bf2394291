"""From lists to padded batches of pairs."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .lists import Ids, RankingLists

_FIRST, _SEPARATOR = 101, 102
_TOKENS_IN_BATCH = 5120
"""Of like length, so that padding costs little; few enough to stay in the cache."""


@dataclass(frozen=True, slots=True)
class PairBatch:
    """Pairs of like length."""

    places: NDArray[np.int64]
    """Of each pair among those of the lists, list by list."""
    ids: Tensor
    types: Tensor


def make_batches(
    lists: RankingLists, chosen: NDArray[np.int64], *, window: int
) -> Iterator[PairBatch]:
    """Encode all pairs of the chosen lists, longest first.

    A pair is cut at the document's end, as when it is scored.
    """
    pairs = [
        _pair(lists.query_ids[row], lists.document_ids[place], window)
        for row in map(int, chosen)
        for place in map(int, lists.documents[row])
    ]
    lengths = np.array([len(ids) for ids, _ in pairs])
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        count = max(1, _TOKENS_IN_BATCH // int(lengths[order[start]]))
        places = order[start : start + count]
        yield PairBatch(
            places,
            _pad([pairs[place][0] for place in places]),
            _pad([pairs[place][1] for place in places]),
        )
        start += count


def _pair(query: Ids, document: Ids, window: int) -> tuple[Tensor, Tensor]:
    document = document[: window - len(query) - 3]
    ids = np.concatenate(([_FIRST], query, [_SEPARATOR], document, [_SEPARATOR]))
    types = np.zeros(len(ids), dtype=np.int64)
    types[len(query) + 2 :] = 1
    return torch.from_numpy(ids.astype(np.int64)), torch.from_numpy(types)


def _pad(rows: list[Tensor]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
