"""The torch model: the original that every graph is made from and held against."""

# transformers is typed in part only.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

import math
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch
from optimum.exporters.onnx import export
from optimum.exporters.tasks import TasksManager
from torch import nn
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.modeling_layers import GenericForSequenceClassification
from transformers.utils import logging as transformers_logging

from ranklet.runtime.arrays import IntArray
from ranklet.runtime.processor import usable_cores

from .errors import ExportError, UnsupportedCheckpointError, first_line
from .head import AnswerHead, ClassifierHead, Head, ModuleHead
from .torch_heads import LabelDifference, LastToken, ScoringModel, answer_weights, load_layers
from .torch_tokenizer import answer_tokens

_TASK = "text-classification"
_OUTPUT = "logits"
_KNOWN_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids"})


def load_model(
    source: str, folder: Path, head: Head, tokenizer: PreTrainedTokenizerFast
) -> nn.Module:
    """Load a checkpoint as fp32, whatever it is stored as, so that it gives one logit a pair.

    Attention is computed by plain products, which gives the simplest graph.

    Args:
        source: The checkpoint as the user named it.
        folder: Where its files lie.
        head: What makes one logit of the model's output.
        tokenizer: Knows the answers of a language model.

    Raises:
        UnsupportedCheckpointError: transformers does not know the model, or weights are missing or
            do not fit the tokenizer or the head.
    """
    model = _load(source, folder, head)
    embeddings: Any = model.get_input_embeddings()
    if len(tokenizer) > embeddings.num_embeddings:
        found = (
            f"its tokenizer knows {len(tokenizer)} tokens, its embeddings only "
            f"{embeddings.num_embeddings}: they do not belong together"
        )
        raise UnsupportedCheckpointError(source, found)
    try:
        scoring = _with_head(model, folder, head, tokenizer)
    except (OSError, RuntimeError, ValueError) as error:
        raise UnsupportedCheckpointError(source, f"its head: {first_line(error)}") from error
    return scoring.float().eval()


_AUTO_CLASSES: dict[type[Head], Any] = {
    AnswerHead: AutoModelForCausalLM,
    ClassifierHead: AutoModelForSequenceClassification,
    ModuleHead: AutoModel,
}


def _load(source: str, folder: Path, head: Head) -> PreTrainedModel:
    transformers_logging.disable_progress_bar()
    auto_class = _AUTO_CLASSES[type(head)]
    try:
        loaded: Any = auto_class.from_pretrained(
            str(folder),
            attn_implementation="eager",
            local_files_only=True,
            output_loading_info=True,
            trust_remote_code=False,
            use_safetensors=True,
        )
    except Exception as error:  # a constructor of many; it raises what its files make it raise
        found = f"transformers cannot load it: {first_line(error)}"
        raise UnsupportedCheckpointError(source, found) from error
    model: PreTrainedModel = loaded[0]
    missing = sorted(loaded[1]["missing_keys"])
    if isinstance(head, ModuleHead):  # of a bare encoder, whose own pooling it does not read
        missing = [name for name in missing if not name.startswith("pooler.")]
    if missing:
        found = f"its weights lack {', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}"  # noqa: PLR2004
        raise UnsupportedCheckpointError(source, found)
    return model


def _with_head(
    model: PreTrainedModel, folder: Path, head: Head, tokenizer: PreTrainedTokenizerFast
) -> nn.Module:
    if isinstance(head, ModuleHead):
        return ScoringModel(model, load_layers(folder, head))
    body: Any = model.base_model
    if isinstance(head, AnswerHead):
        tokens = answer_tokens(tokenizer, head)
        return ScoringModel(body, LastToken(answer_weights(model, tokens), positive=0))
    if isinstance(model, GenericForSequenceClassification):
        # These find the last token by the padding's id; a mask tells it whatever a text holds.
        classifier: Any = model
        return ScoringModel(body, LastToken(classifier.score.weight.detach(), head.positive))
    if head.positive is not None:
        return ScoringModel(model, LabelDifference(head.positive))
    return model


def export_graph(source: str, model: nn.Module, target: Path) -> tuple[str, ...]:
    """Write the plain fp32 graph to ``target``, with external data beside it above 2 GB.

    Returns:
        The names of the graph's inputs.

    Raises:
        UnsupportedCheckpointError: optimum does not know the architecture, or its graph asks for
            more than tokens.
    """
    try:
        described: Any = model.config
        constructor: Any = TasksManager.get_exporter_config_constructor(
            exporter="onnx",
            model_type=described.model_type,
            task=_TASK,
            library_name="transformers",
        )
        settings: Any = constructor(described, task=_TASK)
        inputs, outputs = export(model, settings, target, opset=settings.DEFAULT_ONNX_OPSET)
    except Exception as error:  # optimum and torch raise whatever their parts raise
        found = f"optimum cannot convert {type(model).__name__}: {first_line(error)}"
        raise UnsupportedCheckpointError(source, found) from error
    if not _KNOWN_INPUTS.issuperset(inputs) or outputs != [_OUTPUT]:
        found = f"its graph takes {', '.join(inputs)} and gives {', '.join(outputs)}"
        raise UnsupportedCheckpointError(source, found)
    return tuple(inputs)


def torch_logits(model: nn.Module, feeds: Iterable[Mapping[str, IntArray]]) -> Iterator[float]:
    """Compute the logits of pairs, whose inputs have shape (1, tokens) each, in their order.

    A core works on a pair of its own, as in the runtime: cores that share a pair wait for each
    other, and for long where the machine has other things to do.

    Raises:
        ExportError: the model cannot compute them.
    """
    pool = ThreadPoolExecutor(usable_cores(), initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield from pool.map(partial(_logit, model), feeds)
    finally:
        pool.shutdown(cancel_futures=True)


def _logit(model: nn.Module, feed: Mapping[str, IntArray]) -> float:
    inputs = {name: torch.from_numpy(values) for name, values in feed.items()}
    try:
        with torch.inference_mode():
            logit = float(model(**inputs).logits.item())
    except (IndexError, RuntimeError, ValueError) as error:
        tokens = feed["input_ids"].size
        message = f"the torch model fails on a pair of {tokens} tokens: {first_line(error)}"
        raise ExportError(message) from error
    if not math.isfinite(logit):
        message = f"the torch model gives {logit} instead of a finite logit"
        raise ExportError(message)
    return logit
