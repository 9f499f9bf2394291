"""Graphs around single operators: ``hidden`` is a matrix product, the head reads one token."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from ranklet.export.pruning import prune_to_first_token

Feed = dict[str, NDArray[np.int64]]
Logits = Callable[[Any, Sequence[Feed]], NDArray[np.float32]]

_WIDTH = 6
_IDS: list[Feed] = [
    {"input_ids": np.random.default_rng(2).integers(0, 20, shape)} for shape in ((1, 5), (3, 4))
]
_CONSTANTS = {
    "zeroth": [0],
    "first": [1],
    "second": [2],
    "minus_one": [-1],
    "minus_many": [-(2**62)],
    "many": [2**62],
    "heads": [0, 0, 2, 3],
    "merged": [0, 0, _WIDTH],
    "flat": [-1, _WIDTH],
    "halves": [3, 3],
    "doubled": [1, 2, 1, 1],
    "index": [5, 0, 1, 2, 3, 4],
}


def _graph(body: str, *, outputs: str = "") -> onnx.ModelProto:
    model = onnx.parser.parse_model(f"""
        <ir_version: 9, opset_import: ["": 18]>
        graph (int64[pairs, tokens] input_ids) => (float[pairs, {_WIDTH}] logits {outputs}) {{
            zero = Constant <value = int64 {{0}}> ()
            embedded = Gather (table, input_ids)
            hidden = MatMul (embedded, weights)
            {body}
        }}
    """)
    random = np.random.default_rng(1)
    for name, rows in {"table": 20, "weights": _WIDTH, "more_weights": _WIDTH}.items():
        values = random.normal(size=(rows, _WIDTH)).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(values, name))
    for name, ints in _CONSTANTS.items():
        model.graph.initializer.append(numpy_helper.from_array(np.array(ints, np.int64), name))
    return model


def _rows(model: onnx.ModelProto, tensor: str) -> int:
    """Count the rows of a tensor when the graph runs on 5 tokens."""
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    exposed.graph.output.append(helper.make_empty_tensor_value_info(tensor))
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(exposed.SerializeToString(), options)
    return int(session.run([tensor], _IDS[0])[0].shape[1])


_PUSHED_UP = {
    "nothing": "final = Identity (hidden)",
    "a residual": "sum = Add (embedded, hidden) final = Relu (sum)",
    "a broadcast": """
        row = ReduceMax <keepdims = 0> (embedded, first)
        wide = Unsqueeze (row, first)
        final = Add (wide, hidden)""",
    "softmax of the width": "final = Softmax <axis = -1> (hidden)",
    "mean of the width": """
        mean = ReduceMean (hidden, second)
        final = Sub (hidden, mean)""",
    "sum of the width, dropped": """
        sum = ReduceSum <keepdims = 0> (hidden, minus_one)
        wide = Unsqueeze (sum, second)
        final = Mul (wide, embedded)""",
    "a transposition": """
        turned = Transpose <perm = [1, 0, 2]> (hidden)
        same = Neg (turned)
        final = Transpose <perm = [1, 0, 2]> (same)""",
    "heads": """
        split = Reshape (hidden, heads)
        turned = Transpose <perm = [0, 2, 1, 3]> (split)
        same = Neg (turned)
        back = Transpose <perm = [0, 2, 1, 3]> (same)
        final = Reshape (back, merged)""",
    "an added axis": """
        wide = Unsqueeze (hidden, first)
        same = Neg (wide)
        final = Squeeze (same, first)""",
    "halves": """
        left, right = Split <axis = -1> (hidden, halves)
        final = Concat <axis = -1> (right, left)""",
    "a slice of the width": """
        part = Slice (hidden, zeroth, second, second)
        other = Slice (embedded, second, many, second)
        final = Concat <axis = 2> (part, other)""",
    "a choice of the width": "final = Gather <axis = 2> (hidden, index)",
    "a shape that is read": """
        shape = Shape (hidden)
        ones = ConstantOfShape <value = float[1] {1}> (shape)
        final = Add (hidden, ones)""",
    "a part of the shape that is read": """
        tokens = Shape <start = 1, end = 2> (hidden)
        count = Cast <to = 1> (tokens)
        final = Div (hidden, count)""",
    "expansion": """
        wide = Unsqueeze (hidden, first)
        double = Expand (wide, doubled)
        final = ReduceSum <keepdims = 0> (double, first)""",
    "a choice": """
        positive = Greater (hidden, embedded)
        final = Where (positive, hidden, embedded)""",
    "attention": """
        keys = Transpose <perm = [0, 2, 1]> (embedded)
        scores = MatMul (hidden, keys)
        shares = Softmax <axis = -1> (scores)
        final = MatMul (shares, embedded)""",
    "clipping": """
        low = Constant <value = float {-0.5}> ()
        high = Constant <value = float {0.5}> ()
        final = Clip (hidden, low, high)""",
}


@pytest.mark.parametrize("select", ["Gather <axis = 1> (after, zero)", "_slice"])
@pytest.mark.parametrize("body", _PUSHED_UP.values(), ids=_PUSHED_UP)
def test_selection_moves_up_through(body: str, select: str, logits: Logits) -> None:
    if select == "_slice":
        select = "Squeeze (token, first)"
        body += " after = Identity (final) token = Slice (after, zeroth, first, first)"
    else:
        body += " after = Identity (final)"
    model = _graph(f"{body} logits = {select}")
    expected = logits(model.SerializeToString(), _IDS)
    assert prune_to_first_token(model)
    onnx.checker.check_model(model, full_check=True)
    assert _rows(model, "hidden") == 1
    found = logits(model.SerializeToString(), _IDS)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


_HELD_UP = {
    "softmax of the tokens": "final = Softmax <axis = 1> (hidden)",
    "a sum of later tokens": "final = CumSum <reverse = 1> (hidden, first)",
    "mean of the tokens": """
        mean = ReduceMean (hidden, first)
        final = Add (mean, embedded)""",
    "tokens that are joined": """
        both = Concat <axis = 1> (embedded, hidden)
        count = Shape <start = 1, end = 2> (input_ids)
        later = Slice (both, count, many, first)
        final = Add (later, embedded)""",
    "tokens in reverse": "final = Slice (hidden, minus_one, minus_many, first, minus_one)",
    "tokens that are chosen": """
        third = Gather <axis = 1> (hidden, second)
        final = Add (third, embedded)""",
    "tokens and pairs as one axis": """
        rows = Reshape (hidden, flat)
        same = Neg (rows)
        shape = Shape (embedded)
        final = Reshape (same, shape)""",
    "tokens as columns": """
        turned = Transpose <perm = [0, 2, 1]> (hidden)
        shares = Softmax <axis = -1> (turned)
        final = Transpose <perm = [0, 2, 1]> (shares)""",
    "normalization of all": "final = LayerNormalization <axis = 1> (hidden, one)",
    "an operator without a rule": "final = Celu (hidden)",
    "a branch that reads it": """
        yes = Constant <value = bool {1}> ()
        final = If (yes) <
            then_branch = inside () => (float[a, b, c] one_way) { one_way = Neg (hidden) },
            else_branch = inside () => (float[a, b, c] other_way) { other_way = Abs (hidden) }
        >""",
}


@pytest.mark.parametrize("body", _HELD_UP.values(), ids=_HELD_UP)
def test_selection_stays_below(body: str, logits: Logits) -> None:
    select = "after = MatMul (final, more_weights) logits = Gather <axis = 1> (after, zero)"
    model = _graph(f"{body} {select}")
    model.graph.initializer.append(numpy_helper.from_array(np.ones(1, np.float32), "one"))
    expected = logits(model.SerializeToString(), _IDS)
    assert prune_to_first_token(model)
    assert _rows(model, "hidden") == 5
    assert _rows(model, "after") == 1
    found = logits(model.SerializeToString(), _IDS)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_nothing_is_pruned_where_all_tokens_are_an_output() -> None:
    model = _graph("logits = Gather <axis = 1> (hidden, zero)", outputs=", float[p, t, w] hidden")
    assert not prune_to_first_token(model)


def test_nothing_is_pruned_where_another_token_is_read() -> None:
    assert not prune_to_first_token(_graph("logits = Gather <axis = 1> (hidden, minus_one)"))


def test_token_and_mean_together_keep_all_rows(logits: Logits) -> None:
    body = """
        after = MatMul (hidden, more_weights)
        token = Gather <axis = 1> (after, zero)
        mean = ReduceMean <keepdims = 0> (hidden, first)
        logits = Add (token, mean)"""
    model = _graph(body)
    expected = logits(model.SerializeToString(), _IDS)
    assert prune_to_first_token(model)
    assert (_rows(model, "hidden"), _rows(model, "after")) == (5, 1)
    np.testing.assert_allclose(logits(model.SerializeToString(), _IDS), expected, rtol=1e-5)
