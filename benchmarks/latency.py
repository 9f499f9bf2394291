"""Measure pairs a second and latency by document length, for the record.

    python benchmarks/latency.py --model models/built/ranklet-mini --output results.json

The measuring is that of ``ranklet bench``; this adds where and with what it was made.
"""

import argparse
from contextlib import ExitStack
from pathlib import Path

import msgspec
from environment import describe_environment

from ranklet import Reranker
from ranklet.runtime.bench_command import verdicts
from ranklet.runtime.measurement import SEED, make_workloads, measure


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure speed by document length.")
    parser.add_argument("--model", type=Path, default=Path("models/built/ranklet-mini"))
    parser.add_argument("--variants", nargs="+", default=["fp32", "int8"])
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--output", type=Path, help="write the quantiles there, as JSON")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        rerankers = {
            name: stack.enter_context(Reranker.open(arguments.model, variant=name))
            for name in arguments.variants
        }
        first = next(iter(rerankers.values()))
        speeds = [
            speed
            for workload in make_workloads(first.manifest.window_tokens)
            for speed in measure(rerankers, workload, rounds=arguments.rounds)
        ]
    report = {
        "environment": describe_environment(("numpy", "onnxruntime", "tokenizers")),
        "model": first.name,
        "sizes_bytes": {name: first.manifest.variants[name].size_bytes for name in rerankers},
        "workers": first.workers,
        "seed": SEED,
        "rounds": arguments.rounds,
        "speeds": speeds,
    }
    content = msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"
    print(content.decode(), *verdicts(speeds), sep="\n")
    if arguments.output:
        arguments.output.write_bytes(content)


if __name__ == "__main__":
    main()
