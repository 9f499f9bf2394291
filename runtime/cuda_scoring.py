"""The scorer on a GPU: pairs of similar length together."""

from collections.abc import Iterable, Sequence

import numpy as np
import onnxruntime as ort

from .arrays import Float32Array, FloatArray, IntArray
from .batching import batches_under_budget, pad_pairs
from .errors import ProviderError, ScoringError
from .scoring import GraphScorer
from .tokenization import EncodedPair, EncodedQuery, Encoder

_BATCH_TOKENS = 32_768
"""Padded tokens in a batch: 64 pairs of 512, enough to fill the device."""

_TURN_PAIRS = 256


class CudaScorer(GraphScorer):
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
        return min(_TURN_PAIRS, len(lengths))

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
