"""A request while it is scored: the pairs that wait, the scores that are known, its lanes.

A lane is a place of the request in the queue of the workers. Whoever takes it does one turn: a
pair, or some short ones that take no longer, or a window of a long document.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from queue import SimpleQueue

import numpy as np

from .arrays import BoolArray, Float32Array, IntArray
from .scoring import Scorer
from .tokenization import Cut, EncodedQuery


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Where the time of a request went; what several workers did at once counts for each."""

    queue_seconds: float = 0.0
    """From submitting until a worker took the first pair."""
    tokenization_seconds: float = 0.0
    inference_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class PairScores:
    """What scoring one query against some documents gave, in the documents' order."""

    logits: Float32Array
    """float32, shape (n,), raw logits, unbounded."""
    tokens: IntArray
    """int64, shape (n,), tokens read for each document: those of its pair after cutting, special
    tokens included, or of all its windows together."""
    query_tokens: int
    """Tokens of the query after cutting, without special tokens."""
    query_cut: bool
    """True where the query was longer than half the window and was cut."""
    documents_cut: BoolArray
    """bool, shape (n,), True where a part of the document was not read."""
    times: StageTimes
    pairs: int
    """Pairs that the graph was run for: neither repeated nor cached."""
    cached: int
    """Pairs whose scores a cache had."""


class ScoringRequest:
    """The pairs of one request and what is known of their scores."""

    def __init__(self, query: str, documents: Sequence[str], *, max_windows: int, cut: Cut) -> None:
        """Know nothing yet; the arguments are those of ``Scheduler.submit``."""
        self.future: Future[PairScores] = Future()
        self._query_text = query
        self._max_windows = max_windows
        self._cut = cut
        # The same text twice is scored once: a pair's score depends on nothing else.
        places = {text: place for place, text in enumerate(dict.fromkeys(documents))}
        self._inverse = np.array([places[text] for text in documents], np.int64)
        self._documents = list(places)
        # Taken from the end: longest first, so that no long pair is left for one worker to finish.
        self._waiting = sorted(range(len(places)), key=lambda place: len(self._documents[place]))
        self._lengths = [len(self._documents[place]) for place in self._waiting]
        self._logits = np.zeros(len(places), np.float32)
        self._tokens = np.zeros(len(places), np.int64)
        self._were_cut = np.zeros(len(places), np.bool_)
        self._submitted = time.perf_counter()
        self._times = StageTimes()
        self._cached = 0
        self._unscored = len(places)
        self._is_answered = False
        self._lock = threading.Lock()

    def open_lanes(self, scorer: Scorer, workers: int, queue: "LaneQueue") -> Iterator[None]:
        """Encode the query, let other workers join in, and become a lane oneself."""
        started = time.perf_counter()
        query = scorer.encoder.encode_query(self._query_text, self._cut)
        self._times = StageTimes(started - self._submitted, time.perf_counter() - started)
        if not self._documents:  # no lane has a last pair that would complete it
            self._complete(query)
        for _ in range(min(workers, len(self._documents)) - 1):
            queue.put(Lane(self, self._lane(query, scorer, workers)))
        yield from self._lane(query, scorer, workers)

    def _lane(self, query: EncodedQuery, scorer: Scorer, workers: int) -> Iterator[None]:
        """Score waiting pairs, and stop after each turn and within a long one."""
        while places := self._take(scorer, workers):
            yield from self._score(places, query, scorer)
            yield

    def _take(self, scorer: Scorer, workers: int) -> list[int]:
        """Take waiting pairs for a turn, none where none are left."""
        with self._lock:
            if not self._waiting:
                return []
            count = scorer.pairs_in_turn(self._lengths, workers=workers)
            taken = self._waiting[-count:][::-1]
            del self._waiting[-count:], self._lengths[-count:]
            return taken

    def _score(self, places: list[int], query: EncodedQuery, scorer: Scorer) -> Iterator[None]:
        """Score pairs that were taken; the last of them completes the request."""
        documents = [self._documents[place] for place in places]
        scores = yield from scorer.score(query, documents, max_windows=self._max_windows)
        self._logits[places] = scores.logits
        self._tokens[places] = scores.tokens
        self._were_cut[places] = scores.were_cut
        with self._lock:
            self._times = StageTimes(
                self._times.queue_seconds,
                self._times.tokenization_seconds + scores.tokenization_seconds,
                self._times.inference_seconds + scores.inference_seconds,
            )
            self._cached += scores.cached
            self._unscored -= len(places)
            is_complete = self._unscored == 0
        if is_complete:
            self._complete(query)

    def _complete(self, query: EncodedQuery) -> None:
        scores = PairScores(
            self._logits[self._inverse],
            self._tokens[self._inverse],
            query.tokens,
            query.was_cut,
            self._were_cut[self._inverse],
            self._times,
            pairs=len(self._documents) - self._cached,
            cached=self._cached,
        )
        if self._may_answer():
            self.future.set_result(scores)

    def fail(self, error: BaseException) -> None:
        """Give up: the caller gets ``error`` unless it has an answer already or has left."""
        if self._may_answer():
            self.future.set_exception(error)

    def _may_answer(self) -> bool:
        """Let one of the lanes answer, unless the caller has left.

        It answers after the lock is free: a callback of the caller's may take its time.
        """
        with self._lock:
            is_first, self._is_answered = not self._is_answered, True
            return is_first and self.future.set_running_or_notify_cancel()


@dataclass(frozen=True, slots=True)
class Lane:
    """One of the places of a request in the queue."""

    request: ScoringRequest
    turns: Iterator[None]
    """Does something of the request each time, in whichever worker's thread."""


LaneQueue = SimpleQueue[Lane | None]
"""None tells a worker to end."""
