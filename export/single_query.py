"""Attention of a single query, without computing keys and values.

Once the last layer has one query only (see ``pruning``), its keys and values are read by one row:

    q (X Wk + bk)T = (q WkT) XT + q bkT        p (X Wv + bv) = (p X) Wv + bv, where p sums to 1

The right sides need a product of one row where the left ones need a product of all tokens. The
result is the same up to the rounding of fp32. Keys that depend on their position beyond what the
product gives, as rotary embeddings make them, are left alone.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import onnx
from onnx import NodeProto, helper

from .graph_shapes import GraphShapes, infer_graph_shapes
from .graph_writer import GraphWriter, captured_names

_SPLIT_RANK = 4
"""Rank of what is split by heads: (pairs, heads, rows, width of a head)."""

_VALUES = (0, 2, 1, 3)
"""How values (pairs, tokens, heads, width) are laid out for the product with probabilities."""

_KEYS = (0, 2, 3, 1)
"""How keys are laid out for the product with queries."""


def fold_single_query(model: onnx.ModelProto) -> int:
    """Fold the projections of keys and values into the single query that reads them, in place.

    Args:
        model: A plain fp32 graph with its weights, pruned to the first token.

    Returns:
        How many products of all tokens are gone.

    Raises:
        ExportError: onnxruntime cannot run the graph.
    """
    reader = _Reader(model, infer_graph_shapes(model))
    writer = GraphWriter(model, prefix="single_query")
    folded = 0
    for node in model.graph.node:
        projection = reader.projection(node)
        if projection is None:
            writer.nodes.append(node)
            continue
        fold = _fold_keys if projection.layout == _KEYS else _fold_values
        fold(writer, node, projection)
        folded += 1
    writer.finish()
    return folded


@dataclass(frozen=True, slots=True)
class _Projection:
    """Keys or values: tokens times weights plus a bias, split by heads."""

    layout: tuple[int, ...]
    """``_KEYS`` or ``_VALUES``."""
    tokens: str
    """float32, shape (pairs, tokens, width)."""
    weights: str
    """float32, shape (width, heads * head width)."""
    bias: str
    """float32, shape (heads * head width,), or empty."""
    width: int
    heads: int
    head_width: int


class _Reader:
    """Finds, for a product with a single row, the projection that it reads."""

    def __init__(self, model: onnx.ModelProto, shapes: GraphShapes) -> None:
        graph = model.graph
        self._shapes = shapes
        self._producers = {name: node for node in graph.node for name in node.output}
        self._readers = Counter(name for n in graph.node for name in [*n.input, *captured_names(n)])
        self._readers.update(value.name for value in graph.output)

    def projection(self, node: NodeProto) -> _Projection | None:
        """Give what ``node`` multiplies its single row by; None where it is anything else."""
        row = self._shapes.shapes.get(node.input[0], ()) if node.op_type == "MatMul" else ()
        if len(row) != _SPLIT_RANK or row[2] != 1:
            return None
        split, layout = self._split(node.input[1])
        sizes = self._shapes.shapes.get(split.output[0], ()) if split else ()
        if split is None or len(sizes) != _SPLIT_RANK or layout not in {_KEYS, _VALUES}:
            return None
        product, bias = self._biased_product(split.input[0])
        weights = self._shapes.shapes.get(product.input[1], ()) if product else ()
        match (*weights, *sizes[2:]):
            case (int(width), int(outputs), int(heads), int(head_width)):
                is_split_by_heads = outputs == heads * head_width
            case _:
                return None
        if product is None or not is_split_by_heads or self._shapes.rank(product.input[0]) != 3:  # noqa: PLR2004 - pairs, tokens, width
            return None
        if layout == _VALUES and bias and not self._is_softmax(node.input[0]):
            return None
        tokens, matrix = product.input
        return _Projection(layout, tokens, matrix, bias, width, heads, head_width)

    def _only_reader(self, tensor: str, operator: str) -> NodeProto | None:
        """Give the ``operator`` that makes a tensor which is read once."""
        node = self._producers.get(tensor)
        is_wanted = node is not None and node.op_type == operator and self._readers[tensor] == 1
        return node if is_wanted else None

    def _split(self, tensor: str) -> tuple[NodeProto | None, tuple[int, ...]]:
        """Give the Reshape behind any Transposes, and what order of axes they make together."""
        order = list(range(_SPLIT_RANK))
        while (node := self._only_reader(tensor, "Transpose")) is not None:
            inner: Sequence[int] = helper.get_node_attr_value(node, "perm")
            order = [inner[axis] for axis in order]
            tensor = node.input[0]
        return self._only_reader(tensor, "Reshape"), tuple(order)

    def _biased_product(self, tensor: str) -> tuple[NodeProto | None, str]:
        """Give the product behind a bias, if there is one, and the bias."""
        add = self._only_reader(tensor, "Add")
        if add is None:
            return self._only_reader(tensor, "MatMul"), ""
        for product, bias in (add.input, reversed(add.input)):
            node = self._only_reader(product, "MatMul")
            if node is not None and self._shapes.rank(bias) == 1:
                return node, bias
        return None, ""

    def _is_softmax(self, tensor: str) -> bool:
        node = self._producers.get(tensor)
        if node is None or node.op_type != "Softmax":
            return False
        return all(attribute.i in {-1, _SPLIT_RANK - 1} for attribute in node.attribute)


def _fold_keys(write: GraphWriter, node: NodeProto, keys: _Projection) -> None:
    (query, _), (scores,) = node.input, node.output
    weights = _by_heads(write, keys, order=(1, 2, 0))
    projected = write.node("MatMul", [query, weights], f"{scores}/projected")
    rows = write.node("Squeeze", [projected, write.indices([2])], f"{scores}/rows")
    tokens = write.node("Transpose", [keys.tokens], f"{keys.tokens}/transposed", perm=[0, 2, 1])
    products = write.node("MatMul", [rows, tokens], f"{scores}/products")
    inputs = [products, write.indices([2])]
    if not keys.bias:
        write.nodes.append(helper.make_node("Unsqueeze", inputs, [scores], node.name))
        return
    without_bias = write.node("Unsqueeze", inputs, f"{scores}/without_bias")
    shape = write.indices([keys.heads, keys.head_width, 1])
    column = write.node("Reshape", [keys.bias, shape], f"{keys.bias}/column")
    bias = write.node("MatMul", [query, column], f"{scores}/bias")
    write.nodes.append(helper.make_node("Add", [without_bias, bias], [scores], node.name))


def _fold_values(write: GraphWriter, node: NodeProto, values: _Projection) -> None:
    (probabilities, _), (output,) = node.input, node.output
    rows = write.node("Squeeze", [probabilities, write.indices([2])], f"{output}/rows")
    means = write.node("MatMul", [rows, values.tokens], f"{output}/means")
    split = write.node("Unsqueeze", [means, write.indices([2])], f"{output}/split")
    inputs = [split, _by_heads(write, values, order=(1, 0, 2))]
    if not values.bias:
        write.nodes.append(helper.make_node("MatMul", inputs, [output], node.name))
        return
    without_bias = write.node("MatMul", inputs, f"{output}/without_bias")
    shape = write.indices([values.heads, 1, values.head_width])
    bias = write.node("Reshape", [values.bias, shape], f"{values.bias}/row")
    write.nodes.append(helper.make_node("Add", [without_bias, bias], [output], node.name))


def _by_heads(write: GraphWriter, projection: _Projection, *, order: Sequence[int]) -> str:
    """Give the weights with an axis of heads in front; onnxruntime computes it once, at load."""
    name = f"{projection.weights}/by_heads"
    shape = write.indices([projection.width, projection.heads, projection.head_width])
    split = write.node("Reshape", [projection.weights, shape], name)
    suffix = "_".join(map(str, order))
    return write.node("Transpose", [split], f"{name}/{suffix}", perm=order)
