"""Which operators work row by row, and what the first row of their output needs of their inputs.

A rule answers for one operator: to compute row 0 along ``axis`` of the output alone, along which
axis of each input is row 0 enough? None for an input says that all of it is needed. None from the
rule itself says that the operator does not work row by row along that axis, or is not known to:
such an operator is computed in full, which is always right.

Broadcasting needs no care: an input whose size along its axis is 1 is its own row 0.
"""

from collections.abc import Callable, Sequence

from onnx import NodeProto, helper

from .graph_shapes import Dim, GraphShapes, Shape, product

RowAxes = list[int | None]
"""For each input of a node the axis along which row 0 is enough, None where all is needed."""


def row_axes(node: NodeProto, axis: int, graph: GraphShapes) -> RowAxes | None:
    """Answer the question above for ``node``; the answer holds for all of its outputs.

    Args:
        node: Any node of the graph.
        axis: An axis of its outputs, counted from 0.
        graph: What is known about its tensors.
    """
    rule = _RULES.get(node.op_type) if node.domain in {"", "ai.onnx"} else None
    names = [name for name in [*node.input, *node.output] if name]
    if rule is None or any(graph.rank(name) is None for name in names):
        return None
    return rule(node, axis, graph)


def first_row_target(node: NodeProto, axis: int, graph: GraphShapes) -> list[Dim] | None:
    """Give the target shape with which a Reshape produces row 0 along ``axis`` alone.

    Returns:
        Numbers, where 0 copies the input's size and -1 stands for what remains, and sizes that
        can be computed from the graph's inputs. None where too little is known of the sizes.
    """
    source, target = graph.shapes[node.input[0]], graph.shapes[node.output[0]]
    source_axis = _reshaped_axis(source, target, axis)
    if source_axis is None or _attribute(node, "allowzero", 0):
        return None
    dims: list[Dim] = list(target)
    dims[axis] = 1
    for index, dim in enumerate(source[: len(dims)]):
        if isinstance(dim, str) and index != source_axis and dims[index] == dim:
            dims[index] = 0
    open_axes = [index for index, dim in enumerate(dims) if isinstance(dim, str)]
    # One size may be left to the operator: rather one that cannot be computed.
    open_axes.sort(key=lambda index: graph.can_build((dims[index],)))
    if open_axes:
        dims[open_axes[0]] = -1
    return dims if graph.can_build(tuple(dim for dim in dims if dim != -1)) else None


def _reshaped_axis(source: Shape, target: Shape, axis: int) -> int | None:
    """Find the axis of ``source`` that ``axis`` of ``target`` is, with the same rows before it."""
    before = product(target[:axis])
    if before is None:
        return None
    for index, dim in enumerate(source):
        if dim == target[axis] and product(source[:index]) == before and product([dim]):
            return index
    return None


def _attribute(node: NodeProto, name: str, default: int) -> int:
    value = helper.get_node_attr_value(node, name) if _has_attribute(node, name) else default
    return int(value)


def _has_attribute(node: NodeProto, name: str) -> bool:
    return any(attribute.name == name for attribute in node.attribute)


def node_axis(node: NodeProto, graph: GraphShapes, *, default: int) -> int:
    """Read the attribute ``axis``, counted from 0, of the rank of the first input."""
    return _attribute(node, "axis", default) % max(1, len(graph.shapes[node.input[0]]))


def constant_axes(
    node: NodeProto, graph: GraphShapes, *, position: int, rank: int
) -> list[int] | None:
    """Read ``axes`` from the attribute or, in newer operator sets, from the input ``position``."""
    values: Sequence[int] | None = None
    if _has_attribute(node, "axes"):
        values = helper.get_node_attr_value(node, "axes")
    elif len(node.input) > position and node.input[position]:
        values = graph.integers(node.input[position])
    return None if values is None else [value % rank for value in values]


def _only_first(node: NodeProto, axis: int) -> RowAxes:
    return [axis, *[None] * (len(node.input) - 1)]


def _elementwise(node: NodeProto, axis: int, graph: GraphShapes) -> RowAxes:
    rank = len(graph.shapes[node.output[0]])
    aligned = [axis - rank + len(graph.shapes[name]) if name else -1 for name in node.input]
    return [index if index >= 0 else None for index in aligned]


def _layer_normalization(node: NodeProto, axis: int, graph: GraphShapes) -> RowAxes | None:
    first_normalized = node_axis(node, graph, default=-1)
    normalized = len(graph.shapes[node.input[0]]) - first_normalized
    if axis >= first_normalized:
        return None
    if any(len(graph.shapes[name]) > normalized for name in node.input[1:] if name):
        return None  # scale or bias differ from row to row
    return _only_first(node, axis)


def _along_another_axis(node: NodeProto, axis: int, graph: GraphShapes) -> RowAxes | None:
    return None if axis == node_axis(node, graph, default=0) else _only_first(node, axis)


def _softmax(node: NodeProto, axis: int, graph: GraphShapes) -> RowAxes | None:
    # Before operator set 13 all axes from this one on were normalized together: ask for an axis
    # before it, which is right for both meanings. The default was 1 then and is -1 now.
    if not _has_attribute(node, "axis"):
        return None
    return _only_first(node, axis) if axis < node_axis(node, graph, default=-1) else None


def _reduce(node: NodeProto, axis: int, graph: GraphShapes) -> RowAxes | None:
    rank = len(graph.shapes[node.input[0]])
    axes = constant_axes(node, graph, position=1, rank=rank)
    if axes is None:
        return None
    kept = [index for index in range(rank) if index not in axes]
    if _attribute(node, "keepdims", 1):
        return _only_first(node, axis) if axis in kept else None
    return _only_first(node, kept[axis])


def _matmul(node: NodeProto, axis: int, graph: GraphShapes) -> RowAxes | None:
    left, right = (len(graph.shapes[name]) for name in node.input)
    rank = len(graph.shapes[node.output[0]])
    if min(left, right) < 2 or axis == rank - 1:  # noqa: PLR2004 - vectors, or a column of B
        return None
    left_axis, right_axis = axis - rank + left, axis - rank + right
    if axis == rank - 2:
        return [left_axis, None]
    return [left_axis if left_axis >= 0 else None, right_axis if right_axis >= 0 else None]


def _gemm(node: NodeProto, axis: int, graph: GraphShapes) -> RowAxes | None:
    if axis != 0 or _attribute(node, "transA", 0):
        return None
    has_bias = len(node.input) > 2 and node.input[2]  # noqa: PLR2004 - A, B, C
    bias_axis = 0 if has_bias and graph.rank(node.input[2]) == 2 else None  # noqa: PLR2004 - a matrix
    return [0, None, bias_axis][: len(node.input)]


def _transpose(node: NodeProto, axis: int, graph: GraphShapes) -> RowAxes:
    rank = len(graph.shapes[node.input[0]])
    has_order = _has_attribute(node, "perm")
    order = helper.get_node_attr_value(node, "perm") if has_order else range(rank)[::-1]
    return [order[axis]]


def _reshape(node: NodeProto, axis: int, graph: GraphShapes) -> RowAxes | None:
    if first_row_target(node, axis, graph) is None:
        return None
    source, target = graph.shapes[node.input[0]], graph.shapes[node.output[0]]
    return [_reshaped_axis(source, target, axis), None]


def _unsqueeze(node: NodeProto, axis: int, graph: GraphShapes) -> RowAxes | None:
    rank = len(graph.shapes[node.output[0]])
    added = constant_axes(node, graph, position=1, rank=rank)
    if added is None or axis in added:
        return None
    return _only_first(node, axis - sum(index < axis for index in added))


def _squeeze(node: NodeProto, axis: int, graph: GraphShapes) -> RowAxes | None:
    rank = len(graph.shapes[node.input[0]])
    removed = constant_axes(node, graph, position=1, rank=rank)
    if removed is None:
        return None
    return _only_first(node, [index for index in range(rank) if index not in removed][axis])


def _slice(node: NodeProto, axis: int, graph: GraphShapes) -> RowAxes | None:
    axes = constant_axes(node, graph, position=3, rank=len(graph.shapes[node.input[0]]))
    return None if axes is None or axis in axes else _only_first(node, axis)


def _gather(node: NodeProto, axis: int, graph: GraphShapes) -> RowAxes:
    gathered = node_axis(node, graph, default=0)
    index_rank = len(graph.shapes[node.input[1]])
    if axis < gathered:
        return [axis, None]
    if axis < gathered + index_rank:
        return [None, axis - gathered]
    return [axis - index_rank + 1, None]


def _gather_elements(node: NodeProto, axis: int, graph: GraphShapes) -> RowAxes:
    return [None if axis == node_axis(node, graph, default=0) else axis, axis]


def _concat(node: NodeProto, axis: int, graph: GraphShapes) -> RowAxes | None:
    if axis == node_axis(node, graph, default=0):
        return None
    return list[int | None]([axis]) * len(node.input)


def _expand(node: NodeProto, axis: int, graph: GraphShapes) -> RowAxes | None:
    source_axis = axis - len(graph.shapes[node.output[0]]) + len(graph.shapes[node.input[0]])
    return [source_axis if source_axis >= 0 else None, None]


_ELEMENTWISE = (
    "Abs Add And Cast Ceil Clip Cos Div Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual "
    "HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log Max Min Mish Mod "
    "Mul Neg Not Or PRelu Pow Reciprocal Relu Round Selu Sigmoid Sign Sin Softplus Softsign Sqrt "
    "Sub Sum Tanh Where Xor"
).split()

_RULES: dict[str, Callable[[NodeProto, int, GraphShapes], RowAxes | None]] = {
    **dict.fromkeys(_ELEMENTWISE, _elementwise),
    **dict.fromkeys(("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2"), _reduce),
    **dict.fromkeys(("Softmax", "LogSoftmax"), _softmax),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization"), _layer_normalization),
    "Concat": _concat,
    "Dropout": lambda node, axis, _: _only_first(node, axis),
    "Expand": _expand,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Reshape": _reshape,
    "Slice": _slice,
    "Split": _along_another_axis,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
