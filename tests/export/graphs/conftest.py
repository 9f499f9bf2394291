"""Graphs of small random cross-encoders, one for each architecture."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ranklet.export.quiet import quiet_libraries
from ranklet.runtime.sessions import EXACT_PRODUCTS, cpu_settings

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Feed = dict[str, NDArray[np.int64]]
FamilyModel = Callable[..., "PreTrainedModel"]
FamilyGraph = Callable[..., Path]
Logits = Callable[[Any, Sequence[Feed]], NDArray[np.float32]]

VOCABULARY = 120
WINDOW_TOKENS = 80

# Drawn wide: with the usual narrow weights all pairs get nearly the same logit, and every graph
# would look right.
_SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": WINDOW_TOKENS,
    "initializer_range": 0.3,
    "num_labels": 1,
}
_DISTILBERT = {
    "vocab_size": VOCABULARY,
    "dim": 32,
    "n_layers": 3,
    "n_heads": 4,
    "hidden_dim": 48,
    "max_position_embeddings": WINDOW_TOKENS,
    "initializer_range": 0.3,
    "num_labels": 1,
}
_DEBERTA = {
    "relative_attention": True,
    "position_buckets": 16,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "type_vocab_size": 0,
    "pooler_hidden_size": 32,
}
_MODERNBERT = {
    "pad_token_id": 0,
    "global_attn_every_n_layers": 2,
    "local_attention": 16,
    "classifier_pooling": "cls",
    "initializer_cutoff_factor": 3,
    "reference_compile": False,
    "cls_token_id": 1,
    "sep_token_id": 2,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("Bert", _SIZES),
    "roberta": ("Roberta", _SIZES | {"pad_token_id": 1}),
    "xlm-roberta": ("XLMRoberta", _SIZES | {"pad_token_id": 1}),
    "camembert": ("Camembert", _SIZES | {"pad_token_id": 1}),
    "distilbert": ("DistilBert", _DISTILBERT),
    "electra": ("Electra", _SIZES | {"embedding_size": 16}),
    "mpnet": ("MPNet", _SIZES),
    "albert": ("Albert", _SIZES | {"embedding_size": 16}),
    "deberta-v2": ("DebertaV2", _SIZES | _DEBERTA),
    "modernbert": ("ModernBert", _SIZES | _MODERNBERT),
    "modernbert-mean": ("ModernBert", _SIZES | _MODERNBERT | {"classifier_pooling": "mean"}),
}


@pytest.fixture(scope="session")
def family_model() -> FamilyModel:
    """Make the torch model of an architecture, with sizes of one's own if need be."""

    def make(family: str, *, attention: str = "eager", **sizes: int) -> "PreTrainedModel":
        import torch
        import transformers

        name, settings = _FAMILIES[family]
        torch.manual_seed(3)
        with quiet_libraries():
            sized = settings | sizes | {"attn_implementation": attention}
            config = getattr(transformers, f"{name}Config")(**sized)
            model = getattr(transformers, f"{name}ForSequenceClassification")(config)
        evaluated: PreTrainedModel = model.eval()
        return evaluated

    return make


@pytest.fixture(scope="session")
def family_graph(
    family_model: FamilyModel, tmp_path_factory: pytest.TempPathFactory
) -> FamilyGraph:
    """Export the plain graph of an architecture."""

    def export(family: str, *, attention: str = "eager", **sizes: int) -> Path:
        from ranklet.export.torch_model import export_graph

        target = tmp_path_factory.mktemp(family) / "model.onnx"
        with quiet_libraries():
            export_graph(family, family_model(family, attention=attention, **sizes), target)
        return target

    return export


@pytest.fixture(scope="session")
def batches() -> list[Feed]:
    """Token ids in batches of different sizes, some with padding, from one token on."""
    random = np.random.default_rng(0)
    feeds: list[Feed] = []
    for pairs, tokens in ((1, 1), (1, 2), (1, 7), (3, 5), (2, 33), (4, 64), (1, 70)):
        ids = random.integers(5, VOCABULARY, (pairs, tokens))
        lengths = random.integers(1, tokens + 1, (pairs, 1)) if pairs > 1 else tokens
        segments = np.broadcast_to(np.arange(tokens) >= tokens // 2, ids.shape)
        feeds.append(
            {
                "input_ids": ids,
                "attention_mask": (np.arange(tokens) < lengths).astype(np.int64)
                * np.ones_like(ids),
                "token_type_ids": segments.astype(np.int64),
            }
        )
    return feeds


@pytest.fixture(scope="session")
def logits() -> Logits:
    """Run a graph, given as a path or as bytes, and give the logits of all pairs."""

    def run(graph: Path | bytes, feeds: Sequence[Feed]) -> NDArray[np.float32]:
        import onnxruntime as ort

        options = cpu_settings(EXACT_PRODUCTS)  # of no effect where the processor does it anyway
        session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        names = [value.name for value in session.get_inputs()]
        outputs = [session.run(None, {name: feed[name] for name in names})[0] for feed in feeds]
        return np.concatenate(outputs).astype(np.float32)

    return run
