"""Measure what first-token pruning saves, by depth and length, fp32 and int8.

    python benchmarks/pruning.py --output benchmarks/results/pruning.json

The models are random, of MiniLM's width: their speed is that of trained ones.
"""

import argparse
import json
import tempfile
from pathlib import Path

from environment import describe_environment
from graph_timing import Quantiles, measure_milliseconds

from ranklet.export.graph_file import load_graph, save_graph
from ranklet.export.int8_graph import quantize_graph
from ranklet.export.pruning import prune_to_first_token
from ranklet.export.quiet import quiet_libraries

_WIDTH = 384
_VOCABULARY = 1000
_PACKAGES = ("numpy", "onnxruntime", "torch", "transformers")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what first-token pruning saves.")
    parser.add_argument("--layers", nargs="+", type=int, default=[2, 4, 6])
    parser.add_argument("--tokens", nargs="+", type=int, default=[32, 128, 512])
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--output", type=Path, help="write the quantiles there, as JSON")
    arguments = parser.parse_args()
    rows: list[dict[str, object]] = []
    for layers in arguments.layers:
        with tempfile.TemporaryDirectory() as folder:
            graphs = _build(layers, Path(folder))
            for tokens in arguments.tokens:
                times = measure_milliseconds(
                    graphs, tokens=tokens, runs=arguments.runs, vocabulary=_VOCABULARY
                )
                rows += _compare(times, layers=layers, tokens=tokens)
    if arguments.output:
        report = {"environment": describe_environment(_PACKAGES), "cases": rows}
        arguments.output.write_text(json.dumps(report, indent=1) + "\n")


def _compare(times: dict[str, Quantiles], *, layers: int, tokens: int) -> list[dict[str, object]]:
    """Print and give one row for each precision."""
    rows: list[dict[str, object]] = []
    for precision in ("fp32", "int8"):
        full, pruned = times[f"{precision} full"], times[f"{precision} pruned"]
        case = f"{layers} layers, {tokens} tokens, {precision}"
        gains = ", ".join(f"{p} {full[p] / pruned[p]:.2f}" for p in full)
        print(f"{case}: {full['p50']} -> {pruned['p50']} ms; times faster: {gains}")
        rows.append({"case": case, "full_ms": full, "pruned_ms": pruned})
    return rows


def _build(layers: int, folder: Path) -> dict[str, Path]:
    """Export a random BERT of so many layers, full and pruned, in fp32 and int8."""
    with quiet_libraries():
        from transformers import BertConfig, BertForSequenceClassification

        from ranklet.export.torch_model import export_graph

        config = BertConfig(
            vocab_size=_VOCABULARY,
            hidden_size=_WIDTH,
            num_hidden_layers=layers,
            num_attention_heads=12,
            intermediate_size=4 * _WIDTH,
            num_labels=1,
            attn_implementation="eager",
        )
        export_graph(
            "random", BertForSequenceClassification(config).eval(), folder / "exported.onnx"
        )
    graphs: dict[str, Path] = {}
    for kind in ("full", "pruned"):
        for precision in ("fp32", "int8"):
            model = load_graph(folder / "exported.onnx")
            if kind == "pruned":
                prune_to_first_token(model)
            if precision == "int8":
                quantize_graph(model, weight_bits=8)
            graphs[f"{precision} {kind}"] = folder / f"{precision}-{kind}.onnx"
            save_graph(model, graphs[f"{precision} {kind}"])
    return graphs


if __name__ == "__main__":
    main()
