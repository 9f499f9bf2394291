"""Verification has to pass what is right and to fail what is wrong, by a wide margin."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from ranklet.export.errors import ExportError
from ranklet.export.verification import MAX_DIFFERENCE_FP32, rank_agreement, verify_graph
from ranklet.export.verification_text import load_pairs
from ranklet.runtime.manifest import Precision
from ranklet.runtime.sessions import cuda_is_available
from ranklet.runtime.tokenization import PairEncoder

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Feed = dict[str, NDArray[np.int64]]

ROOT = Path(__file__).parents[3]
_LAYERS = 3


@dataclass(frozen=True, slots=True)
class Original:
    graph: Path
    feeds: list[Feed]
    """Every pair is padded, so that a mask that is ignored shows."""
    logits: NDArray[np.float32]
    """Those of the torch model."""


@pytest.fixture(scope="module")
def original(
    family_model: Callable[..., "PreTrainedModel"], family_graph: Callable[..., Path]
) -> Original:
    from ranklet.export.torch_model import torch_logits

    random = np.random.default_rng(9)
    feeds: list[Feed] = []
    for tokens in random.integers(8, 60, 40):
        ids = random.integers(5, 120, (1, tokens + 10))
        positions = np.arange(tokens + 10, dtype=np.int64).reshape(1, -1)
        segments = np.array(positions >= tokens // 3, np.int64)
        mask = np.array(positions < tokens, np.int64)
        feeds.append({"input_ids": ids, "attention_mask": mask, "token_type_ids": segments})
    logits = np.array(list(torch_logits(family_model("bert"), feeds)), np.float32)
    return Original(family_graph("bert"), feeds, logits)


def _verify(original: Original, graph: Path, precision: Precision) -> tuple[bool, float]:
    report = verify_graph(graph, original.feeds, original.logits, precision=precision)
    return report.passed, report.max_difference


@pytest.mark.torch
def test_right_graph_passes(original: Original) -> None:
    progress: list[None] = []
    report = verify_graph(
        original.graph,
        original.feeds,
        original.logits,
        precision="fp32",
        session_options={"session.x64quantprecision": "1"},
        on_run=lambda: progress.append(None),
    )
    assert report.passed
    assert report.mean_difference <= report.max_difference <= MAX_DIFFERENCE_FP32 / 3
    assert report.kendall_tau > 0.999
    assert report.session_options == {"session.x64quantprecision": "1"}
    assert len(progress) == len(original.feeds)


def _zero_segments(model: onnx.ModelProto) -> None:
    _replace_input(model, "token_type_ids", "Sub", "token_type_ids")


def _ignore_mask(model: onnx.ModelProto) -> None:
    _replace_input(model, "attention_mask", "Equal", "attention_mask")


def _replace_input(model: onnx.ModelProto, name: str, operator: str, other: str) -> None:
    """Let every reader of an input read the result of an operator on it instead."""
    for node in model.graph.node:
        for position, read in enumerate(node.input):
            if read == name:
                node.input[position] = "replaced"
    cast = helper.make_node("Cast", ["raw"], ["replaced"], to=TensorProto.INT64)
    model.graph.node.insert(0, cast)
    model.graph.node.insert(0, helper.make_node(operator, [name, other], ["raw"]))


def _drop_layer(model: onnx.ModelProto) -> None:
    """Let the last layer read what the one before it reads."""
    norm = "/bert/encoder/layer.{}/output/LayerNorm/LayerNormalization_output_0"
    for node in model.graph.node:
        for position, read in enumerate(node.input):
            if read == norm.format(_LAYERS - 2):
                node.input[position] = norm.format(_LAYERS - 3)


@pytest.mark.torch
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("mutate", [_zero_segments, _ignore_mask, _drop_layer])
def test_wrong_graph_fails(
    mutate: Callable[[onnx.ModelProto], None],
    precision: Precision,
    original: Original,
    tmp_path: Path,
) -> None:
    model = onnx.load(original.graph)
    mutate(model)
    onnx.save(model, tmp_path / "wrong.onnx")
    passed, max_difference = _verify(original, tmp_path / "wrong.onnx", precision)
    assert not passed
    assert max_difference > 1000 * MAX_DIFFERENCE_FP32


@pytest.mark.torch
@pytest.mark.skipif(cuda_is_available(), reason="a GPU may be there")
def test_without_a_gpu_16_bits_are_compared_on_the_cpu(
    original: Original, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where onnxruntime-gpu is installed and cannot load CUDA's libraries."""
    monkeypatch.setattr("ranklet.export.verification.cuda_is_available", lambda: True)
    passed, max_difference = _verify(original, original.graph, "fp16")
    assert passed
    assert max_difference < MAX_DIFFERENCE_FP32


@pytest.mark.torch
def test_graph_of_another_checkpoint_fails(
    original: Original, family_graph: Callable[..., Path]
) -> None:
    for precision in ("fp32", "fp16", "int8"):
        assert not _verify(original, family_graph("bert", type_vocab_size=3), precision)[0]


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        ("logits = Div (zeros, zeros)", "1, n"),
        ("logits = Concat <axis = 1> (zeros, zeros)", "1, n"),
    ],
    ids=["not a number", "two numbers"],
)
def test_what_is_not_one_finite_logit_is_an_error(body: str, shape: str, tmp_path: Path) -> None:
    model = onnx.parser.parse_model(f"""
        <ir_version: 9, opset_import: ["": 18]>
        graph (int64[1, n] input_ids) => (float[{shape}] logits) {{
            floats = Cast <to = 1> (input_ids)
            zeros = Sub (floats, floats)
            {body}
        }}
    """)
    onnx.save(model, tmp_path / "graph.onnx")
    feed = {"input_ids": np.ones((1, 1), np.int64)}
    with pytest.raises(ExportError, match="instead of one finite logit"):
        verify_graph(tmp_path / "graph.onnx", [feed], np.zeros(1, np.float32), precision="int8")


def test_rank_agreement_knows_order_reversal_and_ties() -> None:
    logits = np.array([0.5, -1, 3, 2], np.float32)
    assert rank_agreement(logits * 2 + 1, logits) == pytest.approx(1)
    assert rank_agreement(-logits, logits) == pytest.approx(-1)
    assert rank_agreement(np.zeros(4, np.float32), logits) == 0


@pytest.mark.parametrize("count", [32, 64, 200])
def test_any_beginning_of_the_verification_text_has_all_lengths(count: int) -> None:
    encoder = PairEncoder.from_file(ROOT / "models/ranklet-mini/tokenizer.json", window_tokens=512)
    pairs = load_pairs(count)
    assert len(pairs) == count
    lengths = [
        encoder.encode_pair(encoder.encode_query(query), document).ids.size
        for query, document in pairs
    ]
    assert min(lengths) < 25
    assert sum(length < 64 for length in lengths) >= count / 8
    assert sum(64 <= length < 256 for length in lengths) >= count / 8
    assert sum(length == 512 for length in lengths) >= count / 16


def test_verification_text_repeats_no_pair() -> None:
    pairs = load_pairs()
    assert len(set(pairs)) == len(pairs) == 256
    assert all(query.strip() and document.strip() for query, document in pairs)
    assert load_pairs(None) == pairs
