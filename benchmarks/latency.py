"""Measure pairs a second and latency by document length, for every variant that runs here.

    python benchmarks/latency.py --model models/built/ranklet-mini --output results.json

Variants are measured in turns within one run, so that what slows the machine slows them all: trust
the ratios, not the absolute times.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from environment import describe_environment
from workloads import QUERY, mixed, uniform

from ranklet import Reranker

SEED = 20
PACKAGES = ("numpy", "onnxruntime", "tokenizers")
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
WORKLOADS: dict[str, Callable[[], list[str]]] = {
    "32 tokens": lambda: uniform(32, 100, seed=SEED),
    "128 tokens": lambda: uniform(128, 100, seed=SEED),
    "256 tokens": lambda: uniform(256, 50, seed=SEED),
    "512 tokens": lambda: uniform(512, 25, seed=SEED),
    "mixed": lambda: mixed(100, seed=SEED),
}


def main() -> None:
    arguments = parse_arguments()
    rerankers = {
        name: Reranker.open(arguments.model, variant=name) for name in arguments.variants
    }
    report = {
        "environment": describe_environment(PACKAGES),
        "model": next(iter(rerankers.values())).name,
        "workers": next(iter(rerankers.values())).workers,
        "seed": SEED,
        "rounds": arguments.rounds,
        "throughput_pairs_per_s": {},
        "latency_one_document_ms": {},
    }
    for workload, make in WORKLOADS.items():
        documents = make()
        times = measure(rerankers, documents, rounds=arguments.rounds)
        rates = {name: quantiles(len(documents) / values) for name, values in times.items()}
        report["throughput_pairs_per_s"][workload] = rates
        singles = measure(rerankers, documents[:1], rounds=10 * arguments.rounds)
        latencies = {name: quantiles(1000 * values) for name, values in singles.items()}
        report["latency_one_document_ms"][workload] = latencies
        print_row(workload, rates, latencies)
    if arguments.output:
        arguments.output.write_text(json.dumps(report, indent=1) + "\n")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", type=Path, default=Path("models/built/ranklet-mini"))
    parser.add_argument("--variants", nargs="+", default=["fp32", "int8"])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--output", type=Path, help="write the raw quantiles there, as JSON")
    return parser.parse_args()


def measure(
    rerankers: dict[str, Reranker], documents: Sequence[str], *, rounds: int
) -> dict[str, np.ndarray]:
    """Give the seconds that each variant took, round by round, after one round to warm up."""
    times: dict[str, list[float]] = {name: [] for name in rerankers}
    for _ in range(rounds + 1):
        for name, reranker in rerankers.items():
            started = time.perf_counter()
            reranker.score(QUERY, documents)
            times[name].append(time.perf_counter() - started)
    return {name: np.array(values[1:]) for name, values in times.items()}


def quantiles(values: np.ndarray) -> dict[str, float]:
    return {f"p{100 * q:.0f}": round(float(np.quantile(values, q)), 3) for q in QUANTILES}


def print_row(
    workload: str, rates: dict[str, dict[str, float]], latencies: dict[str, dict[str, float]]
) -> None:
    parts = [
        f"{name}: {rates[name]['p50']:7.1f} pairs/s, one document p50 {latencies[name]['p50']:6.2f}"
        f" p95 {latencies[name]['p95']:6.2f} ms"
        for name in rates
    ]
    print(f"{workload:<12}" + "   ".join(parts), flush=True)


if __name__ == "__main__":
    main()
