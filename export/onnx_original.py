"""The half of an export that imports a ready graph, without torch.

What the graph itself gives, run by onnxruntime before anything is done to it, is the original that
every variant is held against.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper, version_converter
from tokenizers import Tokenizer

from ranklet.runtime.arrays import Float32Array
from ranklet.runtime.manifest import TOKENIZER_NAME
from ranklet.runtime.processor import detect_processor
from ranklet.runtime.sessions import EXACT_PRODUCTS, cpu_session
from ranklet.runtime.tokenization import EncodedPair, PairEncoder

from .checkpoint import Checkpoint
from .errors import UnsupportedCheckpointError, first_line
from .graph_file import save_graph
from .head import ClassifierHead, Head
from .onnx_graph import ReadyGraph, input_names, open_graph
from .placement import WorkFolder
from .progress import Stages
from .reference import Original, collect_logits
from .tokenizer_file import corrected_tokenizer, write_tokenizer

_OLDEST_OPERATORS = 13
"""Weights of older operators are attributes of nodes, which no pass of ours reads."""

_OPERATORS = 17


def import_graph(  # noqa: PLR0913 - what, with what, to where, and how are told by keywords
    checkpoint: Checkpoint,
    graph: ReadyGraph,
    texts: Sequence[tuple[str, str]],
    work: WorkFolder,
    stages: Stages,
    *,
    seconds: float,
) -> Original:
    """Write the graph, with one logit, and the tokenizer; score with the graph as it was found.

    Args:
        checkpoint: What to import.
        graph: The graph of the checkpoint.
        texts: Queries and documents to score.
        work: Takes the graph and the tokenizer.
        stages: Shows the progress.
        seconds: Score no more pairs after this time, but at least ``MIN_PAIRS``.

    Raises:
        UnsupportedCheckpointError: onnxruntime cannot run the graph, or it gives no logits.
    """
    source = checkpoint.source.checkpoint
    with stages.stage("Read the graph"):
        model = open_graph(source, graph.path)
        inputs = input_names(model)
        if checkpoint.keeps_tokenizer:
            shutil.copyfile(checkpoint.folder / TOKENIZER_NAME, work.tokenizer)
        else:
            tokenizer = corrected_tokenizer(source, checkpoint.folder, inputs)
            write_tokenizer(tokenizer, work.tokenizer)
        save_graph(model, work.original_graph)
    pairs = _encode(source, work.tokenizer, texts, checkpoint.window_tokens)
    with stages.stage("Score verification pairs with it", total=len(pairs)) as advance:
        found = _found_logits(source, work.original_graph, inputs, pairs, checkpoint.head)
        logits = collect_logits(found, seconds=seconds, on_pair=advance)
    with stages.stage("Bring it to one logit"):
        model = open_graph(source, work.original_graph)
        shutil.rmtree(work.original_graph.parent)
        _subtract_labels(model, _signs(checkpoint.head))
        save_graph(model, work.exported_graph)
    return Original(pairs[: len(logits)], logits, inputs)


def _encode(
    source: str, tokenizer: Path, texts: Sequence[tuple[str, str]], window_tokens: int
) -> list[EncodedPair]:
    """Encode pairs as the runtime does, and check where nothing is cut against the library."""
    encoder = PairEncoder.from_file(tokenizer, window_tokens=window_tokens)
    pairs = [encoder.encode_pair(encoder.encode_query(query), text) for query, text in texts]
    library = Tokenizer.from_file(str(tokenizer))
    library.no_truncation()
    library.no_padding()
    for text, pair in zip(texts, pairs, strict=True):
        whole = library.encode(*text)
        is_same = whole.ids == pair.ids.tolist() and whole.type_ids == pair.type_ids.tolist()
        if len(pair.ids) < window_tokens and not is_same:
            query_tokens = len(library.encode(text[0], add_special_tokens=False).ids)
            if query_tokens <= window_tokens // 2:
                found = f"its tokenizer joins {text[0][:40]!r} with documents in no known way"
                raise UnsupportedCheckpointError(source, found)
    return pairs


def _found_logits(
    source: str, graph: Path, inputs: Sequence[str], pairs: Sequence[EncodedPair], head: Head
) -> Iterator[float]:
    """Give the logit of each pair, of two labels their difference."""
    signs = _signs(head)
    # As the runtime does it: a processor's overflows are no property of the graph.
    options = {} if detect_processor().has_dot_product else EXACT_PRODUCTS
    session = _run_or_refuse(source, partial(cpu_session, graph, options=options))
    for pair in pairs:
        feed = pair.feed(inputs)
        output = _run_or_refuse(source, partial(session.run, None, feed))[0]
        if output.shape != (1, len(signs)) or not np.isfinite(output).all():
            found = f"its graph gives {output.shape} numbers for a pair, not {len(signs)} finite"
            raise UnsupportedCheckpointError(source, found)
        yield float((output.reshape(-1) * signs).sum())


_Result = TypeVar("_Result")


def _run_or_refuse(source: str, work: Callable[[], _Result]) -> _Result:
    try:
        return work()
    except Exception as error:  # onnxruntime raises many kinds, all from its own C++ module
        found = f"onnxruntime {ort.__version__} cannot run its graph: {first_line(error)}"
        raise UnsupportedCheckpointError(source, found) from error


def _signs(head: Head) -> Float32Array:
    """Give what each number of the graph counts; float32, shape (labels,)."""
    if not isinstance(head, ClassifierHead) or head.positive is None:
        return np.ones(1, np.float32)
    signs = np.full(2, -1, np.float32)
    signs[head.positive] = 1
    return signs


def _subtract_labels(model: onnx.ModelProto, signs: Float32Array) -> None:
    """Make one logit of the numbers that ``model`` gives."""
    del model.graph.output[1:]
    if len(signs) == 1:
        return
    logits = model.graph.output[0].name
    weights, margin = f"{logits}/ranklet_signs", f"{logits}/ranklet_margin"
    model.graph.initializer.append(numpy_helper.from_array(signs[:, np.newaxis], weights))
    model.graph.node.append(helper.make_node("MatMul", [logits, weights], [margin], margin))
    output = helper.make_tensor_value_info(margin, TensorProto.FLOAT, ["pairs", 1])
    model.graph.output[0].CopyFrom(output)


def renew_operators(source: str, model: onnx.ModelProto) -> None:
    """Bring ``model`` to operators that our passes read, in place, where it has older ones.

    Raises:
        UnsupportedCheckpointError: that cannot be done.
    """
    version = next(entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"})
    if version >= _OLDEST_OPERATORS:
        return
    try:
        model.CopyFrom(version_converter.convert_version(model, _OPERATORS))
    except Exception as error:  # of its own C++ module
        found = (
            f"its operators are of version {version} and cannot be renewed: {first_line(error)}; "
            "take the graph as it is, with --variants source"
        )
        raise UnsupportedCheckpointError(source, found) from error
