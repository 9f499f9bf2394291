"""The tokenizer as transformers makes it of a checkpoint, and the runtime's held against it."""

# transformers is typed in part only.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from ranklet.runtime.tokenization import EncodedPair

from .errors import UnsupportedCheckpointError, first_line


def load_tokenizer(source: str, folder: Path) -> PreTrainedTokenizerFast:
    """Make the tokenizer as transformers does: what the model was trained with.

    Its class may correct ``tokenizer.json`` where ``tokenizer_config.json`` says otherwise, on
    lower case for instance.

    Raises:
        UnsupportedCheckpointError: transformers cannot make a fast tokenizer of the checkpoint.
    """
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # a constructor of many; it raises what its files make it raise
        found = f"transformers cannot open its tokenizer: {first_line(error)}"
        raise UnsupportedCheckpointError(source, found) from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        found = f"{type(tokenizer).__name__} is no fast tokenizer"
        raise UnsupportedCheckpointError(source, found)
    return tokenizer


def write_tokenizer(tokenizer: PreTrainedTokenizerFast, target: Path) -> None:
    """Write what tokenization needs to ``target``, without the tokenizer's cutting and padding."""
    copy = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    copy.no_truncation()
    copy.no_padding()
    target.write_text(copy.to_str(), encoding="utf-8")


def require_same_ids(
    source: str,
    tokenizer: PreTrainedTokenizerFast,
    pairs: Sequence[tuple[str, str]],
    encoded: Sequence[EncodedPair],
    *,
    window_tokens: int,
) -> None:
    """Check that the runtime encodes ``pairs`` as transformers does, where nothing is cut.

    Raises:
        UnsupportedCheckpointError: it does not.
    """
    for (query, document), pair in zip(pairs, encoded, strict=False):
        # Lists, as training passes them: alone, an empty document would be none at all.
        encoding: Any = tokenizer([query], [document])
        expected: list[int] = encoding["input_ids"][0]
        query_tokens = len(tokenizer(query, add_special_tokens=False)["input_ids"])
        was_cut = len(expected) > window_tokens or query_tokens > window_tokens // 2
        if not was_cut and expected != pair.ids.tolist():
            found = f"its tokenizer gives other tokens for {query[:40]!r} than transformers does"
            raise UnsupportedCheckpointError(source, found)
