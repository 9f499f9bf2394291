"""Probabilities that mean something: a line through the logits, and how well it fits.

Platt's scaling (1999): a logistic regression of relevance on the logit, folded into the classifier,
so that the sigmoid of the model's own logit is the probability. The order of documents stays.
"""

from dataclasses import dataclass
from itertools import pairwise

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from torch.nn import Linear

_BINS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
_KEPT = 0.95


class Bin(msgspec.Struct, frozen=True):
    """Documents whose probabilities lie between two bounds."""

    low: float
    high: float
    documents: int
    mean_probability: float
    relevant: float
    """Share of the documents that answer."""


class Calibration(msgspec.Struct, frozen=True):
    """How far probabilities can be trusted, measured on queries that did not fit the line."""

    bins: list[Bin]
    threshold: float
    """The probability at and above which 95 % of the relevant documents are."""
    kept_irrelevant: float
    """The share of the other documents that it lets through."""


class NoLineError(ValueError):
    """No line makes probabilities of a model's logits."""


@dataclass(frozen=True, slots=True)
class Line:
    """From a logit to the logit of a probability."""

    slope: float
    shift: float

    def apply(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give logits on the calibrated scale, of the same shape."""
        return (self.slope * logits + self.shift).astype(np.float32)

    def fold_into(self, classifier: Linear) -> None:
        """Make the classifier give calibrated logits."""
        classifier.weight.data.mul_(self.slope)
        classifier.bias.data.mul_(self.slope).add_(self.shift)


def fit_line(logits: NDArray[np.float32], relevant: NDArray[np.bool_]) -> Line:
    """Fit on logits of shape (pairs,), without Platt's smoothing of the targets.

    Raises:
        NoLineError: the model ranks what answers last, or nothing wrongly: there is no such line.
    """

    def loss(parameters: NDArray[np.float64]) -> float:
        wanted = np.where(relevant, 1, -1) * (parameters[0] * logits + parameters[1])
        return float(np.logaddexp(0, -wanted).mean())

    found = minimize(loss, x0=[1.0, 0.0], method="Nelder-Mead")
    slope, shift = found.x
    if not found.success or slope <= 0:
        message = f"no line makes probabilities of these logits: slope {slope:.3g}, {found.message}"
        raise NoLineError(message)
    return Line(float(slope), float(shift))


def check_calibration(logits: NDArray[np.float32], relevant: NDArray[np.bool_]) -> Calibration:
    """Compare probabilities with what is relevant, for calibrated logits of shape (pairs,)."""
    probability = expit(logits.astype(np.float64))
    place = np.digitize(probability, _BINS[1:-1])
    bins = [
        Bin(
            low,
            high,
            int((place == number).sum()),
            float(probability[place == number].mean()),
            float(relevant[place == number].mean()),
        )
        for number, (low, high) in enumerate(pairwise(_BINS))
        if (place == number).any()
    ]
    threshold = float(np.quantile(probability[relevant], 1 - _KEPT))
    return Calibration(bins, threshold, float((probability[~relevant] >= threshold).mean()))
