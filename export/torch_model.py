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
from transformers import AutoModelForSequenceClassification, PreTrainedModel
from transformers.utils import logging as transformers_logging

from ranklet.runtime.arrays import IntArray
from ranklet.runtime.processor import usable_cores

from .errors import ExportError, UnsupportedCheckpointError, first_line

_TASK = "text-classification"
_OUTPUT = "logits"
_KNOWN_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids"})


def load_model(source: str, folder: Path) -> PreTrainedModel:
    """Load a checkpoint as fp32, whatever it is stored as.

    Attention is computed by plain products, which gives the simplest graph.

    Raises:
        UnsupportedCheckpointError: transformers does not know the model, or weights are missing.
    """
    transformers_logging.disable_progress_bar()
    try:
        loaded: Any = AutoModelForSequenceClassification.from_pretrained(
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
    missing: list[str] = sorted(loaded[1]["missing_keys"])
    if missing:
        found = f"its weights lack {', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}"  # noqa: PLR2004
        raise UnsupportedCheckpointError(source, found)
    model.float().eval()
    return model


def export_graph(source: str, model: PreTrainedModel, target: Path) -> tuple[str, ...]:
    """Write the plain fp32 graph to ``target``, with external data beside it above 2 GB.

    Returns:
        The names of the graph's inputs.

    Raises:
        UnsupportedCheckpointError: optimum does not know the architecture, or its graph asks for
            more than tokens.
    """
    try:
        constructor: Any = TasksManager.get_exporter_config_constructor(
            exporter="onnx", model=model, task=_TASK, library_name="transformers"
        )
        settings: Any = constructor(model.config, task=_TASK)
        inputs, outputs = export(model, settings, target, opset=settings.DEFAULT_ONNX_OPSET)
    except Exception as error:  # optimum and torch raise whatever their parts raise
        found = f"optimum cannot convert {type(model).__name__}: {first_line(error)}"
        raise UnsupportedCheckpointError(source, found) from error
    if not _KNOWN_INPUTS.issuperset(inputs) or outputs != [_OUTPUT]:
        found = f"its graph takes {', '.join(inputs)} and gives {', '.join(outputs)}"
        raise UnsupportedCheckpointError(source, found)
    return tuple(inputs)


def torch_logits(
    model: PreTrainedModel, feeds: Iterable[Mapping[str, IntArray]]
) -> Iterator[float]:
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


def _logit(model: PreTrainedModel, feed: Mapping[str, IntArray]) -> float:
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
