"""Graphs without the mask of padding: the same logits for whole pairs, at every length."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from ranklet.export.masking import drop_padding_mask
from ranklet.export.pruning import prune_to_first_token

Feed = dict[str, NDArray[np.int64]]
FamilyGraph = Callable[..., Path]
Logits = Callable[[Any, Sequence[Feed]], NDArray[np.float32]]

pytestmark = pytest.mark.torch

WINDOW_TOKENS = 80

# One in each of three layers. DeBERTa also blanks its embeddings; ModernBERT's
# second layer reads its neighbours alone, which the mask has to tell it.
_OPERATORS = {
    "bert": 3,
    "roberta": 3,
    "distilbert": 3,
    "electra": 3,
    "mpnet": 3,
    "albert": 3,
    "deberta-v2": 4,
    "modernbert": 2,
}


@pytest.mark.parametrize(("family", "operators"), _OPERATORS.items())
def test_whole_pairs_have_the_same_logits(
    family: str,
    operators: int,
    family_graph: FamilyGraph,
    batches: list[Feed],
    logits: Logits,
) -> None:
    model = onnx.load(family_graph(family))
    prune_to_first_token(model)
    pairs = [feed for feed in batches if len(feed["input_ids"]) == 1]
    expected = logits(model.SerializeToString(), pairs)
    assert drop_padding_mask(model, window_tokens=WINDOW_TOKENS) == operators
    onnx.checker.check_model(model, full_check=True)
    np.testing.assert_array_equal(logits(model.SerializeToString(), pairs), expected)


def test_padding_is_no_longer_left_out(
    family_graph: FamilyGraph, batches: list[Feed], logits: Logits
) -> None:
    model = onnx.load(family_graph("bert"))
    padded = [feed for feed in batches if not feed["attention_mask"].all()]
    expected = logits(model.SerializeToString(), padded)
    drop_padding_mask(model, window_tokens=WINDOW_TOKENS)
    found = logits(model.SerializeToString(), padded)
    assert padded
    assert np.abs(found - expected).max() > 0.01 * expected.std()


def test_nothing_is_tried_on_long_windows(family_graph: FamilyGraph) -> None:
    model = onnx.load(family_graph("bert"))
    nodes = len(model.graph.node)
    assert drop_padding_mask(model, window_tokens=8192) == 0
    assert len(model.graph.node) == nodes
