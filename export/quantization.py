"""The variants of a bundle and how each is made from the plain fp32 graph."""

from dataclasses import dataclass
from pathlib import Path

import onnx
from onnxruntime.transformers import optimizer
from onnxruntime.transformers.fusion_options import FusionOptions

from ranklet.runtime.manifest import Precision, ProcessorFamily

from .graph_file import load_graph, save_graph
from .masking import drop_padding_mask
from .recipes import Recipe


@dataclass(frozen=True, slots=True)
class VariantSpec:
    """What a variant is."""

    name: str
    precision: Precision
    processors: ProcessorFamily
    method: str
    """How it is made, in words for the manifest; a recipe says more about int8."""


VARIANTS: dict[str, VariantSpec] = {
    spec.name: spec
    for spec in (
        VariantSpec("fp32", "fp32", "any", "as exported"),
        VariantSpec(
            "int8",
            "int8",
            "int8-dot",
            "8-bit weights, a scale an output",
        ),
        VariantSpec(
            "int8-avx2",
            "int8",
            "avx2",
            "7-bit weights, a scale an output",
        ),
        VariantSpec("fp16", "fp16", "cuda", "fused, 16-bit weights and activations"),
    )
}
"""Every variant that can be built, by name, the reference first."""


def build_variant(
    spec: VariantSpec, recipe: Recipe, *, window_tokens: int, source: Path, target: Path
) -> tuple[Path, ...]:
    """Make a variant's files.

    Args:
        spec: One of ``VARIANTS``.
        recipe: How to quantize, for int8.
        window_tokens: The longest pair that will be scored.
        source: The plain fp32 graph; external data beside it.
        target: The ``.onnx`` file to write; external data goes beside it.

    Returns:
        The files written: the graph, then its external data if it has any.
    """
    model = load_graph(source)
    if spec.precision == "fp16":
        return save_graph(_halved(model), target)
    if spec.precision == "int8":
        # For the CPU alone, where every pair is scored without padding.
        drop_padding_mask(model, window_tokens=window_tokens)
        model = recipe.quantize(model, 7 if spec.processors == "avx2" else 8)
    # Mapped weights pay there. Measured on 4 MiniLM layers, resident memory after loading falls
    # from 110 to 41 MB in fp32 and from 40 to 20 MB in int8, loading takes 0.2 and 0.05 s less.
    return save_graph(model, target, mapped_weights=True)


def _halved(model: onnx.ModelProto) -> onnx.ModelProto:
    options = FusionOptions("bert")
    options.enable_rotary_embeddings = False  # that takes the positions of one pair for a batch's
    fused = optimizer.optimize_model(
        model, model_type="bert", opt_level=0, use_gpu=True, optimization_options=options
    )
    fused.convert_float_to_float16(keep_io_types=True)
    return fused.model
