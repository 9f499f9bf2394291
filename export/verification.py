"""Compares the logits of a variant with those of the original model."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnxruntime as ort
from scipy import stats

from ranklet.runtime.arrays import Float32Array, IntArray
from ranklet.runtime.errors import ProviderError
from ranklet.runtime.manifest import Precision, VariantReport
from ranklet.runtime.sessions import cpu_session, cuda_is_available, cuda_session

from .errors import ExportError, first_line

MAX_DIFFERENCE_FP32 = 1e-4
"""Limit for fp32: the largest difference, in standard deviations of the original's logits. Rounding
makes 1e-6 to 1e-5; ignored segment ids or a missing layer make 1e-1 and more."""

MAX_DIFFERENCE_FP16 = 5e-2
"""The same for fp16, which keeps 11 bits of a number where fp32 keeps 24."""

MIN_KENDALL_TAU = 0.95
"""Limit for int8: the rank agreement over all pairs. Of the shipped model a sound int8 graph has
0.98, one with a single scale for each weight matrix 0.90, one that ignores segment ids 0.72, one
that lacks a layer at most 0.41."""

_SMALLEST_SPREAD = 1e-9
"""Stands in for the standard deviation of logits that are all equal, which nothing divides by."""


def verify_graph(  # noqa: PLR0913 - what, against what, and how are told by keywords
    graph: Path,
    feeds: Sequence[Mapping[str, IntArray]],
    reference: Float32Array,
    *,
    precision: Precision,
    session_options: Mapping[str, str] | None = None,
    on_run: Callable[[], object] | None = None,
) -> VariantReport:
    """Score every pair with ``graph`` and compare.

    Args:
        graph: The ``.onnx`` file of the variant.
        feeds: The graph's inputs for each run, each int64 of shape (pairs, tokens).
        reference: float32, shape (all pairs,): the logits of the original model.
        precision: Decides which limit counts.
        session_options: onnxruntime session options beyond those of the runtime.
        on_run: Called after each run, to show progress.

    Raises:
        ExportError: the graph cannot run, or gave something else than a finite logit for each pair.
        BundleError: onnxruntime cannot load the graph.
    """
    options = dict(session_options or {})
    logits = _score(graph, feeds, precision=precision, options=options, on_run=on_run)
    spread = max(float(reference.std()), _SMALLEST_SPREAD)
    differences = np.abs(logits - reference) / spread
    max_difference = float(differences.max())
    kendall_tau = rank_agreement(logits, reference)
    return VariantReport(
        max_difference=max_difference,
        mean_difference=float(differences.mean()),
        kendall_tau=kendall_tau,
        passed=_passes(precision, max_difference=max_difference, kendall_tau=kendall_tau),
        session_options=options,
    )


def rank_agreement(logits: Float32Array, reference: Float32Array) -> float:
    """Give Kendall's tau-b of two rankings, in [-1, 1]; 0 where one of them ties all pairs."""
    if np.ptp(logits) == 0 or np.ptp(reference) == 0:
        return 0.0
    return float(stats.kendalltau(logits, reference).statistic)


def _passes(precision: Precision, *, max_difference: float, kendall_tau: float) -> bool:
    match precision:
        case "fp32":
            return max_difference <= MAX_DIFFERENCE_FP32
        case "fp16":
            return max_difference <= MAX_DIFFERENCE_FP16
        case "int8":
            return kendall_tau >= MIN_KENDALL_TAU


def _score(
    graph: Path,
    feeds: Sequence[Mapping[str, IntArray]],
    *,
    precision: Precision,
    options: dict[str, str],
    on_run: Callable[[], object] | None,
) -> Float32Array:
    session = _session(graph, precision, options)
    logits: list[Float32Array] = []
    for run, feed in enumerate(feeds):
        pairs, tokens = feed["input_ids"].shape
        try:
            output = session.run(None, feed)[0]
        except Exception as error:  # onnxruntime raises many kinds, all from its own C++ module
            message = (
                f"{graph.name} cannot run {pairs} pairs of {tokens} tokens: {first_line(error)}"
            )
            raise ExportError(message) from error
        if output.size != pairs or not np.isfinite(output).all():
            found = f"{output.ravel()[:4]} of shape {output.shape}"
            message = f"{graph.name} gives {found} in run {run} instead of one finite logit a pair"
            raise ExportError(message)
        logits.append(output.ravel())
        if on_run is not None:
            on_run()
    return np.concatenate(logits)


def _session(graph: Path, precision: Precision, options: dict[str, str]) -> ort.InferenceSession:
    """Open a graph where it will run; one for GPUs on the CPU where none can be used."""
    if precision == "fp16" and cuda_is_available():
        with suppress(ProviderError):
            return cuda_session(graph)
    return cpu_session(graph, options=options)
