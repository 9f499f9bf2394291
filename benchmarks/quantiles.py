"""The quantiles that results files hold."""

from collections.abc import Sequence

import numpy as np

_LEVELS = {"p5": 0.05, "p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}


def quantiles(values: Sequence[float], *, digits: int = 2) -> dict[str, float]:
    """Give the quantiles of measured values, rounded."""
    return {
        name: round(float(np.quantile(values, level)), digits) for name, level in _LEVELS.items()
    }
