"""Which documents of its lists a step takes."""

import numpy as np
from numpy.typing import NDArray


def draw_columns(
    documents: NDArray[np.int32],
    *,
    own: int,
    own_taken: int,
    count: int,
    seed: tuple[int, int],
) -> NDArray[np.int64]:
    """Draw a step's part of each list: the best own passage, other own ones, and some others.

    Args:
        documents: Places of passages, shape (lists, passages), -1 where there is none.
        own: How many of the first ones are own or missing, the best in front.
        own_taken: How many of these to draw at most.
        count: How many to draw of each list.
        seed: What the draw depends on.

    Returns:
        Columns of ``documents``, shape (lists, count).
    """
    keys = np.where(documents < 0, -1, np.random.default_rng(seed).random(documents.shape))
    seconds = keys[:, 1:own]
    least = np.sort(seconds, axis=1)[:, -own_taken + 1 or own :]
    seconds[seconds < least.min(axis=1, keepdims=True, initial=2)] = -1
    keys[:, :own] += 2 * (keys[:, :own] >= 0)  # these before any other
    return np.argsort(-keys, axis=1, kind="stable")[:, :count]
