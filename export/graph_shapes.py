"""What is known about the tensors of a graph: symbolic shapes and constant values."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper
from onnxruntime.tools.symbolic_shape_infer import SymbolicShapeInference

from .shape_observation import Observation, observe_shapes

Dim = int | str
"""A number, a symbol such as ``sequence_length``, an expression of these, or ``?``."""

Shape = tuple[Dim, ...]

UNKNOWN: Dim = "?"

_LARGE_TENSOR_ELEMENTS = 4096
"""Weights from this size on matter to shape inference by their own shape alone."""


@dataclass(frozen=True, slots=True)
class SymbolSource:
    """A graph input and the axis of it whose size a symbol stands for."""

    input_name: str
    axis: int


@dataclass(frozen=True, slots=True)
class GraphShapes:
    """Shapes and constants of a graph's tensors, by name."""

    shapes: dict[str, Shape]
    """Of every tensor whose rank is known, weights and graph inputs included."""
    constants: dict[str, NDArray[Any]]
    """Values of small constants."""
    symbols: dict[str, SymbolSource]
    """Where to read the size that a symbol stands for."""

    def rank(self, tensor: str) -> int | None:
        """Number of axes, None where nothing is known."""
        shape = self.shapes.get(tensor)
        return None if shape is None else len(shape)

    def integers(self, tensor: str) -> tuple[int, ...] | None:
        """Values of a constant as a flat tuple, None where it is no small integer constant."""
        values = self.constants.get(tensor)
        if values is None or not np.issubdtype(values.dtype, np.integer):
            return None
        return tuple(int(value) for value in values.ravel())

    def can_build(self, shape: Shape | None) -> bool:
        """Whether every size of a shape is known or can be computed from the graph's inputs."""
        factors = None if shape is None else product(shape)
        return factors is not None and all(symbol in self.symbols for symbol in factors[1])

    def is_sequence(self, dim: Dim) -> bool:
        """Whether a size is the number of tokens, which inputs of shape (pairs, tokens) have."""
        return isinstance(dim, str) and dim in self.symbols and self.symbols[dim].axis == 1


def product(dims: Iterable[Dim]) -> tuple[int, tuple[str, ...]] | None:
    """Multiply sizes: the number and the sorted symbols, None where one of them is unknown.

    Equal results mean equal sizes. Understands products such as ``12*batch_size``, no sums.
    """
    factors = [factor for dim in dims for factor in str(dim).replace(" ", "").split("*")]
    if not all(re.fullmatch(r"\w+", factor) for factor in factors):
        return None
    number = math.prod(int(factor) for factor in factors if factor.isdigit())
    return number, tuple(sorted(factor for factor in factors if not factor.isdigit()))


def infer_graph_shapes(model: onnx.ModelProto) -> GraphShapes:
    """Infer symbolic shapes, and keep those that hold when the graph runs.

    Raises:
        ExportError: onnxruntime cannot run the graph.
    """
    skeleton = _skeleton(model)
    symbols = dict(_symbols(model.graph.input))
    shapes = _inferred_shapes(skeleton)
    axes = {symbol: min(source.axis, 1) for symbol, source in symbols.items()}
    for run in observe_shapes(skeleton, axes):
        shapes = {name: shape for name, shape in shapes.items() if _holds(shape, name, run)}
    constants = dict(_constants(model))
    shapes |= {name: values.shape for name, values in constants.items()}
    shapes |= {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    shapes |= dict(_declared_shapes(model.graph.input))
    return GraphShapes(shapes, constants, symbols)


def _inferred_shapes(skeleton: onnx.ModelProto) -> dict[str, Shape]:
    """Use onnxruntime's inference, which follows the arithmetic of shapes, or else onnx's own."""
    for infer in (_infer_symbolically, _infer_plainly):
        try:
            graph = infer(skeleton).graph
        except Exception:  # noqa: BLE001, S112 - they raise anything, sympy's errors included
            continue
        return dict(_declared_shapes([*graph.value_info, *graph.output]))
    return {}


def _infer_symbolically(skeleton: onnx.ModelProto) -> onnx.ModelProto:
    return SymbolicShapeInference.infer_shapes(skeleton, auto_merge=True)


def _infer_plainly(skeleton: onnx.ModelProto) -> onnx.ModelProto:
    return onnx.shape_inference.infer_shapes(skeleton, data_prop=True)


def _holds(shape: Shape, tensor: str, run: Observation) -> bool:
    observed = run.shapes.get(tensor)
    if observed is None or len(observed) != len(shape):
        return False
    return all(_stands_for(dim, size, run) for dim, size in zip(shape, observed, strict=True))


def _stands_for(dim: Dim, size: int, run: Observation) -> bool:
    factors = product([dim])
    if factors is None or any(symbol not in run.sizes for symbol in factors[1]):
        return True  # unknown, and used by nothing
    return size == factors[0] * math.prod(run.sizes[symbol] for symbol in factors[1])


def _skeleton(model: onnx.ModelProto) -> onnx.ModelProto:
    """Copy the graph with large weights as inputs, since a protobuf holds at most 2 GB."""
    initializers: list[TensorProto] = []
    inputs = list(model.graph.input)
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or _elements(tensor) < _LARGE_TENSOR_ELEMENTS:
            initializers.append(tensor)  # integers may be indices, which have to stay in range
        else:
            inputs.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    outputs = list(model.graph.output)
    graph = helper.make_graph(list(model.graph.node), "skeleton", inputs, outputs, initializers)
    opsets = list(model.opset_import)
    return helper.make_model(graph, opset_imports=opsets, ir_version=model.ir_version)


def _elements(tensor: TensorProto) -> int:
    return math.prod(tensor.dims)


def _declared_shapes(values: Iterable[ValueInfoProto]) -> Iterable[tuple[str, Shape]]:
    for value in values:
        if value.type.tensor_type.HasField("shape"):
            yield value.name, tuple(_dim(dim) for dim in value.type.tensor_type.shape.dim)


def _dim(dim: onnx.TensorShapeProto.Dimension) -> Dim:
    if dim.HasField("dim_value"):
        return dim.dim_value
    return dim.dim_param or UNKNOWN


def _constants(model: onnx.ModelProto) -> Iterable[tuple[str, NDArray[Any]]]:
    for tensor in model.graph.initializer:
        if _elements(tensor) < _LARGE_TENSOR_ELEMENTS:
            yield tensor.name, numpy_helper.to_array(tensor)
    for node in model.graph.node:
        if node.op_type == "Constant" and (value := _constant_value(node)) is not None:
            yield node.output[0], value


def _constant_value(node: NodeProto) -> NDArray[Any] | None:
    attribute = node.attribute[0]
    value = helper.get_attribute_value(attribute)
    if attribute.name == "value":
        return numpy_helper.to_array(value)
    if attribute.name in {"value_int", "value_ints"}:
        return np.array(value, np.int64)
    return None


def _symbols(inputs: Sequence[ValueInfoProto]) -> Iterable[tuple[str, SymbolSource]]:
    for name, shape in _declared_shapes(inputs):
        for axis, dim in enumerate(shape):
            if isinstance(dim, str) and dim != UNKNOWN:
                yield dim, SymbolSource(name, axis)
