"""Compare ranklet on a GPU with sentence-transformers in torch on the same one, in turns.

    ranklet export models/ranklet-mini --variants fp32,fp16 --output build/cuda/ranklet-mini
    python benchmarks/cuda.py --model build/cuda/ranklet-mini --output results.json

Needs onnxruntime-gpu in place of onnxruntime, and sentence-transformers with a torch for CUDA. The
other side gets each batch size of a sweep, and its best one is what the ratio is taken to. With
``--device cpu --variant fp32 --dtype float32`` it runs without a GPU, to try it.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from environment import ROOT, describe_environment

from ranklet import Reranker
from ranklet.runtime.measurement import MIXED, SEED, Quantiles, Workload, make_workloads
from ranklet.runtime.workloads import QUERY, mixed_documents

_PACKAGES = ("numpy", "onnxruntime-gpu", "sentence-transformers", "tokenizers", "torch")

_MANY_DOCUMENTS = 1000
"""Enough for several of the largest batches."""

Score = Callable[[Sequence[str]], Sequence[float]]


class Case(msgspec.Struct, frozen=True):
    """What was measured on a workload."""

    workload: str
    documents: int
    their_best: str
    times_the_best_of_theirs: Quantiles
    pairs_per_s: dict[str, Quantiles]
    largest_difference_of_logits: float


def main() -> None:
    arguments = _parse_arguments()
    on_cpu = arguments.device == "cpu"
    packages = [name.removesuffix("-gpu") if on_cpu else name for name in _PACKAGES]
    with Reranker.open(arguments.model, variant=arguments.variant) as reranker:
        sides: dict[str, Score] = {
            "ranklet": lambda documents: reranker.score(QUERY, documents, raw_scores=True).tolist(),
            **_open_theirs(arguments),
        }
        workloads = [
            *make_workloads(reranker.manifest.window_tokens),
            Workload(f"{MIXED}, many", mixed_documents(_MANY_DOCUMENTS, seed=SEED)),
        ]
        cases = [_measure(sides, workload, arguments.rounds) for workload in workloads]
    for case in cases:
        print(f"{case.workload}: {case.times_the_best_of_theirs.p50} times {case.their_best}")
    if arguments.output:
        report = {
            "environment": describe_environment(tuple(packages)),
            "device": _device_name(arguments.device),
            "model": arguments.model.name,
            "variant": arguments.variant,
            "dtype": arguments.dtype,
            "cases": cases,
        }
        content = msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"
        arguments.output.write_bytes(content)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare with sentence-transformers on a GPU.")
    parser.add_argument("--model", type=Path, required=True, help="a bundle with the variant")
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "models/ranklet-mini")
    parser.add_argument("--variant", default="fp16")
    parser.add_argument("--dtype", default="float16", help="in which torch computes")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--batches", type=int, nargs="+", default=[32, 128, 512])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--output", type=Path, help="write the figures there, as JSON")
    return parser.parse_args()


def _open_theirs(arguments: argparse.Namespace) -> dict[str, Score]:
    """Give sentence-transformers, once for each batch size."""
    library: Any = import_module("sentence_transformers")
    identity = import_module("torch").nn.Identity()
    model = library.CrossEncoder(
        str(arguments.checkpoint),
        device=arguments.device,
        model_kwargs={"torch_dtype": arguments.dtype},
    )

    def score_in(batch: int) -> Score:
        return lambda documents: model.predict(
            [(QUERY, document) for document in documents],
            batch_size=batch,
            activation_fn=identity,
            show_progress_bar=False,
        ).tolist()

    return {
        f"sentence-transformers, batches of {batch}": score_in(batch) for batch in arguments.batches
    }


def _measure(sides: dict[str, Score], workload: Workload, rounds: int) -> Case:
    """Have all sides take turns, after one round to warm up; ratios are of neighbours in time."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    scores: dict[str, Sequence[float]] = {}
    for _ in range(rounds + 1):
        for name, score in sides.items():
            started = time.perf_counter()
            scores[name] = score(workload.documents)
            seconds[name].append(time.perf_counter() - started)
    taken = {name: np.array(values[1:]) for name, values in seconds.items()}
    ours, *theirs = sides
    best = min(theirs, key=lambda name: float(np.median(taken[name])))
    return Case(
        workload.name,
        len(workload.documents),
        best,
        Quantiles.of(taken[best] / taken[ours]),
        {name: Quantiles.of(len(workload.documents) / values) for name, values in taken.items()},
        float(np.abs(np.subtract(scores[ours], scores[best])).max()),
    )


def _device_name(device: str) -> str:
    torch: Any = import_module("torch")
    return str(torch.cuda.get_device_name()) if device == "cuda" else "cpu"


if __name__ == "__main__":
    main()
