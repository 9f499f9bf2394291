"""From logits to an order and to scores.

Everything is sorted on the raw logit and the activation is applied last: the sigmoid of any
float32 above 17 is exactly 1.0, so sorting on it would lose the order of the best documents.
"""

from dataclasses import dataclass

import numpy as np

from .arrays import Float32Array, IntArray
from .manifest import Activation


@dataclass(frozen=True, slots=True)
class RankedDocument:
    """A document's place in the ranking."""

    index: int
    """Position of the document in the request, from 0."""
    score: float
    """Probability in [0, 1], or the raw logit where that was asked for."""


def rank(logits: Float32Array, top_n: int | None = None) -> IntArray:
    """Give the indices of ``logits`` from best to worst.

    Args:
        logits: float32, shape (n,).
        top_n: how many to give, all where None.

    Returns:
        int64, shape (min(n, top_n),); equal logits keep the order in which they came.
    """
    return np.argsort(-logits, kind="stable")[:top_n].astype(np.int64, copy=False)


def ranked_documents(
    logits: Float32Array, scores: Float32Array, top_n: int | None = None
) -> list[RankedDocument]:
    """Rank by ``logits`` and give ``scores``, both of shape (n,) and in the documents' order."""
    order = rank(logits, top_n)
    # Lists at once: of 1,000 documents, numbers one by one took 1.7 times as long (1.4 to 2.1).
    return [*map(RankedDocument, order.tolist(), scores[order].tolist())]


def activate(logits: Float32Array, activation: Activation) -> Float32Array:
    """Turn raw logits into scores.

    Args:
        logits: float32, shape (n,), unbounded.
        activation: ``sigmoid``, 1 / (1 + exp(-x)), or ``identity``.

    Returns:
        float32, shape (n,), in [0, 1] for the sigmoid.
    """
    if activation == "identity":
        return logits
    # exp of a positive number may overflow: take it of -|x| and mirror, exact at both ends.
    decay = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1 / (1 + decay), decay / (1 + decay)).astype(np.float32)
