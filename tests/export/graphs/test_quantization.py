from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from ranklet.export.int8_graph import quantize_graph
from ranklet.export.int8_weights import quantize_columns, quantize_rows
from ranklet.export.pruning import prune_to_first_token
from ranklet.export.quantization import VARIANTS, build_variant
from ranklet.export.recipes import RECIPES
from ranklet.export.verification import MAX_DIFFERENCE_FP16, rank_agreement
from ranklet.runtime.bundle import suitable_variants
from ranklet.runtime.processor import Processor
from ranklet.runtime.sessions import EXACT_PRODUCTS, cpu_settings

Feed = dict[str, NDArray[np.int64]]
FamilyGraph = Callable[..., Path]
Logits = Callable[[Any, Sequence[Feed]], NDArray[np.float32]]

# Wide enough for matrices that are worth quantizing, and as narrow in their weights as a model that
# was trained: what is drawn wider is chaotic, and no 8 bits follow it.
_WIDE = {"hidden_size": 128, "intermediate_size": 256, "vocab_size": 400}
_SIZES = {
    "bert": _WIDE,
    "roberta": _WIDE,
    "distilbert": {"dim": 128, "hidden_dim": 256, "vocab_size": 400},
    "electra": _WIDE,
    "mpnet": _WIDE,
    "albert": _WIDE,
    "deberta-v2": _WIDE | {"pooler_hidden_size": 128},
    "modernbert": _WIDE,
}
_WINDOW_TOKENS = 80
_PRODUCTS = dict.fromkeys(_SIZES, 17) | {"deberta-v2": 25, "modernbert": 13}
"""3 layers have 6 each, the head one. Keys and values of the last layer are folded away, but for
DeBERTa, which also projects positions; ModernBERT makes queries, keys and values in one product."""


@pytest.fixture(scope="module")
def pairs() -> list[Feed]:
    """One pair a batch, as the runtime scores them."""
    random = np.random.default_rng(5)
    feeds: list[Feed] = []
    for tokens in random.integers(3, 79, 60):
        ids = random.integers(5, 400, (1, tokens))
        segments = np.array(np.arange(tokens) >= tokens // 2, np.int64)[np.newaxis]
        feeds.append(
            {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": segments}
        )
    return feeds


@pytest.mark.torch
@pytest.mark.parametrize("family", _SIZES)
def test_int8_graph_ranks_as_the_original(
    family: str, family_graph: FamilyGraph, pairs: list[Feed], logits: Logits
) -> None:
    source = family_graph(family, **_SIZES[family], initializer_range=0.1)
    model = onnx.load(source)
    prune_to_first_token(model)
    products = quantize_graph(model, weight_bits=8)
    assert products == _PRODUCTS[family]
    onnx.checker.check_model(model)
    found = logits(model.SerializeToString(), pairs).ravel()
    assert rank_agreement(found, logits(source, pairs).ravel()) > 0.93


@pytest.mark.torch
def test_batches_and_padding_work_in_int8(
    family_graph: FamilyGraph, pairs: list[Feed], logits: Logits
) -> None:
    source = family_graph("bert", **_SIZES["bert"], initializer_range=0.1)
    model = onnx.load(source)
    quantize_graph(model, weight_bits=8)
    tokens = 80
    batch = {
        name: np.concatenate([_padded(feed[name], tokens) for feed in pairs[:8]])
        for name in pairs[0]
    }
    expected = logits(source, pairs)
    found = logits(model.SerializeToString(), [batch])
    assert np.abs(found - expected[:8]).mean() < 0.2 * expected.std()


def _padded(ids: NDArray[np.int64], tokens: int) -> NDArray[np.int64]:
    return np.pad(ids, ((0, 0), (0, tokens - ids.shape[1])))


@pytest.mark.torch
def test_shared_layers_stay_shared(family_graph: FamilyGraph) -> None:
    model = onnx.load(family_graph("albert", **_SIZES["albert"]))
    quantize_graph(model, weight_bits=8)
    matrices = [t for t in model.graph.initializer if t.data_type == TensorProto.INT8]
    layer = 4 * 128 * 128 + 2 * 128 * 256
    assert sum(len(tensor.raw_data) for tensor in matrices) == layer + 128 * 128  # and the head


@pytest.mark.torch
def test_no_recipe_logs_into_the_progress(
    family_graph: FamilyGraph, caplog: pytest.LogCaptureFixture
) -> None:
    source = family_graph("bert", **_SIZES["bert"])
    for recipe in RECIPES.values():
        recipe.quantize(onnx.load(source), 8)
    assert caplog.records == []


def test_variants_are_called_as_the_runtime_calls_them() -> None:
    processor = Processor("x86_64", frozenset({"avx2", "avx512_vnni"}))
    assert suitable_variants(processor, cuda=True) == ("fp16", "int8", "fp32")
    old = Processor("x86_64", frozenset({"avx2"}))
    assert suitable_variants(old) == ("int8-avx2", "fp32")
    named = {spec.processors: name for name, spec in VARIANTS.items()}
    assert named == {"cuda": "fp16", "int8-dot": "int8", "avx2": "int8-avx2", "any": "fp32"}


@pytest.mark.torch
def test_fp16_graph_stays_close(
    family_graph: FamilyGraph, pairs: list[Feed], logits: Logits, tmp_path: Path
) -> None:
    source = family_graph("bert", **_SIZES["bert"], initializer_range=0.1)
    (graph,) = build_variant(
        VARIANTS["fp16"],
        RECIPES["token"],
        window_tokens=_WINDOW_TOKENS,
        source=source,
        target=tmp_path / "fp16.onnx",
    )
    assert graph.stat().st_size < 0.6 * source.stat().st_size
    expected = logits(source, pairs)
    assert np.abs(logits(graph, pairs) - expected).max() < MAX_DIFFERENCE_FP16 * expected.std()


@pytest.mark.torch
@pytest.mark.parametrize("name", ["fp32", "int8", "int8-avx2"])
def test_variants_are_built_alike_each_time(
    name: str, family_graph: FamilyGraph, tmp_path: Path
) -> None:
    source = family_graph("bert", **_SIZES["bert"])
    first, second = (
        build_variant(
            VARIANTS[name],
            RECIPES["token"],
            window_tokens=_WINDOW_TOKENS,
            source=source,
            target=tmp_path / folder / "graph.onnx",
        )
        for folder in _folders(tmp_path)
    )
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert sorted(first) == sorted((tmp_path / "a").iterdir())
    assert [path.name for path in first] == ["graph.onnx", "graph.onnx.data"]
    assert {path.stat().st_mode for path in first} == {source.stat().st_mode}


def _folders(parent: Path) -> list[str]:
    for name in ("a", "b"):
        (parent / name).mkdir()
    return ["a", "b"]


_WIDTH = 256


def _product(*, gelu: bool = False, opset: int = 18) -> onnx.ModelProto:
    """A graph that multiplies its input, perhaps after GELU, by a constant matrix."""
    gelu_nodes = """
        half = Constant <value = float {0.5}> ()
        one = Constant <value = float {1.0}> ()
        root = Constant <value = float {1.4142135}> ()
        quotient = Div (activations, root)
        error = Erf (quotient)
        sum = Add (error, one)
        product = Mul (activations, sum)
        rows = Mul (product, half)
    """
    model = onnx.parser.parse_model(f"""
        <ir_version: 8, opset_import: ["": {opset}]>
        graph (float[pairs, tokens, {_WIDTH}] activations) => (float[pairs, tokens, 64] output) {{
            {gelu_nodes if gelu else "rows = Identity (activations)"}
            output = MatMul (rows, weights)
        }}
    """)
    weights = np.random.default_rng(0).normal(size=(_WIDTH, 64)).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weights, "weights"))
    return model


def _run(model: onnx.ModelProto, activations: NDArray[np.float32]) -> NDArray[np.float32]:
    import onnxruntime as ort

    exact = cpu_settings(EXACT_PRODUCTS)  # of no effect where the processor does it anyway
    session = ort.InferenceSession(
        model.SerializeToString(), exact, providers=["CPUExecutionProvider"]
    )
    output: NDArray[np.float32] = session.run(None, {"activations": activations})[0]
    return output


@pytest.mark.parametrize("gelu", [False, True])
@settings(max_examples=25, deadline=None)
@given(
    scale=st.floats(1e-3, 1e4),
    outlier=st.floats(1, 1e4),
    tokens=st.integers(1, 20),
    seed=st.integers(0, 100),
)
def test_large_activations_of_one_token_leave_the_others_exact(
    gelu: bool, scale: float, outlier: float, tokens: int, seed: int
) -> None:
    drawn = np.random.default_rng(seed).normal(size=(1, tokens, _WIDTH)) * scale
    drawn[:, 0] *= outlier
    activations = drawn.astype(np.float32)
    model = _product(gelu=gelu)
    expected = _run(model, activations)
    assert quantize_graph(model, weight_bits=8) == 1
    found = _run(model, activations)
    errors = np.linalg.norm(found - expected, axis=-1)
    finest = 0.2 if gelu else 0.0  # what is lost of rows that are nearly zero
    assert (errors <= 0.04 * np.linalg.norm(expected, axis=-1) + finest).all()


def test_rows_of_zeros_give_zeros() -> None:
    model = _product()
    quantize_graph(model, weight_bits=8)
    assert not _run(model, np.zeros((2, 3, _WIDTH), np.float32)).any()


def test_older_operator_sets_work() -> None:
    model = _product(opset=14)
    activations = np.random.default_rng(0).normal(size=(1, 4, _WIDTH)).astype(np.float32)
    expected = _run(model, activations)
    assert quantize_graph(model, weight_bits=8) == 1
    assert np.abs(_run(model, activations) - expected).max() < 0.05 * np.abs(expected).max()


def test_products_of_activations_alone_stay_as_they_are() -> None:
    model = _product()
    model.graph.node[-1].input[1] = "turned"
    turn = helper.make_node("Transpose", ["rows"], ["turned"], perm=[0, 2, 1])
    model.graph.node.insert(1, turn)
    model.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("output", TensorProto.FLOAT, ["pairs", "tokens", "tokens"])
    )
    assert quantize_graph(model, weight_bits=8) == 0


@pytest.mark.parametrize(("bits", "limit"), [(8, 127), (7, 63)])
def test_columns_lose_little(bits: int, limit: int) -> None:
    weights = np.random.default_rng(0).standard_t(3, size=(300, 40)).astype(np.float32)
    weights[:, 7] = 0
    integers, scales = quantize_columns(weights, bits=bits)
    assert np.abs(integers.astype(np.int32)).max() <= limit
    assert not integers[:, 7].any()
    plain_scales = np.maximum(np.abs(weights).max(axis=0), 1e-9) / limit
    plain_integers = np.rint(weights / plain_scales)
    assert (_loss(weights, integers, scales) <= _loss(weights, plain_integers, plain_scales)).all()


def _loss(
    weights: NDArray[np.float32], integers: NDArray[Any], scales: NDArray[np.float32]
) -> NDArray[np.float32]:
    lost: NDArray[np.float32] = np.square(integers * scales - weights).sum(axis=0)
    return lost.round(3)


def test_two_products_of_7_bit_weights_fit_16_bits() -> None:
    # AVX2 multiplies unsigned activations by signed weights and adds two products in 16 bits.
    worst = quantize_columns(np.full((2, 1), 3.0, np.float32), bits=7)[0].astype(np.int32)
    assert 255 * np.abs(worst).sum() <= 2**15 - 1


@given(seed=st.integers(0, 1000), rows=st.integers(1, 50))
def test_rows_are_off_by_half_a_step_at_most(seed: int, rows: int) -> None:
    random = np.random.default_rng(seed)
    table = (random.normal(size=(rows, 16)) * random.lognormal(size=(rows, 1))).astype(np.float32)
    table[0] = 0
    integers, scales = quantize_rows(table)
    assert (np.abs(integers * scales - table) <= 0.5001 * scales).all()
