"""The tokenizer as transformers makes it of a checkpoint, and the runtime's held against it."""

# transformers is typed in part only.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from ranklet.runtime.manifest import Prompt
from ranklet.runtime.tokenization import EncodedPair

from .errors import UnsupportedCheckpointError, first_line
from .head import AnswerHead


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


def require_faithful_conversion(
    source: str, folder: Path, tokenizer: PreTrainedTokenizerFast, pairs: Sequence[tuple[str, str]]
) -> None:
    """Check that a tokenizer that was made of a slow one gives the tokens of that one.

    Raises:
        UnsupportedCheckpointError: it does not: some things that slow tokenizers do have no
            counterpart in the fast ones.
    """
    slow: Any = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, use_fast=False)
    for text in dict.fromkeys(text for pair in pairs for text in pair):
        if slow(text)["input_ids"] != tokenizer(text)["input_ids"]:
            found = f"its slow tokenizer cannot be converted: {text[:40]!r} gets other tokens"
            raise UnsupportedCheckpointError(source, found)


def answer_tokens(tokenizer: PreTrainedTokenizerFast, head: AnswerHead) -> tuple[int, int]:
    """Give the ids of a language model's two answers.

    Raises:
        ValueError: one of them is no token.
    """
    vocabulary = tokenizer.get_vocab()
    for answer in (head.positive, head.negative):
        if answer not in vocabulary:
            message = f"its tokenizer has no token {answer!r}, which is one of its two answers"
            raise ValueError(message)
    return vocabulary[head.positive], vocabulary[head.negative]


def write_tokenizer(tokenizer: PreTrainedTokenizerFast, target: Path) -> None:
    """Write what tokenization needs to ``target``, without the tokenizer's cutting and padding."""
    copy = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    copy.no_truncation()
    copy.no_padding()
    target.write_text(copy.to_str(), encoding="utf-8")


def require_same_ids(  # noqa: PLR0913 - what, against what, and how are told by keywords
    source: str,
    tokenizer: PreTrainedTokenizerFast,
    pairs: Sequence[tuple[str, str]],
    encoded: Sequence[EncodedPair],
    *,
    window_tokens: int,
    prompt: Prompt | None,
) -> None:
    """Check that the runtime encodes ``pairs`` as transformers does, where nothing is cut.

    Raises:
        UnsupportedCheckpointError: it does not.
    """
    for (query, document), pair in zip(pairs, encoded, strict=False):
        expected = _ids(tokenizer, query, document, prompt)
        query_tokens = len(tokenizer(query, add_special_tokens=False)["input_ids"])
        was_cut = len(expected) > window_tokens or query_tokens > window_tokens // 2
        if not was_cut and expected != pair.ids.tolist():
            found = f"its tokenizer gives other tokens for {query[:40]!r} than transformers does"
            raise UnsupportedCheckpointError(source, found)


def _ids(
    tokenizer: PreTrainedTokenizerFast, query: str, document: str, prompt: Prompt | None
) -> list[int]:
    """Give the tokens of a pair as transformers makes them."""
    if prompt is None:
        # Lists, as training passes them: alone, an empty document would be none at all.
        encoding: Any = tokenizer([query], [document])
        ids: list[int] = encoding["input_ids"][0]
        return ids
    parts = prompt.body.replace("{instruction}", prompt.instruction).split("{query}")
    body = query.join([parts[0], parts[1].replace("{document}", document)])
    texts: Any = tokenizer([prompt.prefix, body, prompt.suffix], add_special_tokens=False)
    return [token for part in texts["input_ids"] for token in part]
