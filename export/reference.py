"""What every graph of a bundle must reproduce: the logits of the model that it was made of."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from ranklet.runtime.arrays import Float32Array
from ranklet.runtime.tokenization import EncodedPair

from .request import MIN_PAIRS


@dataclass(frozen=True, slots=True)
class Original:
    """What the original model says about the verification pairs."""

    pairs: list[EncodedPair]
    logits: Float32Array
    """float32, shape (pairs,)."""
    graph_inputs: tuple[str, ...]


def collect_logits(
    logits: Iterable[float], *, seconds: float, on_pair: Callable[[], object]
) -> Float32Array:
    """Take logits as they are computed, for some time.

    Args:
        logits: One a verification pair.
        seconds: Take no more after this time, but at least ``MIN_PAIRS``.
        on_pair: Called after each, to show progress.

    Returns:
        float32, shape (pairs,), one a pair that there was time for.
    """
    deadline = time.monotonic() + seconds
    taken: list[float] = []
    for logit in logits:
        taken.append(logit)
        on_pair()
        if time.monotonic() > deadline and len(taken) >= MIN_PAIRS:
            break
    return np.array(taken, np.float32)
