"""Measure how much faster ``ranklet-nano`` is than ``ranklet-mini``.

    python benchmarks/family.py --output results.json

Both take turns in one run, as the variants do in ``ranklet bench``.
"""

import argparse
from contextlib import ExitStack
from pathlib import Path

import msgspec
from environment import describe_environment

from ranklet import Reranker
from ranklet.runtime.measurement import SEED, make_workloads, measure


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the speed of two shipped models.")
    built = Path("models/built")
    parser.add_argument("--mini", type=Path, default=built / "ranklet-mini")
    parser.add_argument("--nano", type=Path, default=built / "ranklet-nano")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--output", type=Path, help="write the quantiles there, as JSON")
    arguments = parser.parse_args()
    with Reranker.open(arguments.mini) as reranker:
        variants = ("fp32", reranker.variant)  # and the one for this processor
    with ExitStack() as stack:
        rerankers = {
            f"{name} {variant}": stack.enter_context(Reranker.open(folder, variant=variant))
            for name, folder in (("mini", arguments.mini), ("nano", arguments.nano))
            for variant in variants
        }
        first = next(iter(rerankers.values()))
        cases = {
            workload.name: {
                speed.variant: {"pairs_per_s": speed.pairs_per_s, "one_ms": speed.one_document_ms}
                for speed in measure(rerankers, workload, rounds=arguments.rounds)
            }
            for workload in make_workloads(first.manifest.window_tokens)
        }
        sizes = {
            name: reranker.manifest.variants[name.partition(" ")[2]].size_bytes
            for name, reranker in rerankers.items()
        }
    report = {
        "environment": describe_environment(("numpy", "onnxruntime", "tokenizers")),
        "sizes_bytes": sizes,
        "workers": first.workers,
        "seed": SEED,
        "rounds": arguments.rounds,
        "cases": cases,
    }
    content = msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"
    print(content.decode())
    if arguments.output:
        arguments.output.write_bytes(content)


if __name__ == "__main__":
    main()
