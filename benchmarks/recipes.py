"""Compare int8 recipes: size, speed by length, and agreement with the fp32 graph of a bundle.

    python benchmarks/recipes.py --output benchmarks/results/recipes.json

Scored are the verification pairs that ship with the export, which are no part of any test
collection, and, where ``RANKLET_DATA`` names a folder with ``train/*.jsonl.gz``, queries held out
there: how well does a recipe rank, and how nearly as fp32? Static scales are calibrated on some of
the verification pairs, which flatters their agreement on these.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from environment import ROOT, describe_environment
from graph_timing import measure_milliseconds, score_pairs
from held_out import HeldOut, load_held_out
from onnx import helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.transformers import optimizer

from ranklet.export.graph_file import load_graph
from ranklet.export.int8_graph import quantize_graph
from ranklet.export.masking import drop_padding_mask
from ranklet.export.quiet import quiet_libraries
from ranklet.export.verification import rank_agreement
from ranklet.export.verification_text import load_pairs
from ranklet.runtime.arrays import Float32Array, IntArray
from ranklet.runtime.manifest import read_manifest
from ranklet.runtime.tokenization import PairEncoder

_PACKAGES = ("numpy", "onnx", "onnxruntime")
_CALIBRATION_PAIRS = 64
_BLOCK = 32
_WINDOW_TOKENS = 512

Build = Callable[[Path, Path], None]
"""Reads a plain graph, writes another."""


def _fp32(source: Path, target: Path) -> None:
    """Leave out the mask as the export does for int8, so that all are compared without it."""
    model = load_graph(source)
    drop_padding_mask(model, window_tokens=_WINDOW_TOKENS)
    onnx.save(model, target)


def _token_scales(weight_bits: int, *, narrowing: bool = True) -> Build:
    def build(source: Path, target: Path) -> None:
        model = load_graph(source)
        quantize_graph(model, weight_bits=weight_bits, narrowing_products=narrowing)
        onnx.save(model, target)

    return build


def _tensor_scales(
    weight_type: QuantType,
    *,
    per_channel: bool = True,
    fused: bool = False,
    embeddings: bool = True,
) -> Build:
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


def _blocks(source: Path, target: Path) -> None:
    """Quantize weights in blocks of 32, which MatMulNBits multiplies with 8-bit activations."""
    model = load_graph(source)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type != "MatMul" or node.input[1] not in weights:
            continue
        weight = weights.pop(node.input[1])
        values = numpy_helper.to_array(weight)
        depth, width = values.shape
        blocks = values.T.reshape(width, depth // _BLOCK, _BLOCK)
        scales = np.abs(blocks).max(axis=2) / 127
        integers = np.rint(blocks / scales[..., np.newaxis]) + 128
        names = [f"{weight.name}_{part}" for part in ("integers", "scales")]
        model.graph.initializer.extend(
            numpy_helper.from_array(array, name)
            for array, name in zip((integers.astype(np.uint8), scales), names, strict=True)
        )
        model.graph.initializer.remove(weight)
        node.op_type, node.domain = "MatMulNBits", "com.microsoft"
        node.input[1:] = names
        settings = {"K": depth, "N": width, "bits": 8, "block_size": _BLOCK, "accuracy_level": 4}
        node.attribute.extend(helper.make_attribute(*setting) for setting in settings.items())
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, target)


class _Feeds(CalibrationDataReader):
    def __init__(self, feeds: Iterable[dict[str, IntArray]]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> dict[str, IntArray] | None:
        return next(self._feeds, None)


def _static_scales(feeds: Iterable[dict[str, IntArray]]) -> Build:
    def build(source: Path, target: Path) -> None:
        quantize_static(
            source,
            target,
            _Feeds(feeds),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["MatMul"],
            extra_options={"MatMulConstBOnly": True},
        )

    return build


RECIPES: dict[str, Build] = {
    "fp32": _fp32,
    "token scales, s8 weights": _token_scales(8),
    "token scales, 7-bit weights": _token_scales(7),
    "token scales, narrowing products in fp32": _token_scales(8, narrowing=False),
    "tensor scales, s8 weights": _tensor_scales(QuantType.QInt8),
    "tensor scales, s8 weights, fused first": _tensor_scales(QuantType.QInt8, fused=True),
    "tensor scales, s8 weights, fp32 embeddings": _tensor_scales(QuantType.QInt8, embeddings=False),
    "tensor scales, s8 weights, a scale a matrix": _tensor_scales(
        QuantType.QInt8, per_channel=False
    ),
    "tensor scales, u8 weights": _tensor_scales(QuantType.QUInt8),
    "MatMulNBits, 8 bits": _blocks,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare int8 recipes.")
    parser.add_argument("--bundle", type=Path, default=ROOT / "models/built/ranklet-mini")
    parser.add_argument("--tokens", nargs="+", type=int, default=[32, 128, 512])
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--output", type=Path, help="write the figures there, as JSON")
    arguments = parser.parse_args()
    data = os.environ.get("RANKLET_DATA")
    held_out = load_held_out(Path(data) / "train") if data else None
    with tempfile.TemporaryDirectory() as folder, quiet_libraries():
        work = Path(folder)
        plain = work / "plain.onnx"
        _fp32(arguments.bundle / "fp32.onnx", plain)
        pairs = _make_pairs(arguments.bundle, plain, held_out)
        recipes = RECIPES | {
            "static scales, s8 weights": _static_scales(pairs.verification[:_CALIBRATION_PAIRS])
        }
        graphs = {name: work / f"{index}.onnx" for index, name in enumerate(recipes)}
        for name, build in recipes.items():
            build(plain, graphs[name])
        quality = {name: _describe(graph, pairs) for name, graph in graphs.items()}
        if held_out:
            _add_ranking(quality, graphs, pairs, held_out)
        speed = {
            tokens: measure_milliseconds(
                graphs, tokens=tokens, runs=arguments.runs, vocabulary=20_000
            )
            for tokens in arguments.tokens
        }
    for name in recipes:
        times = ", ".join(f"{tokens}: {speed[tokens][name]['p50']}" for tokens in speed)
        figures = ", ".join(f"{measure} {value}" for measure, value in quality[name].items())
        print(f"{name:45} {figures}; ms by tokens {times}")
    if arguments.output:
        report = {"environment": describe_environment(_PACKAGES), "quality": quality}
        content = json.dumps(report | {"milliseconds": speed}, indent=1)
        arguments.output.write_text(content + "\n")


@dataclass(frozen=True, slots=True)
class _Pairs:
    """What graphs are fed."""

    verification: list[dict[str, IntArray]]
    reference: Float32Array
    """float32, shape (n,), the fp32 logits of the verification pairs."""
    held_out: list[dict[str, IntArray]]


def _make_pairs(bundle: Path, graph: Path, held_out: HeldOut | None) -> _Pairs:
    manifest = read_manifest(bundle)
    encoder = PairEncoder.from_file(
        bundle / manifest.tokenizer.path, window_tokens=manifest.window_tokens
    )

    def feeds(texts: Iterable[tuple[str, str]]) -> list[dict[str, IntArray]]:
        return [
            encoder.encode_pair(encoder.encode_query(query), document).feed(manifest.graph_inputs)
            for query, document in texts
        ]

    verification = feeds(load_pairs())
    reference = np.array(score_pairs(graph, verification), np.float32)
    return _Pairs(verification, reference, feeds(held_out.texts()) if held_out else [])


def _describe(graph: Path, pairs: _Pairs) -> dict[str, float]:
    logits = np.array(score_pairs(graph, pairs.verification), np.float32)
    differences = np.abs(logits - pairs.reference) / pairs.reference.std()
    return {
        "megabytes": round(graph.stat().st_size / 1e6, 1),
        "kendall_tau": round(rank_agreement(logits, pairs.reference), 4),
        "mean_difference": round(float(differences.mean()), 4),
        "max_difference": round(float(differences.max()), 3),
    }


def _add_ranking(
    quality: dict[str, dict[str, float]],
    graphs: Mapping[str, Path],
    pairs: _Pairs,
    held_out: HeldOut,
) -> None:
    """Add how each graph ranks the held-out candidates, and how nearly as fp32 does."""
    logits = {name: score_pairs(graph, pairs.held_out) for name, graph in graphs.items()}
    reference = np.array(logits["fp32"], np.float32)
    for name, values in logits.items():
        agreement = rank_agreement(np.array(values, np.float32), reference)
        quality[name]["held_out_ndcg_10"] = round(held_out.ndcg(values), 4)
        quality[name]["held_out_tau"] = round(agreement, 4)


if __name__ == "__main__":
    main()
