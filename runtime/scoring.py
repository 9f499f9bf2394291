"""Scorers: from one query and some documents to raw logits.

On the CPU the graph runs for one pair at its own length. Padding costs more than batching gains,
and dynamic quantization takes one scale for a whole tensor, so that in a shared batch a score
would change with its neighbours (https://github.com/microsoft/onnxruntime/issues/10111). On CUDA
it runs for a batch of pairs of similar length.
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
from .errors import ProviderError, ScoringError
from .tokenization import EncodedPair, EncodedQuery, Encoder

_BATCH_TOKENS = 32_768
"""Padded tokens in a CUDA batch: 64 pairs of 512, enough to fill the device."""

_CUDA_TURN_PAIRS = 256

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


class _GraphScorer(ABC):
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


class CpuScorer(_GraphScorer):
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
            self.encoder.encode_windows(query, document, max_windows=max_windows)
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


class CudaScorer(_GraphScorer):
    """Runs pairs of similar length together, padded to the longest of their batch."""

    def __init__(
        self,
        session: ort.InferenceSession,
        encoder: Encoder,
        graph_inputs: Sequence[str],
        *,
        device: str = "cuda",
    ) -> None:
        """Score with ``session``, which runs on the first of the devices called ``device``."""
        super().__init__(session, encoder, graph_inputs)
        self._device = device

    def warm_up(self, window_tokens: int) -> None:
        """Run the largest batch and the smallest: no request then waits for kernels and memory.

        Args:
            window_tokens: The longest pair.

        Raises:
            ProviderError: the device cannot, for instance because its memory is too small.
        """
        ids = np.zeros(window_tokens, np.int64)
        pair = EncodedPair(ids, ids, was_cut=False)
        try:
            for pairs in (max(1, _BATCH_TOKENS // window_tokens), 1):
                self._run(pad_pairs([pair] * pairs, self._graph_inputs))
        except ScoringError as error:
            message = f"the GPU cannot score the model's largest batch: {error}"
            raise ProviderError(message) from error

    def pairs_in_turn(self, lengths: Sequence[int], *, workers: int) -> int:  # noqa: ARG002
        """Give enough to fill batches, whoever else waits."""
        return min(_CUDA_TURN_PAIRS, len(lengths))

    def _encode(
        self, query: EncodedQuery, documents: Sequence[str], max_windows: int
    ) -> list[list[EncodedPair]]:
        """Encode on all cores at once: one is slower than the device."""
        return self.encoder.encode_documents(query, documents, max_windows=max_windows)

    def _steps(self, pairs: Sequence[EncodedPair]) -> Iterable[Sequence[int]]:
        lengths = np.array([len(pair.ids) for pair in pairs], np.int64)
        return (batch.tolist() for batch in batches_under_budget(lengths, _BATCH_TOKENS))

    def _score_pairs(self, pairs: Sequence[EncodedPair]) -> Float32Array:
        return self._run(pad_pairs(pairs, self._graph_inputs))

    def _infer(self, feed: dict[str, IntArray]) -> FloatArray:
        """Bind inputs that lie on the device, so that a worker copies its own beside a run."""
        binding = self._session.io_binding()
        for name, values in feed.items():
            on_device = ort.OrtValue.ortvalue_from_numpy(values, self._device, 0)
            binding.bind_ortvalue_input(name, on_device)
        binding.bind_output(self._session.get_outputs()[0].name)
        self._session.run_with_iobinding(binding)
        output: FloatArray = binding.copy_outputs_to_cpu()[0]
        return output


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
