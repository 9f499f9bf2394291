"""Turns a graph's matrix products and embeddings into 8-bit integers, with one scale a token.

onnxruntime's own dynamic quantization takes one scale for all activations of a tensor. But a few
tokens have activations ten times larger than those of the others, in one or two channels, and leave
the others a handful of steps. Here each token's row has its own scale, found as it is computed:

    scale = max |row| / 127        integers = round(row / scale) + 128

That more than halves the error of the logits at the same speed, needs no data to calibrate on, and
takes only operators that every build of onnxruntime has.
"""

import math
from collections.abc import Callable

import numpy as np
import onnx
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

from ranklet.runtime.arrays import Float32Array

from .activations import TokenActivations
from .graph_shapes import GraphShapes, infer_graph_shapes
from .graph_writer import MICROSOFT, GraphWriter
from .int8_weights import Int8Array, quantize_columns, quantize_rows

_MIN_WEIGHTS = 2**14
"""Smaller matrices and tables stay in fp32: nothing is gained there, in time or in size."""


def quantize_graph(
    model: onnx.ModelProto, *, weight_bits: int, narrowing_products: bool = True
) -> int:
    """Quantize ``model`` in place.

    Args:
        model: A plain fp32 graph with its weights, pruned or not, of operator set 13 or later.
        weight_bits: 8, or 7 for processors that add two products in 16 bits.
        narrowing_products: Also quantize products with fewer outputs than inputs.

    Returns:
        How many matrix products are computed in integers. Those whose weights are no constants or
        whose activations are no rows of tokens stay as they are.
    """
    shapes = infer_graph_shapes(model)
    writer = GraphWriter(model, prefix="int8")
    quantizer = _Quantizer(
        model, shapes, writer, weight_bits, narrowing_products=narrowing_products
    )
    for node in model.graph.node:
        quantizer.add(node)
    writer.finish()
    return quantizer.matrix_products


_Quantize = Callable[[Float32Array], tuple[Int8Array, Float32Array]]


def _large_matrices(graph: GraphProto) -> dict[str, TensorProto]:
    """Give the weights that are worth quantizing, by all of their names."""
    matrices = {
        tensor.name: tensor
        for tensor in graph.initializer
        if tensor.data_type == TensorProto.FLOAT
        and len(tensor.dims) == 2  # noqa: PLR2004 - a matrix
        and math.prod(tensor.dims) >= _MIN_WEIGHTS
    }
    for node in graph.node:  # layers that share weights get them under other names
        if node.op_type == "Identity" and node.input[0] in matrices:
            matrices[node.output[0]] = matrices[node.input[0]]
    return matrices


class _Quantizer:
    def __init__(
        self,
        model: onnx.ModelProto,
        shapes: GraphShapes,
        writer: GraphWriter,
        weight_bits: int,
        *,
        narrowing_products: bool,
    ) -> None:
        self.matrix_products = 0
        self._weights = _large_matrices(model.graph)
        self._quantized: dict[str, tuple[str, str]] = {}
        self._last_read: dict[str, str] = {}
        self._writer = writer
        self._weight_bits = weight_bits
        self._narrowing_products = narrowing_products
        self._activations = TokenActivations(model, shapes, writer)

    def add(self, node: NodeProto) -> None:
        """Add ``node`` in integers where that is possible, as it is otherwise."""
        if self._is_embedding(node):
            self._add_embedding(node)
        elif self._is_product(node) and self._activations.can_quantize(node.input[0]):
            self._add_product(node)
        elif self._is_rearranged(node):
            self._add_rearranged(node)
        else:
            self._writer.nodes.append(node)

    def _is_embedding(self, node: NodeProto) -> bool:
        """Whether ``node`` looks up rows of constant weights."""
        if node.op_type != "Gather" or node.input[0] not in self._weights:
            return False
        return all(attribute.i == 0 for attribute in node.attribute if attribute.name == "axis")

    def _is_product(self, node: NodeProto) -> bool:
        """Whether ``node`` multiplies activations by constant weights and shall be quantized."""
        if node.op_type not in {"MatMul", "Gemm"} or node.input[1] not in self._weights:
            return False
        attributes = {attribute.name: attribute for attribute in node.attribute}
        inputs, outputs = self._weights[node.input[1]].dims
        if "transB" in attributes and attributes["transB"].i:
            inputs, outputs = outputs, inputs
        if inputs > outputs and not self._narrowing_products:
            return False
        return node.op_type == "MatMul" or (
            not ("transA" in attributes and attributes["transA"].i)
            and all(attributes[name].f == 1.0 for name in ("alpha", "beta") if name in attributes)
        )

    def _add_product(self, node: NodeProto) -> None:
        weights, scales = self._quantize_weights(node)
        weights = self._alone(weights, node.output[0])
        if self._activations.is_single_row(node.input[0]):
            self._add_row_product(node, weights, scales)
        else:
            self._add_token_product(node, weights, scales)
        self.matrix_products += 1

    def _add_row_product(self, node: NodeProto, weights: str, scales: str) -> None:
        """Use the operator that takes a scale a tensor, which is a scale a token for one row."""
        inputs = [node.input[0], weights, scales, "", *node.input[2:]]
        product = helper.make_node(
            "DynamicQuantizeMatMul", inputs, node.output, node.name, domain=MICROSOFT
        )
        self._writer.nodes.append(product)

    def _add_token_product(self, node: NodeProto, weights: str, scales: str) -> None:
        tokens = self._activations.quantize(node.input[0])
        one = self._writer.constant(1.0, np.float32, "one")
        output = node.output[0]
        inputs = [tokens.integers, weights, one, scales, tokens.zero]
        unscaled = self._writer.node(
            "MatMulIntegerToFloat", inputs, f"{output}/unscaled", domain=MICROSOFT
        )
        bias = node.input[2:3] if node.op_type == "Gemm" else []
        product = f"{output}/without_bias" if bias else output
        nodes = [helper.make_node("Mul", [unscaled, tokens.scales], [product], node.name)]
        nodes += [helper.make_node("Add", [product, name], [output]) for name in bias]
        self._writer.nodes.extend(nodes)

    def _alone(self, weights: str, output: str) -> str:
        """Give shared weights as a tensor of its own for each product, folded at load.

        Where x86 cannot sum 8-bit products exactly, onnxruntime 1.32 converts the weights of each
        product, and fails on those that it has converted for another. Each tensor is made of the
        one before, since equal nodes would be merged into one.
        """
        name = weights
        if weights in self._last_read:
            inputs = [self._last_read[weights], self._writer.indices([0, 0])]  # the same shape
            name = self._writer.node("Reshape", inputs, f"{output}/weights")
        self._last_read[weights] = name
        return name

    def _is_rearranged(self, node: NodeProto) -> bool:
        """Whether ``node`` gives weights another shape, see ``single_query``."""
        return node.op_type == "Reshape" and node.input[0] in self._weights

    def _add_rearranged(self, node: NodeProto) -> None:
        """Keep the weights of ``node`` small on disk; onnxruntime makes floats of them at load."""
        inputs = [self._floats(self._weights[node.input[0]].name), *node.input[1:]]
        self._writer.nodes.append(helper.make_node("Reshape", inputs, node.output, node.name))

    def _floats(self, name: str) -> str:
        integers, scales = self._add_weights(name, self._quantize_columns)
        floats = self._writer.node("Cast", [integers], f"{name}/cast", to=TensorProto.FLOAT)
        return self._writer.node("Mul", [floats, scales], f"{name}/floats")

    def _quantize_weights(self, node: NodeProto) -> tuple[str, str]:
        """Add the weights of ``node``, a column an output, and give the names of both tensors."""
        name = self._weights[node.input[1]].name
        if not any(attribute.name == "transB" and attribute.i for attribute in node.attribute):
            return self._add_weights(name, self._quantize_columns)
        return self._add_weights(name, lambda rows: self._quantize_columns(rows.T), "/transposed")

    def _quantize_columns(self, weights: Float32Array) -> tuple[Int8Array, Float32Array]:
        return quantize_columns(weights, bits=self._weight_bits)

    def _add_weights(self, name: str, quantize: _Quantize, suffix: str = "") -> tuple[str, str]:
        """Add the integers and the scales of weights once, and give the names of both tensors."""
        key = name + suffix
        if key not in self._quantized:
            integers, scales = quantize(numpy_helper.to_array(self._weights[name]))
            self._quantized[key] = (
                self._writer.constant(integers, np.int8, key),
                self._writer.constant(scales, np.float32, f"{key}/scales"),
            )
        return self._quantized[key]

    def _add_embedding(self, node: NodeProto) -> None:
        """Look up integers and their row's scale; only the rows that are read become floats."""
        table_name, indices = node.input
        table, table_scales = self._add_weights(self._weights[table_name].name, quantize_rows)
        output = node.output[0]
        integers_read = self._writer.node("Gather", [table, indices], f"{output}/integers", axis=0)
        floats = self._writer.node(
            "Cast", [integers_read], f"{output}/floats", to=TensorProto.FLOAT
        )
        scales_read = self._writer.node(
            "Gather", [table_scales, indices], f"{output}/scales", axis=0
        )
        self._writer.nodes.append(helper.make_node("Mul", [floats, scales_read], [output]))
