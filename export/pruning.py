"""First-token pruning: where the head reads the first token alone, compute only its row.

In the last layer keys and values need all tokens, while queries, attention output and feed-forward
are read at one row. Nothing here knows what a layer is: the row selection of the head moves up
through every operator that works row by row, until it meets tensors that are needed in full, and
selects their first row there. So it holds for every architecture, and the result is the same up to
the rounding of fp32.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import onnx
from onnx import GraphProto, NodeProto

from .errors import ExportError
from .graph_shapes import GraphShapes, infer_graph_shapes
from .graph_writer import captured_names
from .row_rewriting import rewrite_rows
from .row_rules import RowAxes, constant_axes, node_axis, row_axes
from .single_query import fold_single_query

_MATRIX_PRODUCTS = frozenset({"Gemm", "MatMul"})

_SEQUENCE_AXIS = 1


def prune_to_first_token(model: onnx.ModelProto) -> bool:
    """Let the last layers of ``model`` compute the first token's row alone, in place.

    Args:
        model: A plain fp32 graph with its weights, as torch exports it: no fused operators.

    Returns:
        Whether any matrix product became smaller. False leaves the graph as it was: the head does
        not read the first token alone, or too little is known of the graph's shapes.
    """
    try:
        graph = infer_graph_shapes(model)
    except ExportError as error:  # pruning is not needed to go on
        logging.getLogger(__name__).warning("the graph is not pruned: %s", error)
        return False
    plan = _plan(model.graph, graph)
    if plan.matrix_products == 0:
        return False
    rewrite_rows(model, graph, axes=plan.axes, needs=plan.needs)
    fold_single_query(model)
    return True


@dataclass(slots=True)
class _Plan:
    """Which tensors shall be computed at row 0 alone; it grows from the outputs up."""

    axes: dict[str, int] = field(default_factory=dict[str, int])
    """By tensor: the axis along which only row 0 is computed."""
    needs: dict[str, RowAxes] = field(default_factory=dict[str, RowAxes])
    """By first output of a node that computes row 0: what it needs of its inputs."""
    wanted: dict[str, set[int | None]] = field(default_factory=dict[str, set[int | None]])
    """By tensor: along which axis row 0 is enough for a reader, None for one that needs all."""
    matrix_products: int = 0
    """How many matrix products compute row 0 alone."""

    def want(self, tensors: Sequence[str], axes: RowAxes) -> None:
        for tensor, axis in zip(tensors, axes, strict=True):
            self.wanted.setdefault(tensor, set()).add(axis)


def _plan(graph: GraphProto, shapes: GraphShapes) -> _Plan:
    plan = _Plan()
    outputs = [value.name for value in graph.output]
    plan.want(outputs, [None] * len(outputs))
    for node in reversed(graph.node):
        axis = _common_axis(plan.wanted.get(name, set()) for name in node.output)
        needs = None if axis is None else row_axes(node, axis, shapes)
        if axis is not None and needs is not None:
            plan.axes |= dict.fromkeys(node.output, axis)
            plan.needs[node.output[0]] = needs
            plan.want(node.input, needs)
            plan.matrix_products += node.op_type in _MATRIX_PRODUCTS
        elif _selects_first_token(node, shapes):
            plan.want(node.input[:1], [_SEQUENCE_AXIS])
        elif not _reads_known_shape(node, shapes):
            names = [*node.input, *captured_names(node)]
            plan.want(names, [None] * len(names))
    return plan


def _common_axis(wanted: Iterable[set[int | None]]) -> int | None:
    """Give the one axis along which row 0 is enough for all readers of all outputs, or None."""
    axes = set[int | None]().union(*wanted)
    return axes.pop() if len(axes) == 1 else None


def _selects_first_token(node: NodeProto, shapes: GraphShapes) -> bool:
    """Whether ``node`` is ``hidden[:, 0]`` or ``hidden[:, 0:1]``."""
    if node.op_type not in {"Gather", "Slice"}:
        return False
    source = shapes.shapes.get(node.input[0], ())
    is_hidden = len(source) > _SEQUENCE_AXIS + 1 and shapes.is_sequence(source[_SEQUENCE_AXIS])
    if not is_hidden:
        return False
    if node.op_type == "Gather":
        is_sequence_axis = node_axis(node, shapes, default=0) == _SEQUENCE_AXIS
        return is_sequence_axis and shapes.integers(node.input[1]) == (0,)
    bounds = [shapes.integers(name) for name in node.input[1:3]]
    steps = [shapes.integers(name) for name in node.input[4:5] if name]
    axes = constant_axes(node, shapes, position=3, rank=len(source))
    return axes == [_SEQUENCE_AXIS] and bounds == [(0,), (1,)] and steps in ([], [(1,)])


def _reads_known_shape(node: NodeProto, shapes: GraphShapes) -> bool:
    """Whether ``node`` reads a shape that can be told without its input."""
    return node.op_type == "Shape" and shapes.can_build(shapes.shapes.get(node.input[0]))
