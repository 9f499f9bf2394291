"""Attention of a single query, on graphs made by hand: what is folded and what is left alone."""

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from ranklet.export.single_query import fold_single_query

_HEADS, _HEAD_WIDTH = 4, 8
_WIDTH = _HEADS * _HEAD_WIDTH
_KEYS, _VALUES = [0, 2, 3, 1], [0, 2, 1, 3]


def test_keys_and_values_are_folded() -> None:
    model = _attention([*_projection("keys", _KEYS), *_projection("values", _VALUES)])
    assert _folded(model) == 2


def test_keys_that_are_transposed_twice_are_folded() -> None:
    nodes = _projection("heads", _VALUES)
    nodes.append(helper.make_node("Transpose", ["heads"], ["keys"], perm=[0, 1, 3, 2]))
    model = _attention([*nodes, *_projection("values", _VALUES)])
    assert _folded(model) == 2


def test_projections_without_bias_are_folded() -> None:
    model = _attention(
        [*_projection("keys", _KEYS, bias=""), *_projection("values", _VALUES, bias="")]
    )
    assert _folded(model) == 2


def test_keys_that_something_else_reads_are_left_alone() -> None:
    nodes = [*_projection("keys", _KEYS), *_projection("values", _VALUES)]
    assert _folded(_attention(nodes, outputs=["output", "keys"])) == 1


def test_biased_values_are_left_alone_where_weights_do_not_sum_to_one() -> None:
    nodes = [*_projection("keys", _KEYS), *_projection("values", _VALUES)]
    assert _folded(_attention(nodes, normalize="Sigmoid")) == 1


def test_softmax_over_heads_is_no_softmax_over_tokens() -> None:
    nodes = [*_projection("keys", _KEYS), *_projection("values", _VALUES)]
    assert _folded(_attention(nodes, softmax_axis=1)) == 1


def test_keys_changed_by_their_position_are_left_alone() -> None:
    rotated = helper.make_node("Mul", ["plain", "angles"], ["keys"])
    nodes = [*_projection("plain", _KEYS), rotated, *_projection("values", _VALUES)]
    assert _folded(_attention(nodes)) == 1


def test_more_queries_than_one_are_left_alone() -> None:
    nodes = [*_projection("keys", _KEYS), *_projection("values", _VALUES)]
    assert _folded(_attention(nodes, queries=2)) == 0


def _projection(name: str, order: list[int], *, bias: str = "bias") -> list[NodeProto]:
    """Multiply the tokens by weights and split the result by heads."""
    product = helper.make_node("MatMul", ["tokens", "weights"], [f"{name}/product"])
    split = helper.make_node("Reshape", [f"{name}/projected", "split"], [f"{name}/split"])
    transposed = helper.make_node("Transpose", [f"{name}/split"], [name], perm=order)
    if bias:
        added = helper.make_node("Add", [bias, f"{name}/product"], [f"{name}/projected"])
        return [product, added, split, transposed]
    product.output[0] = f"{name}/projected"
    return [product, split, transposed]


def _attention(
    projections: Sequence[NodeProto],
    *,
    outputs: Sequence[str] = ("output",),
    normalize: str = "Softmax",
    softmax_axis: int = -1,
    queries: int = 1,
) -> onnx.ModelProto:
    normalization = helper.make_node(normalize, ["scores"], ["shares"])
    if normalize == "Softmax":
        normalization.attribute.append(helper.make_attribute("axis", softmax_axis))
    nodes = [
        *projections,
        helper.make_node("MatMul", ["query", "keys"], ["scores"]),
        normalization,
        helper.make_node("MatMul", ["shares", "values"], ["output"]),
    ]
    random = np.random.default_rng(1)
    constants = {
        "weights": random.standard_normal((_WIDTH, _WIDTH)).astype(np.float32),
        "bias": random.standard_normal(_WIDTH).astype(np.float32),
        "angles": random.standard_normal((_HEAD_WIDTH, 1)).astype(np.float32),
        "split": np.array([0, 0, _HEADS, _HEAD_WIDTH]),
    }
    inputs = [
        helper.make_tensor_value_info("tokens", TensorProto.FLOAT, ["pairs", "tokens", _WIDTH]),
        helper.make_tensor_value_info(
            "query", TensorProto.FLOAT, ["pairs", _HEADS, queries, _HEAD_WIDTH]
        ),
    ]
    tensors = [numpy_helper.from_array(values, name) for name, values in constants.items()]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(nodes, "attention", inputs, results, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _folded(model: onnx.ModelProto) -> int:
    """Fold ``model``, check that it gives what it gave, and say how many products are gone."""
    random = np.random.default_rng(2)
    queries = model.graph.input[1].type.tensor_type.shape.dim[2].dim_value
    feed = {
        "tokens": random.standard_normal((2, 9, _WIDTH)).astype(np.float32),
        "query": random.standard_normal((2, _HEADS, queries, _HEAD_WIDTH)).astype(np.float32),
    }
    expected = _run(model, feed)
    folded = fold_single_query(model)
    for found, original in zip(_run(model, feed), expected, strict=True):
        np.testing.assert_allclose(found, original, rtol=1e-4, atol=1e-4)
    return folded


def _run(model: onnx.ModelProto, feed: dict[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feed)
