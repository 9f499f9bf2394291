"""Admission: how much may wait, and when it is worth to come again."""

import math
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from .errors import QueueFullError, TooLargeError
from .settings import Settings

_MEMORY_SECONDS = 10.0
"""Work that was done so long ago counts 1/e of what is done now."""

_LONGEST_RETRY_SECONDS = 60


@dataclass(slots=True)
class Load:
    """Pairs, and the characters of their requests, as ``RerankRequest.held`` counts them."""

    pairs: float
    characters: float


class DrainRate:
    """How fast the queue empties while there is anything in it.

    Everything that was scored divided by the time it took, both forgotten exponentially. Time in
    which nothing waited does not count, nor do requests that were dropped unscored.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """Take the time, in seconds, from ``clock``."""
        self._clock = clock
        self._mark = clock()
        self._seconds = 0.0
        self._done = Load(0, 0)

    def begin(self) -> None:
        """Start to count time: there is work again."""
        self._mark = self._clock()

    def record(self, load: Load) -> None:
        """Count what was scored since the last call."""
        now = self._clock()
        elapsed = now - self._mark
        self._mark = now
        kept = math.exp(-elapsed / _MEMORY_SECONDS)
        self._seconds = self._seconds * kept + elapsed
        self._done.pairs = self._done.pairs * kept + load.pairs
        self._done.characters = self._done.characters * kept + load.characters

    def retry_after_seconds(self, excess: Load) -> int:
        """Give whole seconds, from 1 to 60, until ``excess`` should have been scored.

        1 where nothing has been scored yet.
        """
        done = self._done
        if not (done.pairs and done.characters):
            return 1
        share = max(excess.pairs / done.pairs, excess.characters / done.characters)
        return min(max(1, math.ceil(share * self._seconds)), _LONGEST_RETRY_SECONDS)


class PairQueue:
    """Counts what waits or is being scored. For the event loop's thread alone."""

    def __init__(
        self,
        *,
        max_pairs: int,
        max_characters: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Let so much wait at most."""
        self._limit = Load(max_pairs, max_characters)
        self._waiting = Load(0, 0)
        self._rate = DrainRate(clock)

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Make a queue with the limits of the settings."""
        return cls(max_pairs=settings.max_queued_pairs, max_characters=settings.max_queued_chars)

    @property
    def pairs(self) -> int:
        """Pairs that wait or are being scored."""
        return int(self._waiting.pairs)

    @property
    def characters(self) -> int:
        """Characters of the requests that they belong to."""
        return int(self._waiting.characters)

    @contextmanager
    def holding(self, *, pairs: int, characters: int) -> Generator[None]:
        """Hold places for a request.

        Raises:
            QueueFullError: there are not that many left.
            TooLargeError: there will never be.
        """
        wanted = Load(pairs, characters)
        self._check(wanted)
        if not self._waiting.pairs:
            self._rate.begin()
        self._waiting.pairs += pairs
        self._waiting.characters += characters
        try:
            yield
            self._rate.record(wanted)
        finally:
            self._waiting.pairs -= pairs
            self._waiting.characters -= characters

    def _check(self, wanted: Load) -> None:
        limit, waiting = self._limit, self._waiting
        excess = Load(
            waiting.pairs + wanted.pairs - limit.pairs,
            waiting.characters + wanted.characters - limit.characters,
        )
        for what, setting in (
            ("pairs", "RANKLET_MAX_QUEUED_PAIRS"),
            ("characters", "RANKLET_MAX_QUEUED_CHARS"),
        ):
            found, most = int(getattr(wanted, what)), int(getattr(limit, what))
            if found > most:
                raise TooLargeError(what=what, found=found, limit=most, setting=setting)
            if getattr(excess, what) > 0:
                raise QueueFullError(
                    what=what,
                    wanted=found,
                    waiting=int(getattr(waiting, what)),
                    limit=most,
                    setting=setting,
                    retry_after_seconds=self._rate.retry_after_seconds(excess),
                )
