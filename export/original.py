"""The torch half of an export: the plain graph, and the logits that every graph must reproduce."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ranklet.runtime.arrays import Float32Array
from ranklet.runtime.prompt import open_encoder
from ranklet.runtime.tokenization import EncodedPair

from . import torch_model, torch_tokenizer
from .checkpoint import Checkpoint
from .placement import WorkFolder
from .progress import Stages
from .quiet import quiet_libraries
from .request import MIN_PAIRS


@dataclass(frozen=True, slots=True)
class Original:
    """What the torch model says about the verification pairs."""

    pairs: list[EncodedPair]
    logits: Float32Array
    """float32, shape (pairs,)."""
    graph_inputs: tuple[str, ...]


def convert(
    checkpoint: Checkpoint,
    texts: Sequence[tuple[str, str]],
    work: WorkFolder,
    stages: Stages,
    *,
    seconds: float,
) -> Original:
    """Write the graph and the tokenizer of ``checkpoint``, and score with torch.

    Args:
        checkpoint: What to convert.
        texts: Queries and documents to score.
        work: Takes the graph, as torch exports it, and the tokenizer.
        stages: Shows the progress.
        seconds: Score no more pairs after this time, but at least ``MIN_PAIRS``.
    """
    name = checkpoint.source.checkpoint
    with quiet_libraries():
        with stages.stage("Load the torch model"):
            original = torch_tokenizer.load_tokenizer(name, checkpoint.folder)
            model = torch_model.load_model(name, checkpoint.folder, checkpoint.head, original)
            torch_tokenizer.write_tokenizer(original, work.tokenizer)
        with stages.stage("Convert it to a graph"):
            inputs = torch_model.export_graph(name, model, work.exported_graph)
        encoder = open_encoder(
            work.tokenizer, window_tokens=checkpoint.window_tokens, prompt=checkpoint.prompt
        )
        pairs = [
            encoder.encode_windows(encoder.encode_query(query), text, max_windows=1)[0]
            for query, text in texts
        ]
        with stages.stage("Score verification pairs with torch", total=len(pairs)) as advance:
            feeds = (pair.feed(inputs) for pair in pairs)
            logits: list[float] = []
            deadline = time.monotonic() + seconds
            for logit in torch_model.torch_logits(model, feeds):
                logits.append(logit)
                advance()
                if time.monotonic() > deadline and len(logits) >= MIN_PAIRS:
                    break
        torch_tokenizer.require_same_ids(
            name,
            original,
            texts,
            pairs,
            window_tokens=checkpoint.window_tokens,
            prompt=checkpoint.prompt,
        )
    return Original(pairs[: len(logits)], np.array(logits, np.float32), inputs)
