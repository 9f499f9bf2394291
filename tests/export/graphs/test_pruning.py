from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import helper

from ranklet.export.pruning import prune_to_first_token

Feed = dict[str, NDArray[np.int64]]
FamilyGraph = Callable[..., Path]
Logits = Callable[[Any, Sequence[Feed]], NDArray[np.float32]]

# Queries, their products with the weights and the bias of the keys, values, attention output and
# the two products of the feed-forward. ModernBERT rotates its keys and makes them with the queries,
# DeBERTa scores queries against positions, too: both keep their keys.
_ROW_PRODUCTS = {
    "bert": 7,
    "roberta": 7,
    "xlm-roberta": 7,
    "camembert": 7,
    "distilbert": 7,
    "electra": 7,
    "mpnet": 7,
    "albert": 7,
    "deberta-v2": 7,
    "modernbert": 5,
}


_CASES = [
    *((family, "eager", products) for family, products in _ROW_PRODUCTS.items()),
    # sdpa scales its keys, which are not folded then.
    *((family, "sdpa", 6) for family in ("bert", "roberta", "distilbert", "albert")),
    ("modernbert", "sdpa", 5),
]


@pytest.mark.torch
@pytest.mark.parametrize("case", _CASES, ids=str)
def test_pruned_graph_gives_the_same_logits(
    case: tuple[str, str, int],
    family_graph: FamilyGraph,
    batches: list[Feed],
    logits: Logits,
) -> None:
    family, attention, products = case
    path = family_graph(family, attention=attention)
    model = onnx.load(path)
    assert prune_to_first_token(model)
    onnx.checker.check_model(model, full_check=True)
    expected = logits(path, batches)
    found = logits(model.SerializeToString(), batches)
    assert np.abs(found - expected).max() < 1e-5 * expected.std()
    assert _row_products(model, batches[-1]) == products


def _row_products(model: onnx.ModelProto, feed: Feed) -> int:
    """Count the matrix products of three and more axes that compute a single row."""
    products = [node.output[0] for node in model.graph.node if node.op_type == "MatMul"]
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    exposed.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in products)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(exposed.SerializeToString(), options)
    names = [value.name for value in session.get_inputs()]
    outputs = session.run(products, {name: feed[name] for name in names})
    return sum(output.ndim > 2 and output.shape[-2] == 1 for output in outputs)


@pytest.mark.torch
def test_head_that_pools_by_mean_is_left_alone(family_graph: FamilyGraph) -> None:
    model = onnx.load(family_graph("modernbert-mean"))
    before = model.SerializeToString()
    assert not prune_to_first_token(model)
    assert model.SerializeToString() == before


@pytest.mark.torch
def test_single_layer_is_pruned_down_to_the_embeddings(
    family_graph: FamilyGraph, batches: list[Feed], logits: Logits
) -> None:
    path = family_graph("bert", num_hidden_layers=1)
    model = onnx.load(path)
    assert prune_to_first_token(model)
    expected = logits(path, batches)
    found = logits(model.SerializeToString(), batches)
    assert np.abs(found - expected).max() < 1e-5 * expected.std()


def test_graph_that_does_not_run_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    node = helper.make_node("Mystery", ["input_ids"], ["logits"], domain="somewhere.else")
    ids = helper.make_tensor_value_info("input_ids", onnx.TensorProto.INT64, ["pairs", "tokens"])
    logits = helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["pairs", 1])
    model = helper.make_model(helper.make_graph([node], "graph", [ids], [logits]))
    assert not prune_to_first_token(model)
    assert "is not pruned" in caplog.text
