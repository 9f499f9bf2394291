"""Scorers: from one query and some documents to raw logits.

On the CPU the unit of work is one pair at its own length. Padding costs more than batching gains,
and dynamic quantization takes one scale for a whole tensor, so that in a shared batch a score
would change with its neighbours (https://github.com/microsoft/onnxruntime/issues/10111). On CUDA
the unit is a batch of pairs of similar length.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import onnxruntime as ort

from .arrays import BoolArray, Float32Array, IntArray
from .errors import ScoringError
from .tokenization import EncodedPair, EncodedQuery, Encoder

_BATCH_TOKENS = 32_768
"""Padded tokens in a CUDA batch: 64 pairs of 512, enough to fill the device."""


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


class Scorer(Protocol):
    """Computes logits; safe to call from many threads."""

    encoder: Encoder
    pairs_per_call: int
    """The most documents that one call of ``score`` takes."""

    def score(
        self, query: EncodedQuery, documents: Sequence[str], *, max_windows: int
    ) -> DocumentScores:
        """Score documents for a query.

        Args:
            query: What the documents are for.
            documents: At most ``pairs_per_call``.
            max_windows: A document longer than the model's window is scored by up to so many
                overlapping windows, and the best of them counts.

        Raises:
            ScoringError: the graph failed or gave something that is not a number.
        """
        ...


class _GraphScorer(ABC):
    """What scorers share: encode windows, have pairs scored, keep each document's best."""

    def __init__(
        self, session: ort.InferenceSession, encoder: Encoder, graph_inputs: Sequence[str]
    ) -> None:
        """Score with ``session``, whose inputs are named ``graph_inputs``."""
        self.encoder = encoder
        self._session = session
        self._graph_inputs = graph_inputs

    def score(
        self, query: EncodedQuery, documents: Sequence[str], *, max_windows: int
    ) -> DocumentScores:
        """Score documents for a query, as ``Scorer`` says."""
        started = time.perf_counter()
        windows = [
            self.encoder.encode_windows(query, document, max_windows=max_windows)
            for document in documents
        ]
        encoded = time.perf_counter()
        pairs = [pair for group in windows for pair in group]
        logits = self._score_pairs(pairs)
        starts = np.cumsum([0, *(len(group) for group in windows[:-1])])
        return DocumentScores(
            np.maximum.reduceat(logits, starts),
            np.add.reduceat(np.array([len(pair.ids) for pair in pairs], np.int64), starts),
            np.array([group[0].was_cut for group in windows], np.bool_),
            encoded - started,
            time.perf_counter() - encoded,
        )

    @abstractmethod
    def _score_pairs(self, pairs: Sequence[EncodedPair]) -> Float32Array:
        """Give the logit of each pair, float32, shape (pairs,)."""


class CpuScorer(_GraphScorer):
    """Runs each pair alone, never padded."""

    pairs_per_call = 1

    def _score_pairs(self, pairs: Sequence[EncodedPair]) -> Float32Array:
        feeds = (pair.feed(self._graph_inputs) for pair in pairs)
        return np.concatenate([_run(self._session, feed) for feed in feeds])


class CudaScorer(_GraphScorer):
    """Runs pairs of similar length together, padded to the longest of their batch."""

    pairs_per_call = 256

    def _score_pairs(self, pairs: Sequence[EncodedPair]) -> Float32Array:
        lengths = np.array([len(pair.ids) for pair in pairs], np.int64)
        logits = np.empty(len(pairs), np.float32)
        for batch in batches_under_budget(lengths, _BATCH_TOKENS):
            feed = pad_pairs([pairs[int(index)] for index in batch], self._graph_inputs)
            logits[batch] = _run(self._session, feed)
        return logits


def batches_under_budget(tokens: IntArray, budget: int) -> list[IntArray]:
    """Group pairs of similar length so that no padded batch holds more than ``budget`` tokens.

    Args:
        tokens: int64, shape (n,), the length of each pair.
        budget: Padded tokens that a batch may hold; a longer pair gets a batch of its own.

    Returns:
        Arrays of indices into ``tokens``, longest first, each index in exactly one of them.
    """
    order = np.argsort(-tokens, kind="stable")
    batches: list[IntArray] = []
    start = 0
    while start < len(order):
        size = max(1, budget // int(tokens[order[start]]))
        batches.append(order[start : start + size])
        start += size
    return batches


def pad_pairs(pairs: Sequence[EncodedPair], graph_inputs: Sequence[str]) -> dict[str, IntArray]:
    """Give the graph's inputs for a batch, each int64 of shape (pairs, longest), padded with 0."""
    longest = max(len(pair.ids) for pair in pairs)
    feeds = [pair.feed(graph_inputs) for pair in pairs]
    padded = {name: np.zeros((len(pairs), longest), np.int64) for name in graph_inputs}
    for row, feed in enumerate(feeds):
        for name, values in feed.items():
            padded[name][row, : values.shape[1]] = values
    return padded


def _run(session: ort.InferenceSession, feed: dict[str, IntArray]) -> Float32Array:
    """Run the graph and give its logits, float32, shape (pairs,)."""
    try:
        output = session.run(None, feed)[0]
    except Exception as error:  # onnxruntime raises many kinds, all from its own C++ module
        message = f"onnxruntime failed on a batch of shape {feed['input_ids'].shape}: {error}"
        raise ScoringError(message) from error
    logits = output.reshape(-1).astype(np.float32, copy=False)
    if not np.isfinite(logits).all():
        message = "the graph gave a logit that is not a number; the bundle's weights are damaged"
        raise ScoringError(message)
    return logits
