"""Hold a bundle's graphs against the products that they cannot do without, node by node.

    python benchmarks/ceiling.py --output benchmarks/results/ceiling.json

The ceiling is what the same products take one at a time, each as a graph of one node, its operands
in the cache. What a graph takes beyond that is spent between the products or on fetching weights.
"""

import argparse
import json
import math
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import msgspec
import numpy as np
import onnxruntime as ort
from environment import ROOT, describe_environment
from graph_timing import random_pair
from single_products import Product, product_session

from ranklet.runtime.sessions import CPU_PROVIDER, SLOWER_ON_CPU, cpu_settings

_PACKAGES = ("numpy", "onnx", "onnxruntime")
_VOCABULARY = 20_000
_QUANTILE = 0.25
"""Of the times of a node: others on the machine make the upper ones longer."""

_PRODUCTS: dict[str, Literal["fp32", "int8"]] = {
    "MatMul": "fp32",
    "FusedMatMul": "fp32",
    "Gemm": "fp32",
    "MatMulIntegerToFloat": "int8",
    "DynamicQuantizeMatMul": "int8",
}


class _Arguments(msgspec.Struct, frozen=True):
    op_name: str = ""
    input_type_shape: list[dict[str, list[int]]] = []
    output_type_shape: list[dict[str, list[int]]] = []


class _Event(msgspec.Struct, frozen=True):
    """What onnxruntime's profile says, among more."""

    cat: str
    name: str
    dur: int
    args: _Arguments = _Arguments()


@dataclass(frozen=True, slots=True)
class NodeGroup:
    """Nodes of one operator on tensors of one shape."""

    operator: str
    shape: tuple[int, ...]
    """Of the output."""
    nodes: int
    microseconds: float
    """Of all nodes together, in one run."""
    alone_microseconds: float | None
    """What as many products of this shape take alone; None where it is no product."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Hold graphs against the products in them.")
    parser.add_argument("--bundle", type=Path, default=ROOT / "models/built/ranklet-mini")
    parser.add_argument("--variants", nargs="+", default=["int8", "fp32"])
    parser.add_argument("--tokens", nargs="+", type=int, default=[32, 128, 512])
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--output", type=Path, help="write the figures there, as JSON")
    arguments = parser.parse_args()
    cases: dict[str, object] = {}
    for variant in arguments.variants:
        for tokens in arguments.tokens:
            graph = arguments.bundle / f"{variant}.onnx"
            groups = profile_graph(graph, tokens=tokens, runs=arguments.runs)
            cases[f"{variant}, {tokens} tokens"] = _print(f"{variant}, {tokens} tokens", groups)
    if arguments.output:
        report = {"environment": describe_environment(_PACKAGES), "cases": cases}
        arguments.output.write_text(json.dumps(report, indent=1) + "\n")


def _print(case: str, groups: Sequence[NodeGroup]) -> dict[str, object]:
    total = sum(group.microseconds for group in groups)
    products = sum(g.microseconds for g in groups if g.alone_microseconds is not None)
    alone = sum(g.alone_microseconds or 0 for g in groups)
    nodes = sum(group.nodes for group in groups)
    print(f"\n{case}: {total:.0f} us in {nodes} nodes, {products:.0f} of it in products", end="; ")
    print(f"these take {alone:.0f} us alone: {alone / total:.0%} of the ceiling")
    for group in groups[:16]:
        ceiling = (
            "" if group.alone_microseconds is None else f"{group.alone_microseconds:8.0f} alone"
        )
        name = f"{group.nodes:3} {group.operator} {list(group.shape)}"
        print(f"{group.microseconds:8.0f} us {group.microseconds / total:6.1%} {name:50}{ceiling}")
    return {
        "microseconds": round(total),
        "of_it_in_products": round(products),
        "products_alone_microseconds": round(alone),
        "of_the_ceiling": round(alone / total, 3),
        "nodes": [asdict(group) for group in groups],
    }


def profile_graph(graph: Path, *, tokens: int, runs: int) -> list[NodeGroup]:
    """Run a graph on one pair again and again, and give where the time goes, most first."""
    with TemporaryDirectory() as folder:
        settings = cpu_settings()
        settings.enable_profiling = True
        settings.profile_file_prefix = str(Path(folder) / "profile")
        session = ort.InferenceSession(
            graph, settings, providers=[CPU_PROVIDER], disabled_optimizers=SLOWER_ON_CPU
        )
        feed = random_pair(session, tokens=tokens, vocabulary=_VOCABULARY)
        for _ in range(runs):
            session.run(None, feed)
        content = Path(session.end_profiling()).read_bytes()
    return _group(msgspec.json.decode(content, type=list[_Event]), runs)


def _group(events: Sequence[_Event], runs: int) -> list[NodeGroup]:
    times: dict[str, list[int]] = defaultdict(list)
    nodes: dict[tuple[str, tuple[int, ...], Product | None], list[str]] = defaultdict(list)
    for event in events:
        if event.cat == "Node" and event.name.endswith("_kernel_time"):
            if event.name not in times:
                nodes[_kind(event.args)].append(event.name)
            times[event.name].append(event.dur)
    groups: list[NodeGroup] = []
    for (operator, shape, product), names in nodes.items():
        microseconds = sum(float(np.quantile(times[name], _QUANTILE)) for name in names)
        alone = None if product is None else len(names) * _alone_microseconds(product, runs)
        groups.append(NodeGroup(operator, shape, len(names), microseconds, alone))
    return sorted(groups, key=lambda group: -group.microseconds)


def _kind(arguments: _Arguments) -> tuple[str, tuple[int, ...], Product | None]:
    """Give operator, shape of the output and, where it is a product, which."""
    (shape,) = arguments.output_type_shape[0].values()
    precision = _PRODUCTS.get(arguments.op_name)
    if precision is None:
        return arguments.op_name, tuple(shape), None
    (left,) = arguments.input_type_shape[0].values()
    batch = 1 if precision == "int8" else math.prod(shape[:-2])
    rows = math.prod(shape[:-1]) // batch
    product = Product(precision, batch=batch, rows=rows, inputs=left[-1], outputs=shape[-1])
    return arguments.op_name, tuple(shape), product


def _alone_microseconds(product: Product, runs: int) -> float:
    session, feed = product_session(product)
    seconds: list[float] = []
    for _ in range(runs):
        start = time.perf_counter()
        session.run(None, feed)
        seconds.append(time.perf_counter() - start)
    return float(np.quantile(seconds, _QUANTILE)) * 1e6


if __name__ == "__main__":
    main()
