"""Compare int8 recipes: size, speed by length, and agreement with torch.

    python benchmarks/recipes.py --output benchmarks/results/recipes.json

Scored are the verification pairs that ship with the export, which are no part of any test
collection.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from environment import ROOT, describe_environment
from graph_timing import measure_milliseconds, score_pairs
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers import optimizer

from ranklet.export.graph_file import load_graph
from ranklet.export.int8_graph import quantize_graph
from ranklet.export.pruning import prune_to_first_token
from ranklet.export.quiet import quiet_libraries
from ranklet.export.verification import rank_agreement
from ranklet.export.verification_text import load_pairs
from ranklet.runtime.arrays import Float32Array, IntArray
from ranklet.runtime.tokenization import PairEncoder

_PACKAGES = ("numpy", "onnx", "onnxruntime", "torch", "transformers")


def _fp32(source: Path, target: Path) -> None:
    onnx.save(load_graph(source), target)


def _token_scales(weight_bits: int) -> Callable[[Path, Path], None]:
    def build(source: Path, target: Path) -> None:
        model = load_graph(source)
        quantize_graph(model, weight_bits=weight_bits)
        onnx.save(model, target)

    return build


def _tensor_scales(
    weight_type: QuantType,
    *,
    per_channel: bool = True,
    fused: bool = False,
    embeddings: bool = True,
) -> Callable[[Path, Path], None]:
    def build(source: Path, target: Path) -> None:
        if fused:
            model = optimizer.optimize_model(str(source), model_type="bert", opt_level=0)
            model.save_model_to_file(str(target))
        quantize_dynamic(
            target if fused else source,
            target,
            per_channel=per_channel,
            weight_type=weight_type,
            op_types_to_quantize=None if embeddings else ["MatMul"],
            extra_options={"MatMulConstBOnly": True, "DefaultTensorType": onnx.TensorProto.FLOAT},
        )

    return build


RECIPES: dict[str, Callable[[Path, Path], None]] = {
    "fp32": _fp32,
    "token scales, s8 weights": _token_scales(8),
    "token scales, 7-bit weights": _token_scales(7),
    "tensor scales, s8 weights": _tensor_scales(QuantType.QInt8),
    "tensor scales, s8 weights, fused first": _tensor_scales(QuantType.QInt8, fused=True),
    "tensor scales, s8 weights, fp32 embeddings": _tensor_scales(QuantType.QInt8, embeddings=False),
    "tensor scales, s8 weights, a scale a matrix": _tensor_scales(
        QuantType.QInt8, per_channel=False
    ),
    "tensor scales, u8 weights": _tensor_scales(QuantType.QUInt8),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare int8 recipes.")
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "models/ranklet-mini")
    parser.add_argument("--tokens", nargs="+", type=int, default=[32, 128, 512])
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--output", type=Path, help="write the figures there, as JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, quiet_libraries():
        work = Path(folder)
        feeds, reference = _export(arguments.checkpoint, work / "plain.onnx")
        graphs = {name: work / f"{index}.onnx" for index, name in enumerate(RECIPES)}
        for name, build in RECIPES.items():
            build(work / "plain.onnx", graphs[name])
        quality = {name: _describe(graph, feeds, reference) for name, graph in graphs.items()}
        speed = {
            tokens: measure_milliseconds(
                graphs, tokens=tokens, runs=arguments.runs, vocabulary=20_000
            )
            for tokens in arguments.tokens
        }
    for name in RECIPES:
        times = ", ".join(f"{tokens}: {speed[tokens][name]['p50']}" for tokens in speed)
        figures = ", ".join(f"{measure} {value}" for measure, value in quality[name].items())
        print(f"{name:45} {figures}; ms by tokens {times}")
    if arguments.output:
        report = {"environment": describe_environment(_PACKAGES), "quality": quality}
        content = json.dumps(report | {"milliseconds": speed}, indent=1)
        arguments.output.write_text(content + "\n")


def _export(checkpoint: Path, target: Path) -> tuple[list[dict[str, IntArray]], Float32Array]:
    """Write the pruned graph; gives the verification pairs and their torch logits."""
    from ranklet.export.torch_model import export_graph, load_model, torch_logits

    model = load_model(checkpoint.name, checkpoint)
    inputs = export_graph(checkpoint.name, model, target)
    graph = load_graph(target)
    prune_to_first_token(graph)
    onnx.save(graph, target)
    window_tokens = model.config.max_position_embeddings
    encoder = PairEncoder.from_file(checkpoint / "tokenizer.json", window_tokens=window_tokens)
    feeds = [
        encoder.encode_pair(encoder.encode_query(query), document).feed(inputs)
        for query, document in load_pairs()
    ]
    return feeds, np.array(list(torch_logits(model, feeds)), np.float32)


def _describe(
    graph: Path, feeds: list[dict[str, IntArray]], reference: Float32Array
) -> dict[str, float]:
    logits = np.array(score_pairs(graph, feeds), np.float32)
    differences = np.abs(logits - reference) / reference.std()
    return {
        "megabytes": round(graph.stat().st_size / 1e6, 1),
        "kendall_tau": round(rank_agreement(logits, reference), 4),
        "mean_difference": round(float(differences.mean()), 4),
        "max_difference": round(float(differences.max()), 3),
    }


if __name__ == "__main__":
    main()
