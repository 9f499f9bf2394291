"""Measuring speed: variants take turns within one run, so that what slows the machine slows all.

Trust the ratios between variants, not the absolute times.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from .reranker import Reranker
from .workloads import QUERY, mixed_documents, uniform_documents

SEED = 20
LENGTHS_TOKENS = (32, 128, 256, 512)
MIXED = "mixed"

_TOKENS_IN_ROUND = 6_400
"""What one round of a length reads: enough to keep all workers busy, little enough to wait for."""

_MIXED_DOCUMENTS = 100
_LATENCY_RUNS_IN_ROUND = 5


class Quantiles(msgspec.Struct, frozen=True):
    """Quantiles of a measured quantity over the rounds."""

    p5: float
    p25: float
    p50: float
    p75: float
    p95: float

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> "Quantiles":
        """Summarize ``values``, shape (n,)."""
        return cls(
            *(round(float(q), 3) for q in np.quantile(values, (0.05, 0.25, 0.5, 0.75, 0.95)))
        )


class Speed(msgspec.Struct, frozen=True):
    """How fast a variant was on a workload."""

    workload: str
    """``32 tokens`` and so on: pairs of equal length; ``mixed``: lognormal lengths."""
    variant: str
    pairs_per_s: Quantiles
    """With all workers busy."""
    one_document_ms: Quantiles
    """From the call to the score of a single document."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Documents to score for ``QUERY``."""

    name: str
    documents: Sequence[str]


def make_workloads(window_tokens: int) -> list[Workload]:
    """Make documents of each length that fits the window, and a mix of lengths."""
    workloads = [
        Workload(
            f"{tokens} tokens", uniform_documents(tokens, _TOKENS_IN_ROUND // tokens, seed=SEED)
        )
        for tokens in LENGTHS_TOKENS
        if tokens <= window_tokens
    ]
    return [*workloads, Workload(MIXED, mixed_documents(_MIXED_DOCUMENTS, seed=SEED))]


def measure(
    rerankers: Mapping[str, Reranker],
    workload: Workload,
    *,
    rounds: int,
    on_round: Callable[[], object] = lambda: None,
) -> list[Speed]:
    """Measure each variant on a workload.

    Args:
        rerankers: Open rerankers by the name of their variant.
        workload: What to score.
        rounds: How often, after one round to warm up.
        on_round: Called after each round, the one to warm up included.

    Returns:
        A ``Speed`` for each variant.
    """
    many: dict[str, list[float]] = {name: [] for name in rerankers}
    single: dict[str, list[float]] = {name: [] for name in rerankers}
    for _ in range(rounds + 1):
        for name, reranker in rerankers.items():
            many[name].append(_seconds(reranker, workload.documents))
            for _ in range(_LATENCY_RUNS_IN_ROUND):
                single[name].append(_seconds(reranker, workload.documents[:1]))
        on_round()
    return [
        Speed(
            workload.name,
            name,
            Quantiles.of(len(workload.documents) / np.array(many[name][1:])),
            Quantiles.of(1000 * np.array(single[name][_LATENCY_RUNS_IN_ROUND:])),
        )
        for name in rerankers
    ]


def _seconds(reranker: Reranker, documents: Sequence[str]) -> float:
    started = time.perf_counter()
    reranker.score(QUERY, documents)
    return time.perf_counter() - started
