"""Ready graphs that others made: read with care, and told apart by what their weights are.

A graph may name files for its weights. It is read without them first, and only files right beside
it are followed: a name like ``../../etc/passwd`` could bring any file of this machine into a
bundle.
"""

from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, GraphProto, TensorProto, numpy_helper

from ranklet.runtime.manifest import ProcessorFamily

from .errors import UnsupportedCheckpointError

_QUANTIZED = frozenset(
    """DequantizeLinear DynamicQuantizeLSTM DynamicQuantizeLinear DynamicQuantizeMatMul
    MatMulInteger MatMulIntegerToFloat QAttention QLinearMatMul QGemm""".split()
)
"""Operators that only quantized graphs have."""

_FOUR_BITS = frozenset({"MatMulBnb4", "MatMulNBits"})

_SEVEN_BITS = 64
"""Signed weights of 7 bits lie in [-64, 64]; products of two of them fit into 16 bits."""


def external_files(source: str, path: Path) -> list[str]:
    """Name the files beside the graph at ``path`` that hold its weights.

    Raises:
        UnsupportedCheckpointError: it is no graph, or names a file that does not lie beside it.
    """
    names: set[str] = set()
    for tensor in _external_tensors(_read(source, path).graph):
        location = _entry(tensor, "location")
        if Path(location).name != location or "\\" in location:
            found = f"{path.name} names {location!r} for its weights, which does not lie beside it"
            raise UnsupportedCheckpointError(source, found)
        names.add(location)
    return sorted(names)


def open_graph(source: str, path: Path) -> onnx.ModelProto:
    """Read a graph with its weights.

    Raises:
        UnsupportedCheckpointError: it is damaged, or weights are missing or lie elsewhere.
    """
    for name in external_files(source, path):
        file = path.with_name(name)
        if not file.is_file():
            raise UnsupportedCheckpointError(source, f"it lacks {name}, the weights of {path.name}")
    model = _read(source, path)
    _require_data(source, path, model)
    onnx.load_external_data_for_model(model, str(path.parent))
    return model


def is_quantized(source: str, model: onnx.ModelProto) -> bool:
    """Whether a graph computes with 8-bit integers.

    Raises:
        UnsupportedCheckpointError: it computes with something else than these or 32-bit floats.
    """
    operators = {node.op_type for node in _nodes(model.graph)}
    if operators & _FOUR_BITS:
        raise UnsupportedCheckpointError(source, _other_precision("4 bits"))
    if any(tensor.data_type == TensorProto.FLOAT16 for tensor in _tensors(model.graph)):
        raise UnsupportedCheckpointError(source, _other_precision("16-bit floats"))
    return bool(operators & _QUANTIZED)


def integer_family(model: onnx.ModelProto) -> ProcessorFamily:
    """Tell which processors compute a quantized graph right.

    Those with AVX2 but without dot products add two products of 8-bit numbers in 16 bits. That is
    enough for unsigned weights, which take another path there, and for signed ones of 7 bits.
    """
    for tensor in _tensors(model.graph):
        if tensor.data_type == TensorProto.INT8 and len(tensor.dims) > 1:
            weights = numpy_helper.to_array(tensor)
            if int(weights.max()) > _SEVEN_BITS or int(weights.min()) < -_SEVEN_BITS:
                return "int8-dot"
    return "any"


def _other_precision(what: str) -> str:
    return f"its graph has {what}; take its fp32 graph, or one of 8 bits (--graph FILE)"


def _read(source: str, path: Path) -> onnx.ModelProto:
    """Read a graph without the weights in other files."""
    try:
        model = onnx.load(path, load_external_data=False)
    except DecodeError as error:
        found = f"{path.name} is truncated or damaged, or no ONNX graph; fetch it again"
        raise UnsupportedCheckpointError(source, found) from error
    if not model.graph.node or not model.graph.output:
        raise UnsupportedCheckpointError(source, f"{path.name} is an empty graph")
    return model


def _require_data(source: str, path: Path, model: onnx.ModelProto) -> None:
    """Check that the weights in other files lie within them."""
    for tensor in _external_tensors(model.graph):
        file = path.with_name(_entry(tensor, "location"))
        offset, length = (_entry(tensor, key) or "0" for key in ("offset", "length"))
        is_inside = offset.isdecimal() and length.isdecimal()
        if not is_inside or int(offset) + int(length) > file.stat().st_size:
            found = f"{file.name} is truncated or damaged: {tensor.name} lies beyond its end"
            raise UnsupportedCheckpointError(source, found)


def _entry(tensor: TensorProto, key: str) -> str:
    return next((entry.value for entry in tensor.external_data if entry.key == key), "")


def _external_tensors(graph: GraphProto) -> Iterator[TensorProto]:
    for tensor in _tensors(graph):
        if tensor.data_location == TensorProto.EXTERNAL:
            yield tensor


def _nodes(graph: GraphProto) -> Iterator[onnx.NodeProto]:
    """Give all nodes, those of subgraphs included."""
    for node in graph.node:
        yield node
        for subgraph in _subgraphs(node.attribute):
            yield from _nodes(subgraph)


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    """Give all constant tensors, those of subgraphs and attributes included."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.TENSOR:
                yield attribute.t
            yield from attribute.tensors
        for subgraph in _subgraphs(node.attribute):
            yield from _tensors(subgraph)


def _subgraphs(attributes: Iterator[AttributeProto]) -> Iterator[GraphProto]:
    for attribute in attributes:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs
