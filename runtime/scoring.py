"""Scorers: from one query and some documents to raw logits.

On the CPU the graph runs for one pair at its own length. Padding costs more than batching gains,
and dynamic quantization takes one scale for a whole tensor, so that in a shared batch a score
would change with its neighbours (https://github.com/microsoft/onnxruntime/issues/10111). On CUDA
it runs for a batch of pairs of similar length: see ``cuda_scoring``.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol, TypeAlias

import numpy as np
import onnxruntime as ort

from .arrays import BoolArray, Float32Array, FloatArray, IntArray
from .errors import ScoringError
from .tokenization import EncodedPair, EncodedQuery, Encoder

_CPU_TURN_PAIRS = 16
_CPU_TURN_CHARACTERS = 800
"""A turn on the CPU, unless one pair alone is longer: about 200 tokens, a few milliseconds. Workers
that change hands for every short pair spend a tenth of their time waiting for each other."""

_CPU_STEP_TOKENS = 512
"""Within a turn a worker stops when it has scored so many: after each window of a long document."""


@dataclass(frozen=True, slots=True)
class DocumentScores:
    """What one call of a scorer gave, in the documents' order."""

    logits: Float32Array
    """float32, shape (n,), raw logits, unbounded."""
    tokens: IntArray
    """int64, shape (n,), tokens read for each document."""
    were_cut: BoolArray
    """bool, shape (n,), True where a part of the document was not read."""
    tokenization_seconds: float
    inference_seconds: float
    cached: int = 0
    """How many of them a cache had."""


Scoring: TypeAlias = Generator[None, None, DocumentScores]
"""Work that stops where something else may be done before it goes on, and then gives scores."""


class Scorer(Protocol):
    """Computes logits; safe to call from many threads."""

    encoder: Encoder

    def pairs_in_turn(self, lengths: Sequence[int], *, workers: int) -> int:
        """Say how many of a request's waiting documents a worker should take at once.

        Args:
            lengths: Characters of each, ascending, at least one; they are taken from the end.
            workers: How many share them.

        Returns:
            At least 1, at most all.
        """
        ...

    def score(self, query: EncodedQuery, documents: Sequence[str], *, max_windows: int) -> Scoring:
        """Score documents for a query, step by step.

        Args:
            query: What the documents are for.
            documents: At least one.
            max_windows: A document longer than the model's window is scored by up to so many
                overlapping windows, and the best of them counts.

        Returns:
            A generator of the steps, for one thread at a time.

        Raises:
            ScoringError: the graph failed or gave something that is not a number.
        """
        ...


class GraphScorer(ABC):
    """What scorers share: encode windows, have pairs scored, keep each document's best."""

    def __init__(
        self, session: ort.InferenceSession, encoder: Encoder, graph_inputs: Sequence[str]
    ) -> None:
        """Score with ``session``, whose inputs are named ``graph_inputs``."""
        self.encoder = encoder
        self._session = session
        self._graph_inputs = graph_inputs

    def score(self, query: EncodedQuery, documents: Sequence[str], *, max_windows: int) -> Scoring:
        """Score documents for a query, as ``Scorer`` says."""
        started = time.perf_counter()
        windows = self._encode(query, documents, max_windows)
        tokenization_seconds = time.perf_counter() - started
        inference_seconds = 0.0
        pairs = [pair for group in windows for pair in group]
        logits = np.empty(len(pairs), np.float32)
        for number, places in enumerate(self._steps(pairs)):
            if number:
                yield
            started = time.perf_counter()
            logits[places] = self._score_pairs([pairs[place] for place in places])
            inference_seconds += time.perf_counter() - started
        if not np.isfinite(logits).all():
            message = (
                "a logit is not a number: some value is too large for this variant's precision, "
                "or the weights are damaged; try --variant fp32"
            )
            raise ScoringError(message)
        if len(pairs) > len(windows):
            starts = np.cumsum([0, *(len(group) for group in windows[:-1])])
            logits = np.maximum.reduceat(logits, starts)
        return DocumentScores(
            logits,
            np.array([sum(len(pair.ids) for pair in group) for group in windows], np.int64),
            np.array([group[0].was_cut for group in windows], np.bool_),
            tokenization_seconds,
            inference_seconds,
        )

    @abstractmethod
    def _encode(
        self, query: EncodedQuery, documents: Sequence[str], max_windows: int
    ) -> list[list[EncodedPair]]:
        """Give the windows of each document."""

    @abstractmethod
    def _steps(self, pairs: Sequence[EncodedPair]) -> Iterable[Sequence[int]]:
        """Give the places of the pairs to score without a stop, each in exactly one step."""

    @abstractmethod
    def _score_pairs(self, pairs: Sequence[EncodedPair]) -> Float32Array:
        """Give the logit of each pair, float32, shape (pairs,)."""

    def _run(self, feed: dict[str, IntArray]) -> Float32Array:
        """Run the graph and give its logits, float32, shape (pairs,)."""
        try:
            output = self._infer(feed)
        except Exception as error:  # onnxruntime raises many kinds, all from its own C++ module
            shape = feed["input_ids"].shape
            message = f"onnxruntime failed on a batch of shape {shape}: {error}"
            raise ScoringError(message) from error
        return output.reshape(-1).astype(np.float32, copy=False)

    def _infer(self, feed: dict[str, IntArray]) -> FloatArray:
        """Give what the graph does, of a floating dtype and ``pairs`` elements."""
        output: FloatArray = self._session.run(None, feed)[0]
        return output


class CpuScorer(GraphScorer):
    """Runs each pair alone, never padded."""

    def pairs_in_turn(self, lengths: Sequence[int], *, workers: int) -> int:
        """Give so many that the turn is short and that enough is left for the other workers."""
        most = max(1, min(_CPU_TURN_PAIRS, len(lengths) // (2 * workers)))
        characters = accumulate(reversed(lengths[-most:]))
        return max(1, sum(total <= _CPU_TURN_CHARACTERS for total in characters))

    def _encode(
        self, query: EncodedQuery, documents: Sequence[str], max_windows: int
    ) -> list[list[EncodedPair]]:
        """Encode one document after another: the workers are enough to keep all cores busy."""
        return [
            self.encoder.encode_documents(query, [document], max_windows=max_windows)[0]
            for document in documents
        ]

    def _steps(self, pairs: Sequence[EncodedPair]) -> Iterable[Sequence[int]]:
        step: list[int] = []
        tokens = 0
        for place, pair in enumerate(pairs):
            step.append(place)
            tokens += len(pair.ids)
            if tokens >= _CPU_STEP_TOKENS:
                yield step
                step, tokens = [], 0
        if step:
            yield step

    def _score_pairs(self, pairs: Sequence[EncodedPair]) -> Float32Array:
        feeds = (pair.feed(self._graph_inputs) for pair in pairs)
        return np.concatenate([self._run(feed) for feed in feeds])
