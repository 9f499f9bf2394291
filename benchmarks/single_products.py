"""Matrix products as graphs of one node, through onnxruntime as in a model."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from ranklet.runtime.sessions import CPU_PROVIDER, cpu_settings


@dataclass(frozen=True, slots=True)
class Product:
    """A product of activations and constant weights, or of two activations in a batch."""

    precision: Literal["fp32", "int8"]
    batch: int
    rows: int
    inputs: int
    outputs: int


def product_session(product: Product) -> tuple[ort.InferenceSession, dict[str, NDArray[Any]]]:
    """Open a graph of this product alone and make what it is fed."""
    random = np.random.default_rng(0)
    left, right = _operands(product, random)
    weights: dict[str, NDArray[Any]] = {}
    feed = {"left": left}
    if product.batch == 1:
        weights["right"] = right  # constant, so that onnxruntime packs it once
    else:
        feed["right"] = right
    node = helper.make_node("MatMul", ["left", "right"], ["product"])
    if product.precision == "int8":
        weights |= {"one": np.array(1, np.float32), "zero": np.array(128, np.uint8)}
        weights["scales"] = np.full(product.outputs, 1e-3, np.float32)
        operands = ["left", "right", "one", "scales", "zero"]
        node = helper.make_node(
            "MatMulIntegerToFloat", operands, ["product"], domain="com.microsoft"
        )
    output = helper.make_tensor_value_info("product", TensorProto.FLOAT, None)
    inputs = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(values.dtype), values.shape
        )
        for name, values in feed.items()
    ]
    tensors = [numpy_helper.from_array(values, name) for name, values in weights.items()]
    graph = helper.make_graph([node], "product", inputs, [output], tensors)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    return ort.InferenceSession(model, cpu_settings(), providers=[CPU_PROVIDER]), feed


def _operands(product: Product, random: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
    left = (product.batch, product.rows, product.inputs)
    if product.precision == "int8":
        matrix = random.integers(-127, 128, (product.inputs, product.outputs), np.int8)
        return random.integers(0, 256, left, np.uint8), matrix
    right = (product.batch, product.inputs, product.outputs)[product.batch == 1 :]
    return (
        random.standard_normal(left).astype(np.float32),
        random.standard_normal(right).astype(np.float32),
    )
