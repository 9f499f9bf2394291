"""Whether two systems differ: a paired randomization test and bootstrap intervals, by scipy.

The randomization test assumes nothing about how a metric is distributed, see M. Smucker, J. Allan
and B. Carterette, "A comparison of statistical significance tests for information retrieval
evaluation", CIKM 2007 (https://doi.org/10.1145/1321440.1321528). Queries are what is resampled.
"""

import warnings
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import stats

SEED = 20
CONFIDENCE = 0.95
_PERMUTATIONS = 9_999
_RESAMPLES = 2_000
_BATCH = 250

Values = NDArray[np.float64]
Interval = tuple[float, float]


class Comparison(msgspec.Struct, frozen=True):
    """How a system's quality compares with that of the first system, on the same queries."""

    difference: float
    """Mean of the one minus mean of the first."""
    difference_interval: Interval | None
    """Where the difference lies with 95 % confidence; null for fewer than two queries."""
    kept: float | None
    """Mean of the one as a share of the mean of the first; null where that is 0."""
    kept_interval: Interval | None
    p_value: float | None
    """Of the paired two-sided test; null over several collections."""


def compare(collections: Sequence[tuple[Values, Values]]) -> Comparison:
    """Compare a system with the first one.

    Args:
        collections: For each collection the metric of the system and that of the first one, both
            float64 of shape (queries,) in the same order of queries. Each collection weighs the
            same, however many queries it has.
    """
    means = [np.array([values[side].mean() for values in collections]).mean() for side in (0, 1)]
    system, first = float(means[0]), float(means[1])
    return Comparison(
        difference=system - first,
        difference_interval=_interval(collections, lambda one, other: one - other),
        kept=system / first if first else None,
        kept_interval=_interval(collections, _share),
        p_value=_p_value(*collections[0]) if len(collections) == 1 else None,
    )


def _share(one: Values, other: Values) -> Values:
    shares: Values = np.full(np.broadcast(one, other).shape, np.nan)
    np.divide(one, other, out=shares, where=other != 0)
    return shares


def _p_value(values: Values, first: Values) -> float | None:
    if len(values) < 2:  # noqa: PLR2004 - one query tells nothing
        return None
    result = stats.permutation_test(
        (values - first,),
        np.mean,
        permutation_type="samples",
        n_resamples=_PERMUTATIONS,
        batch=_BATCH,
        vectorized=True,
        rng=np.random.default_rng(SEED),
    )
    return float(result.pvalue)


def _interval(
    collections: Sequence[tuple[Values, Values]], combine: Callable[[Values, Values], Values]
) -> Interval | None:
    """Bootstrap ``combine`` of the two means, drawing queries anew within each collection."""
    if any(len(values) < 2 for values, _ in collections):  # noqa: PLR2004 - as above
        return None

    def statistic(*drawn: Values, axis: int = -1) -> Values:
        queries = [places.astype(np.int64) for places in drawn]
        means = [
            np.mean(
                [
                    values[side][places].mean(axis)
                    for values, places in zip(collections, queries, strict=True)
                ],
                axis=0,
            )
            for side in (0, 1)
        ]
        return combine(means[0], means[1])

    with warnings.catch_warnings():
        # Where the first system's mean is 0 in a draw there is no share, and so no interval.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        result = stats.bootstrap(
            [np.arange(len(values), dtype=np.float64) for values, _ in collections],
            statistic,
            n_resamples=_RESAMPLES,
            batch=_BATCH,
            vectorized=True,
            confidence_level=CONFIDENCE,
            method="percentile",
            rng=np.random.default_rng(SEED),
        )
    low, high = (float(bound) for bound in result.confidence_interval)
    return (low, high) if np.isfinite([low, high]).all() else None
