"""Rewrites a graph so that chosen tensors are computed at row 0 alone."""

from collections.abc import Mapping, Sequence

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

from .graph_shapes import Dim, GraphShapes, product
from .row_rules import RowAxes, first_row_target

_PREFIX = "first_token"
"""The names of all that is added begin with it."""

_END = 2**63 - 1
"""As the end of a Slice: up to the end."""


def rewrite_rows(
    graph: GraphProto,
    shapes: GraphShapes,
    *,
    axes: Mapping[str, int],
    needs: Mapping[str, RowAxes],
) -> list[NodeProto]:
    """Give the nodes of ``graph`` anew; the constants that they need are added to it.

    Args:
        graph: The graph; its nodes stay as they are.
        shapes: What is known about its tensors.
        axes: The axis along which a tensor shall be computed at row 0 alone, by its name.
        needs: What a node that computes them needs of its inputs, by the name of its first output.
    """
    rewriter = _Rewriter(graph, shapes, axes)
    for node in graph.node:
        if node.output[0] in needs:
            rewriter.add_row_node(node, needs[node.output[0]])
        elif node.op_type == "Shape" and node.input[0] in axes:
            rewriter.add_known_shape(node)
        else:
            rewriter.nodes.append(node)
    return rewriter.nodes


class _Rewriter:
    """Nodes in the making, each added once however many need it."""

    def __init__(self, graph: GraphProto, shapes: GraphShapes, axes: Mapping[str, int]) -> None:
        self.nodes: list[NodeProto] = []
        self._graph = graph
        self._shapes = shapes
        self._axes = axes
        self._added = set[str]()

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
        self.nodes.append(row_node)

    def add_known_shape(self, node: NodeProto) -> None:
        """Add what computes the full shape that ``node``, a Shape, has read so far."""
        dims = self._shapes.shapes[node.input[0]]
        bounds = {attribute.name: attribute.i for attribute in node.attribute}
        shape = self._shape(dims[bounds.get("start", 0) : bounds.get("end", len(dims))])
        self.nodes.append(helper.make_node("Identity", [shape], [node.output[0]]))

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
            self._constant([1]),
            self._slice(node.input[1], 0, start=index + 1, end=_END),
        ]
        return self._node("Concat", parts, f"{node.output[0]}/target", axis=0)

    def _first_row(self, tensor: str, axis: int) -> str:
        if self._shapes.shapes[tensor][axis] == 1:
            return tensor
        return self._slice(tensor, axis, start=0, end=1)

    def _slice(self, tensor: str, axis: int, *, start: int, end: int) -> str:
        bounds = [self._constant([value]) for value in (start, end, axis)]
        name = f"{tensor}/{axis}_{start}_{end}"
        return self._node("Slice", [tensor, *bounds], name)

    def _shape(self, dims: Sequence[Dim]) -> str:
        """Give a tensor with ``dims``, whose symbols are read from the graph's inputs."""
        numbers = [dim for dim in dims if isinstance(dim, int)]
        if len(numbers) == len(dims):
            return self._constant(numbers)
        parts = [self._constant([dim]) if isinstance(dim, int) else self._size(dim) for dim in dims]
        return self._node("Concat", parts, "shape_" + "_".join(map(str, dims)), axis=0)

    def _size(self, dim: str) -> str:
        """Give a tensor of shape (1,) with a size such as ``12*batch_size``."""
        number, symbols = product([dim]) or (1, ())
        sizes = [self._input_size(symbol) for symbol in symbols]
        total = sizes[0]
        for position, factor in enumerate([*sizes[1:], self._constant([number])]):
            total = self._node("Mul", [total, factor], f"{dim}_{position}")
        return total

    def _input_size(self, symbol: str) -> str:
        source = self._shapes.symbols[symbol]
        shape = self._node("Shape", [source.input_name], f"{source.input_name}/shape")
        index = self._constant([source.axis])
        return self._node("Gather", [shape, index], f"{source.input_name}/{source.axis}", axis=0)

    def _node(
        self, operator: str, inputs: Sequence[str], name: str, *, axis: int | None = None
    ) -> str:
        output = f"{_PREFIX}/{name}"
        if output not in self._added:
            self._added.add(output)
            self.nodes.append(helper.make_node(operator, inputs, [output], output, axis=axis))
        return output

    def _constant(self, values: Sequence[int]) -> str:
        name = f"{_PREFIX}/constant_" + "_".join(map(str, values))
        if name not in self._added:
            self._added.add(name)
            tensor: TensorProto = numpy_helper.from_array(np.array(values, np.int64), name)
            self._graph.initializer.append(tensor)
        return name
