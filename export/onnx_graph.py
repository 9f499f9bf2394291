"""Ready graphs that others made: read with care, and told apart by what their weights are.

A graph may name files for its weights. It is read without them first, and only files right beside
it are followed: a name like ``../../etc/passwd`` could bring any file of this machine into a
bundle.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import AttributeProto, GraphProto, TensorProto, numpy_helper

from ranklet.runtime.manifest import Precision, ProcessorFamily

from .errors import UnsupportedCheckpointError

_QUANTIZED = frozenset(
    """DequantizeLinear DynamicQuantizeLSTM DynamicQuantizeLinear DynamicQuantizeMatMul
    MatMulInteger MatMulIntegerToFloat QAttention QLinearMatMul QGemm""".split()
)
"""Operators that only quantized graphs have."""

_FOUR_BITS = frozenset({"MatMulBnb4", "MatMulNBits"})

_SEVEN_BITS = 64
"""Signed weights of 7 bits lie in [-64, 64]; products of two of them fit into 16 bits."""

_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids"})

_LOGITS_RANK = 2
"""Logits are of shape (pairs, labels)."""


@dataclass(frozen=True, slots=True)
class ReadyGraph:
    """A graph that somebody else made of the checkpoint."""

    path: Path
    precision: Precision
    processors: ProcessorFamily
    """Those that compute it right."""
    labels: int | None
    """How many numbers it gives for a pair; None where it does not tell."""
    is_kept: bool = False
    """Whether the bundle takes it as it is unless asked for other variants."""


def describe_graph(source: str, path: Path, *, keep: bool) -> ReadyGraph:
    """Check that a graph can be imported, and say what it is.

    Args:
        source: The model as the user named it.
        path: The ``.onnx`` file.
        keep: Whether to keep it as it is also where it is in fp32.

    Raises:
        UnsupportedCheckpointError: it is damaged, or no graph of a cross-encoder in 8-bit integers
            or 32-bit floats.
    """
    model = open_graph(source, path)
    _require_known_inputs(source, path, model)
    labels = _count_labels(source, path, model)
    if _is_quantized(source, model):
        return ReadyGraph(path, "int8", _integer_family(model), labels, is_kept=True)
    return ReadyGraph(path, "fp32", "any", labels, is_kept=keep)


def input_names(model: onnx.ModelProto) -> tuple[str, ...]:
    """Name a graph's inputs, without the weights that old graphs list among them."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return tuple(value.name for value in model.graph.input if value.name not in weights)


def _require_known_inputs(source: str, path: Path, model: onnx.ModelProto) -> None:
    unknown = sorted(set(input_names(model)) - _INPUTS)
    if unknown:
        found = (
            f"{path.name} reads {', '.join(unknown)}; the graph of a cross-encoder reads "
            f"{', '.join(sorted(_INPUTS))}"
        )
        raise UnsupportedCheckpointError(source, found)


def _count_labels(source: str, path: Path, model: onnx.ModelProto) -> int | None:
    kind = model.graph.output[0].type.tensor_type
    if not kind.HasField("shape"):
        return None
    if len(kind.shape.dim) != _LOGITS_RANK:
        found = (
            f"{path.name} gives {model.graph.output[0].name} of {len(kind.shape.dim)} dimensions "
            "instead of logits (pairs, labels): it is an encoder without the head that ranks"
        )
        raise UnsupportedCheckpointError(source, found)
    return kind.shape.dim[1].dim_value or None


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
    for tensor in _external_tensors(model.graph):
        _load_data(source, path, tensor)
    return model


def _is_quantized(source: str, model: onnx.ModelProto) -> bool:
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


def _integer_family(model: onnx.ModelProto) -> ProcessorFamily:
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
    except Exception as error:  # protobuf has many kinds
        found = f"{path.name} is truncated or damaged, or no ONNX graph; fetch it again"
        raise UnsupportedCheckpointError(source, found) from error
    if not model.graph.node or not model.graph.output:
        raise UnsupportedCheckpointError(source, f"{path.name} is an empty graph")
    return model


def _load_data(source: str, path: Path, tensor: TensorProto) -> None:
    """Read a weight from the other file that holds it.

    The library would refuse files behind links, which is how the hub's cache keeps all of them.
    """
    file = path.with_name(_entry(tensor, "location"))
    size = file.stat().st_size
    offset = _entry(tensor, "offset") or "0"
    length = _entry(tensor, "length") or str(size - int(offset) if offset.isdecimal() else 0)
    is_number = offset.isdecimal() and length.isdecimal()
    if not is_number or int(offset) + int(length) > size:
        found = f"{file.name} is truncated or damaged: {tensor.name} lies beyond its end"
        raise UnsupportedCheckpointError(source, found)
    with file.open("rb") as stream:
        stream.seek(int(offset))
        tensor.raw_data = stream.read(int(length))
    tensor.data_location = TensorProto.DEFAULT
    tensor.ClearField("external_data")


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


def _subgraphs(attributes: Iterable[AttributeProto]) -> Iterator[GraphProto]:
    for attribute in attributes:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs
