"""What a peer scores: how near it comes to the torch model, and where it reads something else."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np

from ranklet.runtime.arrays import Float32Array
from ranklet.runtime.workloads import QUERY

WINDOW_TOKENS = 512

_SAME = 1e-3
"""Largest difference, in standard deviations of the torch logits, that rounding in fp32 makes."""

_PROBE_WORDS = 600
_QUERY_AND_SPECIAL_TOKENS = len(QUERY.split()) + 3
_OTHER_WORDS = ("water", "music", "seven")

ScoreOne = Callable[[str, str], float]


class Quality(msgspec.Struct, frozen=True):
    """How a peer's logits at a setting compare with those of the torch model in fp32."""

    peer: str
    setting: str
    max_difference: float
    """In standard deviations of the torch logits."""
    mean_difference: float
    kendall_tau: float
    """Rank agreement, 1 where the order is the same."""
    window_tokens: int
    """Longest pair that is read, by trying."""
    reads_segments: bool
    """Whether query and document get different segment ids, as in training."""

    @property
    def scores_something_else(self) -> bool:
        """Whether its speed is that of other work."""
        return self.window_tokens < 0.9 * WINDOW_TOKENS or not self.reads_segments

    @property
    def remark(self) -> str:
        """The quality in a few words."""
        remarks: list[str] = []
        if self.window_tokens < 0.9 * WINDOW_TOKENS:
            remarks.append(f"cuts at {self.window_tokens} tokens")
        if not self.reads_segments:
            remarks.append("ignores segment ids")
        if not remarks and self.max_difference < _SAME:
            return "same"
        return ", ".join([*remarks, f"tau {self.kendall_tau:.3f}"])


@dataclass(frozen=True, slots=True)
class References:
    """Logits of the torch model for the pairs that are compared; float32, shape (pairs,)."""

    as_trained: Float32Array
    without_segments: Float32Array
    is_short: "np.ndarray[tuple[int], np.dtype[np.bool_]]"
    """Pairs that no window cuts: only they tell about the segment ids."""

    def compare(
        self, peer: str, setting: str, logits: Float32Array, score_one: ScoreOne
    ) -> Quality:
        """Compare a peer's logits of the same pairs."""
        from ranklet.export.verification import rank_agreement  # tables need no scipy

        differences = np.abs(logits - self.as_trained) / float(self.as_trained.std())
        return Quality(
            peer=peer,
            setting=setting,
            max_difference=float(differences.max()),
            mean_difference=float(differences.mean()),
            kendall_tau=rank_agreement(logits, self.as_trained),
            window_tokens=find_window(score_one),
            reads_segments=self._distance(logits, self.as_trained)
            <= self._distance(logits, self.without_segments),
        )

    def _distance(self, logits: Float32Array, reference: Float32Array) -> float:
        return float(np.abs(logits - reference)[self.is_short].mean())


def find_window(score_one: ScoreOne) -> int:
    """Find the longest pair that a peer reads: what comes behind does not change its score."""
    words = ["people", "house", "old", "many"] * (_PROBE_WORDS // 4)
    original = score_one(QUERY, " ".join(words))

    def is_read(kept: int) -> bool:
        return any(
            score_one(QUERY, " ".join([*words[:kept], *[other] * (_PROBE_WORDS - kept)]))
            != original
            for other in _OTHER_WORDS
        )

    low, high = 0, _PROBE_WORDS  # a change behind `low` words is seen, one behind `high` is not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if is_read(middle) else (low, middle)
    return high + _QUERY_AND_SPECIAL_TOKENS
