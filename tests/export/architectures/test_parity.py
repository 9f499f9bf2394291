"""Every architecture with its kind of tokenizer: the bundle scores as transformers does."""

# transformers is typed in part only.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ranklet.export.quiet import quiet_libraries
from ranklet.export.verification import MAX_DIFFERENCE_FP32, rank_agreement, verify_graph
from ranklet.runtime.arrays import IntArray
from ranklet.runtime.manifest import read_manifest
from ranklet.runtime.prompt import open_encoder
from ranklet.runtime.reranker import Reranker
from ranklet.runtime.sessions import cpu_session
from ranklet.runtime.tokenization import Cut

pytestmark = pytest.mark.torch

QUERIES = (
    "what is a gene",
    "",
    "🧬 gen? 基因 ما",
    "a\x00b\u200d",
)
DOCUMENTS = (
    "A gene is a stretch of DNA that is passed on to the next generation.",
    "",
    "שלום עולם, مرحبا, a gene is inherited",
    "🇫🇷🗼 emoji \U0001f468\u200d\U0001f469\u200d\U0001f467, [SEP] <s> </s> [CLS] spelled out",
    "\t\r\n control\x07 characters\x00 in\ufeff between \ufffd",
    "ǅ ﬁ Å Å ß İ ligatures, accents and case",
    "基因是脱氧核糖核酸的一段。遺伝子とは何か。유전자란 무엇인가",
    "pneumonoultramicroscopicsilicovolcanoconiosis" * 3,
    "a very long sentence about genes and chromosomes " * 400,
)
WINDOW_TOKENS = 96
PAIRS = [(query, document) for query in QUERIES for document in DOCUMENTS]

ENCODERS = (
    "bert roberta xlm-roberta distilbert electra mpnet camembert deberta-v2 albert modernbert"
).split()


@dataclass(frozen=True, slots=True)
class Exported:
    checkpoint: Path
    bundle: Path
    logits: NDArray[np.float32]
    """Those of ``PAIRS`` by transformers alone: its tokenizer, its cutting, its model."""


@pytest.fixture(scope="module", params=ENCODERS)
def exported(
    request: pytest.FixtureRequest,
    make_checkpoint: Callable[..., Path],
    export: Callable[..., Path],
) -> Exported:
    checkpoint = make_checkpoint(request.param)
    return Exported(checkpoint, export(checkpoint), torch_logits(checkpoint))


def torch_logits(checkpoint: Path) -> NDArray[np.float32]:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    with quiet_libraries(), torch.inference_mode():
        tokenizer: Any = AutoTokenizer.from_pretrained(str(checkpoint))
        model = AutoModelForSequenceClassification.from_pretrained(str(checkpoint)).eval()
        logits: list[float] = []
        for query, document in PAIRS:
            # Lists, as sentence-transformers passes them: alone, an empty text would be none.
            inputs = tokenizer([query], [document], truncation="only_second", return_tensors="pt")
            logits.append(model(**inputs).logits.item())
    return np.array(logits, np.float32)


def scores(bundle: Path, variant: str) -> NDArray[np.float32]:
    with Reranker.open(bundle, variant=variant, workers=1) as reranker:
        return np.concatenate(
            [reranker.score(query, DOCUMENTS, raw_scores=True) for query in QUERIES]
        )


def test_fp32_equals_torch_on_hostile_text(exported: Exported) -> None:
    difference = np.abs(scores(exported.bundle, "fp32") - exported.logits)
    assert difference.max() < MAX_DIFFERENCE_FP32 * exported.logits.std()


@pytest.mark.parametrize("variant", ["int8", "int8-avx2"])
def test_int8_ranks_hostile_text_as_torch_does(exported: Exported, variant: str) -> None:
    found = scores(exported.bundle, variant)
    assert rank_agreement(found, exported.logits) > 0.9


def test_graph_is_pruned_and_partly_quantized(exported: Exported) -> None:
    with Reranker.open(exported.bundle, variant="int8") as reranker:
        manifest = reranker.manifest
    assert manifest.first_token_pruned
    assert manifest.logit == "the classifier's logit"
    sizes = {name: variant.size_bytes for name, variant in manifest.variants.items()}
    assert sizes["int8"] < 0.6 * sizes["fp32"]


def test_lone_surrogates_are_read_as_replacements(exported: Exported) -> None:
    with Reranker.open(exported.bundle, variant="fp32") as reranker:
        broken, repaired = reranker.score("a \udc00 b", ["x \ud800 y", "x \ufffd y"])
        assert broken == repaired


def drop_layer(model: Any) -> None:  # noqa: ANN401 - one of many classes
    """Take away the last layer; ALBERT has one layer that it applies several times."""
    import torch

    model.config.num_hidden_layers = 1
    stacks = [module for module in model.modules() if isinstance(module, torch.nn.ModuleList)]
    for stack in stacks:
        del stack[1:]


def feeds(exported: Exported, *, padding: int) -> list[dict[str, IntArray]]:
    """Give what the graph reads for each pair, with so many tokens behind it."""
    manifest = read_manifest(exported.bundle)
    path = exported.bundle / "tokenizer.json"
    encoder = open_encoder(path, window_tokens=WINDOW_TOKENS, prompt=None)
    query_tokens = Cut(pair_tokens=WINDOW_TOKENS - padding)
    found: list[dict[str, IntArray]] = []
    for query, document in PAIRS:
        encoded = encoder.encode_query(query, query_tokens)
        (pair,) = encoder.encode_windows(encoded, document, max_windows=1)
        feed = pair.feed(manifest.graph_inputs)
        found.append({name: np.pad(ids, ((0, 0), (0, padding))) for name, ids in feed.items()})
    return found


def logits_of(graph: Path, feeds: list[dict[str, IntArray]]) -> NDArray[np.float32]:
    session = cpu_session(graph)
    return np.array([session.run(None, feed)[0].item() for feed in feeds], np.float32)


def test_padding_changes_nothing_unless_the_mask_is_ignored(exported: Exported) -> None:
    graph = exported.bundle / "fp32.onnx"
    expected = logits_of(graph, feeds(exported, padding=0))
    plain, padded = feeds(exported, padding=0), feeds(exported, padding=9)
    # Whatever is long enough to be cut is cut earlier where there has to be room for padding.
    kept = [
        index
        for index, (pair, longer) in enumerate(zip(plain, padded, strict=True))
        if pair["input_ids"].size + 9 == longer["input_ids"].size
    ]
    reference, limit = expected[kept], MAX_DIFFERENCE_FP32
    right = [padded[index] for index in kept]
    wrong = [feed | {"attention_mask": np.ones_like(feed["attention_mask"])} for feed in right]
    assert len(kept) > len(PAIRS) // 2
    assert verify_graph(graph, right, reference, precision="fp32").max_difference < limit
    assert verify_graph(graph, wrong, reference, precision="fp32").max_difference > 100 * limit


def test_segment_ids_count_where_the_model_has_them(exported: Exported) -> None:
    manifest = read_manifest(exported.bundle)
    has_segments = manifest.architecture.startswith(("Albert", "Bert", "Electra"))
    assert ("token_type_ids" in manifest.graph_inputs) == has_segments
    if not has_segments:
        return
    right = feeds(exported, padding=0)
    wrong = [feed | {"token_type_ids": np.zeros_like(feed["token_type_ids"])} for feed in right]
    graph = exported.bundle / "fp32.onnx"
    reference = logits_of(graph, right)
    report = verify_graph(graph, wrong, reference, precision="fp32")
    assert not report.passed
    assert report.max_difference > 100 * MAX_DIFFERENCE_FP32


@pytest.mark.parametrize(
    "changes",
    [
        {"model_input_names": ["input_ids", "attention_mask"]},
        {"tokenizer_class": "DistilBertTokenizer"},
    ],
)
def test_segments_are_not_told_apart_where_transformers_does_not(
    changes: dict[str, Any], make_checkpoint: Callable[..., Path], export: Callable[..., Path]
) -> None:
    checkpoint = make_checkpoint("bert")
    path = checkpoint / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    bundle = export(checkpoint, variants=("fp32",))
    assert "token_type_ids" in read_manifest(bundle).graph_inputs
    expected = torch_logits(checkpoint)
    difference = np.abs(scores(bundle, "fp32") - expected)
    assert difference.max() < MAX_DIFFERENCE_FP32 * expected.std()


def test_missing_layer_breaks_parity(exported: Exported, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    from ranklet.export.torch_model import export_graph

    with quiet_libraries():
        model = AutoModelForSequenceClassification.from_pretrained(
            str(exported.checkpoint), attn_implementation="eager"
        )
        drop_layer(model)
        export_graph("wrong", model.eval(), tmp_path / "wrong.onnx")
    right = feeds(exported, padding=0)
    reference = logits_of(exported.bundle / "fp32.onnx", right)
    for precision in ("fp32", "int8"):
        report = verify_graph(tmp_path / "wrong.onnx", right, reference, precision=precision)
        assert not report.passed
        assert report.max_difference > 100 * MAX_DIFFERENCE_FP32
