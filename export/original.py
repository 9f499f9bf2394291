"""The torch half of an export: the plain graph, and the logits that every graph must reproduce."""

from collections.abc import Sequence

from ranklet.runtime.prompt import open_encoder

from . import torch_model, torch_tokenizer
from .checkpoint import Checkpoint
from .placement import WorkFolder
from .progress import Stages
from .quiet import quiet_libraries
from .reference import Original, collect_logits
from .tokenizer_file import can_be_converted, lower_texts, lowers_texts, write_tokenizer

_CONVERSION_PAIRS = 64
"""Slow tokenizers are: so many pairs take them a second."""


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
            if can_be_converted(checkpoint.folder):
                few = texts[:_CONVERSION_PAIRS]
                torch_tokenizer.require_faithful_conversion(name, checkpoint.folder, original, few)
            if lowers_texts(name, checkpoint.folder):
                lower_texts(original.backend_tokenizer)
            model = torch_model.load_model(name, checkpoint.folder, checkpoint.head, original)
        with stages.stage("Convert it to a graph"):
            inputs = torch_model.export_graph(name, model, work.exported_graph)
            tokenizer = torch_tokenizer.runtime_tokenizer(name, original, inputs)
            write_tokenizer(tokenizer, work.tokenizer)
        encoder = open_encoder(
            work.tokenizer, window_tokens=checkpoint.window_tokens, prompt=checkpoint.prompt
        )
        pairs = [
            encoder.encode_windows(encoder.encode_query(query), text, max_windows=1)[0]
            for query, text in texts
        ]
        feeds = [pair.feed(inputs) for pair in pairs]
        with stages.stage("Score verification pairs with torch", total=len(pairs)) as advance:
            torch_logits = torch_model.torch_logits(model, feeds)
            logits = collect_logits(torch_logits, seconds=seconds, on_pair=advance)
        torch_tokenizer.require_same_ids(
            name,
            original,
            texts,
            feeds,
            window_tokens=checkpoint.window_tokens,
            prompt=checkpoint.prompt,
        )
    return Original(pairs[: len(logits)], logits, inputs)
