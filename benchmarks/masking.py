"""Measure what leaving out the mask of padding saves, by length, and that no score changes.

    python benchmarks/masking.py --model models/built/ranklet-mini \
      --output benchmarks/results/masking.json
"""

import argparse
import json
import tempfile
from pathlib import Path

from environment import describe_environment
from graph_timing import measure_milliseconds, random_pair, score_pairs

from ranklet.export.graph_file import load_graph, save_graph
from ranklet.export.int8_graph import quantize_graph
from ranklet.export.masking import drop_padding_mask
from ranklet.runtime.manifest import read_manifest
from ranklet.runtime.sessions import cpu_session

_PACKAGES = ("numpy", "onnx", "onnxruntime")
_VOCABULARY = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what leaving out the mask saves.")
    parser.add_argument("--model", type=Path, default=Path("models/built/ranklet-mini"))
    parser.add_argument("--tokens", nargs="+", type=int, default=[16, 32, 64, 128, 256, 512])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--output", type=Path, help="write the quantiles there, as JSON")
    arguments = parser.parse_args()
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        graphs = _build(arguments.model, Path(folder))
        for tokens in arguments.tokens:
            times = measure_milliseconds(
                graphs, tokens=tokens, runs=arguments.runs, vocabulary=_VOCABULARY
            )
            with_mask, without = times["with"], times["without"]
            gains = {p: round(with_mask[p] / without[p], 3) for p in with_mask}
            pair = random_pair(cpu_session(graphs["with"]), tokens=tokens, vocabulary=_VOCABULARY)
            first, second = (score_pairs(graph, [pair]) for graph in graphs.values())
            print(f"{tokens} tokens: {gains} times as fast, same score: {first == second}")
            rows.append(
                {"tokens": tokens, **times, "times_faster": gains, "is_same": first == second}
            )
    if arguments.output:
        report = {"environment": describe_environment(_PACKAGES), "cases": rows}
        arguments.output.write_text(json.dumps(report, indent=1) + "\n")


def _build(bundle: Path, folder: Path) -> dict[str, Path]:
    """Quantize a bundle's fp32 graph to int8, with its mask and without."""
    window_tokens = read_manifest(bundle).window_tokens
    graphs: dict[str, Path] = {}
    for name in ("with", "without"):
        model = load_graph(bundle / "fp32.onnx")
        if name == "without":
            drop_padding_mask(model, window_tokens=window_tokens)
        quantize_graph(model, weight_bits=8)
        graphs[name] = folder / f"{name}.onnx"
        save_graph(model, graphs[name], mapped_weights=True)
    return graphs


if __name__ == "__main__":
    main()
