"""Rewrites a graph so that chosen tensors are computed at row 0 alone."""

from collections.abc import Mapping, Sequence

import onnx
from onnx import NodeProto, helper

from .graph_shapes import Dim, GraphShapes, product
from .graph_writer import GraphWriter
from .row_rules import RowAxes, first_row_target

_END = 2**63 - 1
"""As the end of a Slice: up to the end."""


def rewrite_rows(
    model: onnx.ModelProto,
    shapes: GraphShapes,
    *,
    axes: Mapping[str, int],
    needs: Mapping[str, RowAxes],
) -> None:
    """Change the graph of ``model`` in place.

    Args:
        model: The graph and its weights.
        shapes: What is known about its tensors.
        axes: The axis along which a tensor shall be computed at row 0 alone, by its name.
        needs: What a node that computes them needs of its inputs, by the name of its first output.
    """
    writer = GraphWriter(model, prefix="first_token")
    rewriter = _Rewriter(writer, shapes, axes)
    for node in model.graph.node:
        if node.output[0] in needs:
            rewriter.add_row_node(node, needs[node.output[0]])
        elif node.op_type == "Shape" and node.input[0] in axes:
            rewriter.add_known_shape(node)
        else:
            writer.nodes.append(node)
    writer.finish()


class _Rewriter:
    """Writes nodes that compute row 0 alone."""

    def __init__(self, writer: GraphWriter, shapes: GraphShapes, axes: Mapping[str, int]) -> None:
        self._writer = writer
        self._shapes = shapes
        self._axes = axes

    def add_row_node(self, node: NodeProto, needs: RowAxes) -> None:
        """Add ``node`` so that it computes row 0 of its outputs."""
        row_node = NodeProto()
        row_node.CopyFrom(node)
        for position, (name, axis) in enumerate(zip(node.input, needs, strict=True)):
            if axis is not None and name not in self._axes:
                row_node.input[position] = self._first_row(name, axis)
        if node.op_type == "Reshape":
            row_node.input[1] = self._reshape_target(node)
        elif node.op_type == "Expand":
            row_node.input[1] = self._expand_target(node)
        self._writer.nodes.append(row_node)

    def add_known_shape(self, node: NodeProto) -> None:
        """Add what computes the full shape that ``node``, a Shape, has read so far."""
        dims = self._shapes.shapes[node.input[0]]
        bounds = {attribute.name: attribute.i for attribute in node.attribute}
        shape = self._shape(dims[bounds.get("start", 0) : bounds.get("end", len(dims))])
        self._writer.nodes.append(helper.make_node("Identity", [shape], [node.output[0]]))

    def _reshape_target(self, node: NodeProto) -> str:
        target = first_row_target(node, self._axes[node.output[0]], self._shapes)
        if target is None:
            message = f"{node.name} cannot be reshaped to its first row"
            raise AssertionError(message)
        return self._shape(target)

    def _expand_target(self, node: NodeProto) -> str:
        """Put 1 in the place of the rows; the other sizes stay whatever they are."""
        axis = self._axes[node.output[0]]
        (length,) = self._shapes.shapes[node.input[1]]
        index = axis - len(self._shapes.shapes[node.output[0]]) + int(length)
        if index < 0:
            return str(node.input[1])
        parts = [
            self._slice(node.input[1], 0, start=0, end=index),
            self._writer.indices([1]),
            self._slice(node.input[1], 0, start=index + 1, end=_END),
        ]
        return self._writer.node("Concat", parts, f"{node.output[0]}/target", axis=0)

    def _first_row(self, tensor: str, axis: int) -> str:
        if self._shapes.shapes[tensor][axis] == 1:
            return tensor
        return self._slice(tensor, axis, start=0, end=1)

    def _slice(self, tensor: str, axis: int, *, start: int, end: int) -> str:
        bounds = [self._writer.indices([value]) for value in (start, end, axis)]
        name = f"{tensor}/{axis}_{start}_{end}"
        return self._writer.node("Slice", [tensor, *bounds], name)

    def _shape(self, dims: Sequence[Dim]) -> str:
        """Give a tensor with ``dims``, whose symbols are read from the graph's inputs."""
        numbers = [dim for dim in dims if isinstance(dim, int)]
        if len(numbers) == len(dims):
            return self._writer.indices(numbers)
        parts = [
            self._writer.indices([dim]) if isinstance(dim, int) else self._size(dim) for dim in dims
        ]
        return self._writer.node("Concat", parts, "shape_" + "_".join(map(str, dims)), axis=0)

    def _size(self, dim: str) -> str:
        """Give a tensor of shape (1,) with a size such as ``12*batch_size``."""
        number, symbols = product([dim]) or (1, ())
        sizes = [self._input_size(symbol) for symbol in symbols]
        total = sizes[0]
        for position, factor in enumerate([*sizes[1:], self._writer.indices([number])]):
            total = self._writer.node("Mul", [total, factor], f"{dim}_{position}")
        return total

    def _input_size(self, symbol: str) -> str:
        source = self._shapes.symbols[symbol]
        shape = self._writer.node("Shape", [source.input_name], f"{source.input_name}/shape")
        index = self._writer.indices([source.axis])
        return self._writer.node(
            "Gather", [shape, index], f"{source.input_name}/{source.axis}", axis=0
        )
