"""Batches: pairs of similar length that run together, padded."""

from collections.abc import Sequence

import numpy as np

from .arrays import IntArray
from .tokenization import EncodedPair


def batches_under_budget(tokens: IntArray, budget: int) -> list[IntArray]:
    """Group pairs of similar length so that no padded batch holds more than ``budget`` tokens.

    Args:
        tokens: int64, shape (n,), the length of each pair.
        budget: Padded tokens that a batch may hold; a longer pair gets a batch of its own.

    Returns:
        Arrays of indices into ``tokens``, longest first, each index in exactly one of them.
    """
    order = np.argsort(-tokens, kind="stable")
    batches: list[IntArray] = []
    start = 0
    while start < len(order):
        size = max(1, budget // int(tokens[order[start]]))
        batches.append(order[start : start + size])
        start += size
    return batches


def pad_pairs(pairs: Sequence[EncodedPair], graph_inputs: Sequence[str]) -> dict[str, IntArray]:
    """Give the graph's inputs for a batch, each int64 of shape (pairs, longest), padded with 0."""
    longest = max(len(pair.ids) for pair in pairs)
    feeds = [pair.feed(graph_inputs) for pair in pairs]
    padded = {name: np.zeros((len(pairs), longest), np.int64) for name in graph_inputs}
    for row, feed in enumerate(feeds):
        for name, values in feed.items():
            padded[name][row, : values.shape[1]] = values
    return padded
