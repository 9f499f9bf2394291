"""What the comparison writes down, and its tables and plot read."""

from enum import StrEnum
from typing import Any

import msgspec

from ranklet.runtime.measurement import Quantiles

from .quality import Quality


class Role(StrEnum):
    """Why a setting takes part."""

    OURS = "ours"
    DEFAULT = "default"
    EXTRA = "extra"
    BEST = "best"
    """It was the fastest in the sweep of the workload."""


class Entry(msgspec.Struct, frozen=True):
    """How fast a peer was on a workload at a setting."""

    peer: str
    engine: str
    role: Role
    workload: str
    setting: str
    pairs_per_s: Quantiles
    call_ms: Quantiles
    """From the call to the scores of all documents."""
    seconds: list[float]
    """The same, of each round."""


class Trial(msgspec.Struct, frozen=True):
    """A setting in a peer's sweep."""

    peer: str
    workload: str
    setting: str
    seconds: float
    """The least of the rounds."""


class Absent(msgspec.Struct, frozen=True):
    """A peer, or a setting of one, that did not run."""

    peer: str
    setting: str
    reason: str


class Workload(msgspec.Struct, frozen=True):
    """What was scored in one call."""

    name: str
    documents: int
    tokens: int
    """Of all pairs, special ones included, nothing padded."""


class Comparison(msgspec.Struct, frozen=True):
    """All of a run."""

    environment: dict[str, Any]
    peer_versions: dict[str, dict[str, str]]
    model: str
    variants: dict[str, str]
    """Recipes of our variants."""
    workers: int
    seed: int
    quality_pairs: int
    workloads: list[Workload]
    rounds: int
    entries: list[Entry]
    qualities: list[Quality]
    sweep: list[Trial]
    absent: list[Absent]

    def find(self, peer: str, role: Role, workload: str) -> Entry | None:
        """Give an entry, where the peer ran."""
        for entry in self.entries:
            if (entry.peer, entry.role, entry.workload) == (peer, role, workload):
                return entry
        return None

    def quality(self, entry: Entry) -> Quality:
        """Give the quality at an entry's setting."""
        for quality in self.qualities:
            if (quality.peer, quality.setting) == (entry.peer, entry.setting):
                return quality
        message = f"nothing is known about the scores of {entry.peer}, {entry.setting}"
        raise LookupError(message)
