"""Heads that are more than one logit: two labels, and modules of sentence-transformers."""

# transformers is typed in part only.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ranklet.export.checkpoint_config import read_config
from ranklet.export.errors import UnsupportedCheckpointError
from ranklet.export.quiet import quiet_libraries
from ranklet.export.verification import rank_agreement
from ranklet.runtime.manifest import read_manifest
from ranklet.runtime.reranker import Reranker

pytestmark = pytest.mark.torch

QUERY = "what is a gene"
DOCUMENTS = (
    "A gene is a stretch of DNA that is passed on to the next generation.",
    "",
    "שלום עולם 🇫🇷 基因",
    "The tower is 330 metres tall.",
    "a very long sentence about genes and chromosomes " * 100,
    "Heredity was studied on peas.",
)


def scores(bundle: Path, variant: str = "fp32") -> NDArray[np.float32]:
    with Reranker.open(bundle, variant=variant, workers=1) as reranker:
        return reranker.score(QUERY, DOCUMENTS)


def inputs_of(checkpoint: Path, document: str) -> Any:  # noqa: ANN401 - tensors by name
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(str(checkpoint))
    return tokenizer([QUERY], [document], truncation="only_second", return_tensors="pt")


def softmax_scores(checkpoint: Path, positive: int) -> NDArray[np.float32]:
    import torch
    from transformers import AutoModelForSequenceClassification

    with quiet_libraries(), torch.inference_mode():
        model = AutoModelForSequenceClassification.from_pretrained(str(checkpoint)).eval()
        found = [
            model(**inputs_of(checkpoint, document)).logits.softmax(-1)[0, positive].item()
            for document in DOCUMENTS
        ]
    return np.array(found, np.float32)


@pytest.mark.parametrize(
    ("architecture", "labels", "positive"),
    [
        ("bert", {0: "LABEL_0", 1: "LABEL_1"}, 1),
        ("roberta", {0: "relevant", 1: "not relevant"}, 0),
        ("distilbert", {0: "False", 1: "True"}, 1),
    ],
)
def test_two_labels_score_as_their_softmax(
    architecture: str,
    labels: dict[int, str],
    positive: int,
    make_checkpoint: Callable[..., Path],
    export: Callable[..., Path],
) -> None:
    checkpoint = make_checkpoint(architecture, num_labels=2, id2label=labels)
    bundle = export(checkpoint)
    expected = softmax_scores(checkpoint, positive)
    assert expected.std() > 0.01
    assert np.abs(scores(bundle) - expected).max() < 1e-5
    assert rank_agreement(scores(bundle, "int8"), expected) > 0.8
    manifest = read_manifest(bundle)
    assert manifest.first_token_pruned
    assert manifest.output_activation == "sigmoid"
    assert f"the logit of label {positive} ({labels[positive]}) less" in manifest.logit


@pytest.mark.parametrize(
    ("labels", "positive"),
    [
        (["irrelevant", "relevant"], 1),
        (["Yes", "No"], 0),
        (["LABEL_0", "not-relevant"], 0),
        (["1", "0"], 0),
        (["a", "b"], 1),
        (["relevant", "yes"], 1),
    ],
)
def test_positive_label_is_read_from_the_names(
    labels: list[str], positive: int, make_checkpoint: Callable[..., Path]
) -> None:
    checkpoint = make_checkpoint("bert", num_labels=2, id2label=dict(enumerate(labels)))
    head = read_config("tiny", checkpoint).head
    assert f"the logit of label {positive} ({labels[positive]}) less" in head.description


@pytest.mark.parametrize("problem", [None, "multi_label_classification"])
def test_other_labels_are_refused(
    problem: str | None, make_checkpoint: Callable[..., Path]
) -> None:
    labels = 3 if problem is None else 2
    checkpoint = make_checkpoint("bert", num_labels=labels, problem_type=problem)
    with pytest.raises(UnsupportedCheckpointError, match=rf"it gives {labels} labels.* or two"):
        read_config("tiny", checkpoint)


WIDTH = 64
POOLING = "sentence_transformers.sentence_transformer.modules.pooling.Pooling"
DENSE = "sentence_transformers.base.modules.dense.Dense"
NORM = "sentence_transformers.sentence_transformer.modules.layer_norm.LayerNorm"
TRANSFORMER = "sentence_transformers.base.modules.transformer.Transformer"


def dense(outputs: int, activation: str, *, bias: bool, output: str) -> dict[str, Any]:
    return {
        "in_features": WIDTH,
        "out_features": outputs,
        "bias": bias,
        "activation_function": f"torch.nn.modules.{activation}",
        "module_input_name": "sentence_embedding",
        "module_output_name": output,
    }


def add_modules(folder: Path, pooling: dict[str, Any]) -> None:
    """Write the head of the Ettin rerankers, as sentence-transformers 6.2 lays it out."""
    import safetensors.torch
    import torch

    torch.manual_seed(11)
    first = dense(WIDTH, "activation.GELU", bias=False, output="sentence_embedding")
    last = dense(1, "linear.Identity", bias=True, output="scores")
    modules: Sequence[tuple[str, str, dict[str, Any], dict[str, torch.Tensor]]] = [
        ("1_Pooling", POOLING, pooling, {}),
        ("2_Dense", DENSE, first, {"linear.weight": torch.randn(WIDTH, WIDTH)}),
        (
            "3_LayerNorm",
            NORM,
            {"dimension": WIDTH},
            {"norm.weight": torch.randn(WIDTH), "norm.bias": torch.randn(WIDTH)},
        ),
        (
            "4_Dense",
            DENSE,
            last,
            {"linear.weight": torch.randn(1, WIDTH) / 4, "linear.bias": torch.randn(1)},
        ),
    ]
    entries = [{"idx": 0, "name": "0", "path": "", "type": TRANSFORMER}]
    for index, (path, kind, config, weights) in enumerate(modules, 1):
        entries.append({"idx": index, "name": str(index), "path": path, "type": kind})
        (folder / path).mkdir()
        (folder / path / "config.json").write_text(json.dumps(config))
        if weights:
            safetensors.torch.save_file(weights, folder / path / "model.safetensors")
    (folder / "modules.json").write_text(json.dumps(entries))
    settings = {"model_type": "CrossEncoder", "activation_fn": "torch.nn.modules.linear.Identity"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(settings))
    task = {
        "transformer_task": "feature-extraction",
        "modality_config": {
            "text": {"method": "forward", "method_output_name": "last_hidden_state"}
        },
        "module_output_name": "token_embeddings",
    }
    (folder / "sentence_bert_config.json").write_text(json.dumps(task))


def module_scores(checkpoint: Path, pooling: str) -> NDArray[np.float32]:
    """Compute what the modules say, step by step, with transformers and torch alone."""
    import safetensors.torch
    import torch
    from torch.nn import functional
    from transformers import AutoModel

    def weights(folder: str) -> dict[str, torch.Tensor]:
        return safetensors.torch.load_file(checkpoint / folder / "model.safetensors")

    first, norm, last = (weights(name) for name in ("2_Dense", "3_LayerNorm", "4_Dense"))
    found: list[float] = []
    with quiet_libraries(), torch.inference_mode():
        model = AutoModel.from_pretrained(str(checkpoint)).eval()
        for document in DOCUMENTS:
            hidden = model(**inputs_of(checkpoint, document)).last_hidden_state[0]
            row = {"cls": hidden[0], "mean": hidden.mean(0), "max": hidden.amax(0)}[pooling]
            row = functional.gelu(first["linear.weight"] @ row)
            row = functional.layer_norm(row, (WIDTH,), norm["norm.weight"], norm["norm.bias"])
            found.append((last["linear.weight"] @ row + last["linear.bias"]).item())
    return np.array(found, np.float32)


@pytest.mark.parametrize(
    ("architecture", "pooling", "mode"),
    [
        ("modernbert", {"embedding_dimension": WIDTH, "pooling_mode": "cls"}, "cls"),
        (
            "modernbert",
            {"word_embedding_dimension": WIDTH, "pooling_mode_mean_tokens": True},
            "mean",
        ),
        ("bert", {"embedding_dimension": WIDTH, "pooling_mode": ["max"]}, "max"),
    ],
)
def test_modules_are_exported_with_the_model(
    architecture: str,
    pooling: dict[str, Any],
    mode: str,
    make_checkpoint: Callable[..., Path],
    export: Callable[..., Path],
) -> None:
    checkpoint = make_checkpoint(architecture, "Model")
    add_modules(checkpoint, pooling)
    bundle = export(checkpoint)
    expected = module_scores(checkpoint, mode)
    assert np.abs(scores(bundle) - expected).max() < 1e-4 * expected.std()
    assert rank_agreement(scores(bundle, "int8"), expected) > 0.7
    manifest = read_manifest(bundle)
    assert manifest.first_token_pruned == (mode == "cls")
    assert manifest.output_activation == "identity"
    assert manifest.logit == f"pooling by {mode}, then the 3 layers of modules.json"
    assert (manifest.source.revision or "").startswith("sha256:")


def test_modules_score_as_sentence_transformers_does(
    make_checkpoint: Callable[..., Path], export: Callable[..., Path]
) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers")
    checkpoint = make_checkpoint("modernbert", "Model")
    add_modules(checkpoint, {"embedding_dimension": WIDTH, "pooling_mode": "cls"})
    with quiet_libraries():
        model = sentence_transformers.CrossEncoder(str(checkpoint))
        expected = model.predict([(QUERY, document) for document in DOCUMENTS])
    difference = np.abs(scores(export(checkpoint, variants=("fp32",))) - expected)
    assert difference.max() < 1e-4 * expected.std()


def drop_pooler(folder: Path) -> None:
    """Take away the weights of a model's own pooling."""
    import safetensors.torch

    weights = safetensors.torch.load_file(folder / "model.safetensors")
    kept = {name: weight for name, weight in weights.items() if "pooler." not in name}
    assert len(kept) < len(weights)
    safetensors.torch.save_file(kept, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize(
    ("architecture", "found"),
    [
        ("bert", r"lack bert\.pooler\.dense\.bias, bert\.pooler\.dense\.weight$"),
        ("deberta-v2", r"lack pooler\.dense\.bias, pooler\.dense\.weight$"),
    ],
)
def test_pooling_that_a_classifier_reads_is_not_made_up(
    architecture: str,
    found: str,
    make_checkpoint: Callable[..., Path],
    export: Callable[..., Path],
) -> None:
    checkpoint = make_checkpoint(architecture)
    drop_pooler(checkpoint)
    with pytest.raises(UnsupportedCheckpointError, match=found):
        export(checkpoint)


def test_modules_need_no_pooling_but_their_own(
    make_checkpoint: Callable[..., Path], export: Callable[..., Path]
) -> None:
    checkpoint = make_checkpoint("bert", "Model")
    add_modules(checkpoint, {"pooling_mode": "mean"})
    drop_pooler(checkpoint)
    expected = module_scores(checkpoint, "mean")
    found = scores(export(checkpoint, variants=("fp32",)))
    assert np.abs(found - expected).max() < 1e-4 * expected.std()


@pytest.mark.parametrize("lowers", [False, True])
def test_case_is_lowered_where_sentence_transformers_does(
    lowers: bool, make_checkpoint: Callable[..., Path], export: Callable[..., Path]
) -> None:
    checkpoint = make_checkpoint("modernbert", "Model")
    add_modules(checkpoint, {"pooling_mode": "cls"})
    edit("sentence_bert_config.json", do_lower_case=lowers)(checkpoint)
    with Reranker.open(export(checkpoint, variants=("fp32",))) as reranker:
        lower, upper = (
            reranker.score(case(QUERY), [case(document) for document in DOCUMENTS])
            for case in (str.lower, str.upper)
        )
    assert (lower == upper).all() == lowers


def edit(path: str, **changes: Any) -> Callable[[Path], None]:  # noqa: ANN401 - any JSON
    def spoil(folder: Path) -> None:
        content = json.loads((folder / path).read_text())
        (folder / path).write_text(json.dumps(content | changes))

    return spoil


def rename_module(index: int, **changes: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        entries = json.loads((folder / "modules.json").read_text())
        entries[index] |= changes
        (folder / "modules.json").write_text(json.dumps(entries))

    return spoil


def keep_modules(count: int) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        entries = json.loads((folder / "modules.json").read_text())
        (folder / "modules.json").write_text(json.dumps(entries[:count]))

    return spoil


def end_in_norm(folder: Path) -> None:
    edit("2_Dense/config.json", out_features=1)(folder)
    keep_modules(4)(folder)


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (rename_module(3, type="a.b.Normalize"), "adds Normalize; Dense and LayerNorm can be"),
        (rename_module(1, type="a.b.WeightedLayerPooling"), "Transformer, WeightedLayerPooling,"),
        (rename_module(0, path="0_Model"), "its model lies in the folder 0_Model, not beside"),
        (rename_module(2, path="../2_Dense"), r"names '\.\./2_Dense', which is no folder"),
        (rename_module(2, path="9_Dense"), r"there is no 9_Dense/config\.json in it"),
        (edit("1_Pooling/config.json", pooling_mode="lasttoken"), "it pools by lasttoken; one of"),
        (edit("1_Pooling/config.json", pooling_mode=["cls", "max"]), "it pools by cls and max"),
        (
            edit("2_Dense/config.json", activation_function="torch.nn.modules.Softmax"),
            "applies torch.nn.modules.Softmax; known are GELU",
        ),
        (
            edit("2_Dense/config.json", activation_function="mine.GELU"),
            "applies mine.GELU; known are",
        ),
        (edit("2_Dense/config.json", use_residual=True), "reads more than what the module before"),
        (keep_modules(2), r"it is an embedding model \(bi-encoder\); a cross-encoder is needed"),
        (keep_modules(3), "it is an embedding model"),
        (edit("4_Dense/config.json", out_features=2), "it is an embedding model"),
        (end_in_norm, "does not end in one logit"),
        (edit("config_sentence_transformers.json", activation_fn="torch.nn.Tanh"), "torch.nn.Tanh"),
    ],
)
def test_modules_that_cannot_be_exported(
    spoil: Callable[[Path], None], found: str, make_checkpoint: Callable[..., Path]
) -> None:
    checkpoint = make_checkpoint("bert", "Model")
    add_modules(checkpoint, {"pooling_mode": "cls"})
    assert read_config("tiny", checkpoint).activation == "identity"
    spoil(checkpoint)
    with pytest.raises(UnsupportedCheckpointError, match=found):
        read_config("tiny", checkpoint)


def test_modules_without_their_weights(
    make_checkpoint: Callable[..., Path], export: Callable[..., Path]
) -> None:
    checkpoint = make_checkpoint("bert", "Model")
    add_modules(checkpoint, {"pooling_mode": "cls"})
    edit("2_Dense/config.json", bias=True)(checkpoint)
    with pytest.raises(UnsupportedCheckpointError, match=r"its head: .*Sequential"):
        export(checkpoint)
    (checkpoint / "3_LayerNorm/model.safetensors").unlink()
    with pytest.raises(UnsupportedCheckpointError, match=r"lacks 3_LayerNorm/model\.safetensors"):
        export(checkpoint)
