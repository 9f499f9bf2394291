"""Int8 recipes: ways to turn a graph into integers, from the fastest to the safest."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from .graph_file import load_graph
from .int8_graph import quantize_graph
from .quiet import quiet_libraries

Quantize = Callable[[onnx.ModelProto, int], onnx.ModelProto]
"""Takes the plain graph and the weights' bits, 8 or 7; gives the quantized graph."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A way to quantize."""

    name: str
    description: str
    """What of the activations is computed how, in words for the manifest."""
    quantize: Quantize


def _with_tensor_scales(model: onnx.ModelProto, weight_bits: int) -> onnx.ModelProto:
    with TemporaryDirectory() as folder, quiet_libraries():
        target = Path(folder) / "int8.onnx"
        quantize_dynamic(
            model,
            target,
            per_channel=True,
            reduce_range=weight_bits == 7,  # noqa: PLR2004 - what reduce_range means
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True, "DefaultTensorType": onnx.TensorProto.FLOAT},
        )
        return load_graph(target)


def _with_token_scales(model: onnx.ModelProto, weight_bits: int) -> onnx.ModelProto:
    quantize_graph(model, weight_bits=weight_bits)
    return model


def _with_narrowing_floats(model: onnx.ModelProto, weight_bits: int) -> onnx.ModelProto:
    quantize_graph(model, weight_bits=weight_bits, narrowing_products=False)
    return model


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("tensor", "8-bit activations, a scale a tensor", _with_tensor_scales),
        Recipe("token", "8-bit activations, a scale a token", _with_token_scales),
        # What a feed-forward layer narrows again has the largest outliers: it has passed the GELU.
        Recipe(
            "mixed",
            "8-bit activations, a scale a token; products that narrow are left in fp32",
            _with_narrowing_floats,
        ),
    )
}
"""By name, the fastest first, the safest last."""
