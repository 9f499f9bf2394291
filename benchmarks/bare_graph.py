"""Hold the reranker against its bare graph, and two workers against one.

    python benchmarks/bare_graph.py --output benchmarks/results/bare-graph.json

Bare is what the graph alone takes for the same pairs, tokenized beforehand, one run after another
on a session in a process of its own, divided by the workers. The reranker tokenizes, schedules and
collects as well: a share of 1 would mean that all of this is free. Two such processes at once,
which share nothing but the machine, tell what the second core is worth.
"""

import argparse
import json
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import onnxruntime as ort
from environment import ROOT, describe_environment

from ranklet.runtime.arrays import IntArray
from ranklet.runtime.reranker import Reranker
from ranklet.runtime.sessions import cpu_session
from ranklet.runtime.tokenization import PairEncoder
from ranklet.runtime.workloads import QUERY, mixed_documents, uniform_documents

_PACKAGES = ("numpy", "onnxruntime", "tokenizers")
_WORKERS = (1, 2)
_SEED = 20


@dataclass(frozen=True, slots=True)
class _Bare:
    """The session of the process that runs the bare graph, and what it is fed."""

    session: ort.InferenceSession
    encoder: PairEncoder

    def seconds(self, documents: Sequence[str]) -> float:
        query = self.encoder.encode_query(QUERY)
        names = [value.name for value in self.session.get_inputs()]
        pairs = [self.encoder.encode_pair(query, document) for document in documents]
        return sum(self._run(pair.feed(names)) for pair in pairs)

    def _run(self, feed: dict[str, IntArray]) -> float:
        start = time.perf_counter()
        self.session.run(None, feed)
        return time.perf_counter() - start


_bare: list[_Bare] = []


def _open_bare(bundle: Path, variant: str, window_tokens: int) -> None:
    encoder = PairEncoder.from_file(bundle / "tokenizer.json", window_tokens=window_tokens)
    _bare.append(_Bare(cpu_session(bundle / f"{variant}.onnx"), encoder))


def _bare_seconds(documents: Sequence[str]) -> float:
    return _bare[0].seconds(documents)


def main() -> None:
    parser = argparse.ArgumentParser(description="Hold the reranker against its bare graph.")
    parser.add_argument("--bundle", type=Path, default=ROOT / "models/built/ranklet-mini")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--output", type=Path, help="write the figures there, as JSON")
    arguments = parser.parse_args()
    workloads = {
        "mixed": mixed_documents(100, seed=_SEED),
        "32 tokens": uniform_documents(32, 200, seed=_SEED),
        "128 tokens": uniform_documents(128, 100, seed=_SEED),
        "256 tokens": uniform_documents(256, 40, seed=_SEED),
    }
    cases = {
        name: _measure(arguments.bundle, documents, rounds=arguments.rounds)
        for name, documents in workloads.items()
    }
    for name, case in cases.items():
        print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in case.items()))
    if arguments.output:
        report = {"environment": describe_environment(_PACKAGES), "cases": cases}
        arguments.output.write_text(json.dumps(report, indent=1) + "\n")


def _measure(bundle: Path, documents: Sequence[str], *, rounds: int) -> dict[str, float]:
    """Measure in turns; each ratio is the median over the rounds of neighbours in time."""
    rerankers = {workers: Reranker.open(bundle, workers=workers) for workers in _WORKERS}
    first = rerankers[1]
    settings = (bundle, first.variant, first.manifest.window_tokens)
    seconds: dict[int, list[float]] = {workers: [] for workers in _WORKERS}
    bare: list[float] = []
    at_once: list[float] = []
    context = get_context("spawn")
    with (
        ProcessPoolExecutor(1, context, _open_bare, settings) as pool,
        ProcessPoolExecutor(1, context, _open_bare, settings) as second_pool,
    ):
        for _ in range(rounds + 1):
            bare.append(pool.submit(_bare_seconds, documents).result())
            both = [one.submit(_bare_seconds, documents) for one in (pool, second_pool)]
            at_once.append(max(future.result() for future in both))
            for workers, reranker in rerankers.items():
                start = time.perf_counter()
                reranker.score(QUERY, documents)
                seconds[workers].append(time.perf_counter() - start)
    for reranker in rerankers.values():
        reranker.close()
    alone = np.array(bare[1:])  # the first round warms up
    ratios = {n: alone / n / np.array(seconds[n][1:]) for n in _WORKERS}
    scaling = np.array(seconds[1][1:]) / np.array(seconds[2][1:])
    return {
        "bare_pairs_per_s": round(len(documents) / float(np.median(alone)), 1),
        **{f"of_bare_{n}_workers": _median(ratios[n]) for n in _WORKERS},
        "of_bare_2_bare_processes": _median(alone / np.array(at_once[1:])),
        "times_faster_with_2_workers": _median(scaling),
    }


def _median(ratios: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    return round(float(np.median(ratios)), 3)


if __name__ == "__main__":
    main()
