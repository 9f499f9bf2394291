"""Times graphs against each other on one thread, one pair a run, as the runtime runs them.

What is measured is the time that the thread had a processor: on a busy machine the time on the
clock says more about the others.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort

from ranklet.runtime.arrays import IntArray
from ranklet.runtime.sessions import cpu_session

Quantiles = dict[str, float]
"""Milliseconds by ``p10``, ``p50``, ``p90``."""

_PERCENTILES = (10, 50, 90)
_WARM_UP_RUNS = 3


def measure_milliseconds(
    graphs: Mapping[str, Path], *, tokens: int, runs: int, vocabulary: int
) -> dict[str, Quantiles]:
    """Run the graphs in turns, so that what else the machine does meets all of them.

    Returns:
        By graph, quantiles of the time of a run.
    """
    sessions = {name: cpu_session(graph) for name, graph in graphs.items()}
    seconds: dict[str, list[float]] = {name: [] for name in graphs}
    for run in range(_WARM_UP_RUNS + runs):
        for name, session in sessions.items():
            feed = random_pair(session, tokens=tokens, vocabulary=vocabulary)
            start = time.thread_time()
            session.run(None, feed)
            if run >= _WARM_UP_RUNS:
                seconds[name].append(time.thread_time() - start)
    return {name: _quantiles(values) for name, values in seconds.items()}


def _quantiles(seconds: Sequence[float]) -> Quantiles:
    return {f"p{p}": round(float(np.percentile(seconds, p)) * 1e3, 3) for p in _PERCENTILES}


def score_pairs(graph: Path, feeds: Sequence[Mapping[str, IntArray]]) -> list[float]:
    """Give a graph's logit of every pair."""
    session = cpu_session(graph)
    names = [value.name for value in session.get_inputs()]
    return [
        float(session.run(None, {name: feed[name] for name in names})[0].item()) for feed in feeds
    ]


def random_pair(
    session: ort.InferenceSession, *, tokens: int, vocabulary: int
) -> dict[str, IntArray]:
    """Make a pair of random tokens, the same for every graph and run."""
    ids = np.random.default_rng(tokens).integers(5, vocabulary, (1, tokens))
    inputs = {
        "input_ids": ids,
        "attention_mask": np.ones_like(ids),
        "token_type_ids": np.zeros_like(ids),
    }
    return {value.name: inputs[value.name] for value in session.get_inputs()}
