"""The tokenizer as transformers makes it of a checkpoint, and the runtime's held against it."""

# transformers is typed in part only.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from ranklet.runtime.arrays import IntArray
from ranklet.runtime.manifest import Prompt

from .errors import UnsupportedCheckpointError, first_line
from .head import AnswerHead
from .tokenizer_file import TYPE_IDS, without_segments


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


def runtime_tokenizer(
    source: str, tokenizer: PreTrainedTokenizerFast, graph_inputs: Collection[str]
) -> Tokenizer:
    """Give a tokenizer that says by itself what ``tokenizer`` says to a graph with such inputs.

    Raises:
        UnsupportedCheckpointError: its type ids are not a matter of its template.
    """
    if TYPE_IDS in graph_inputs and TYPE_IDS not in tokenizer.model_input_names:
        return without_segments(source, tokenizer.backend_tokenizer)
    return tokenizer.backend_tokenizer


def require_same_ids(  # noqa: PLR0913 - what, against what, and how are told by keywords
    source: str,
    tokenizer: PreTrainedTokenizerFast,
    pairs: Sequence[tuple[str, str]],
    feeds: Sequence[Mapping[str, IntArray]],
    *,
    window_tokens: int,
    prompt: Prompt | None,
) -> None:
    """Check that the graph reads of ``pairs`` what transformers gives, where nothing is cut.

    Raises:
        UnsupportedCheckpointError: it does not.
    """
    for (query, document), feed in zip(pairs, feeds, strict=False):
        ids, type_ids = _ids(tokenizer, query, document, prompt)
        query_tokens = len(tokenizer(query, add_special_tokens=False)["input_ids"])
        was_cut = len(ids) > window_tokens or query_tokens > window_tokens // 2
        expected = {"input_ids": ids, TYPE_IDS: type_ids}
        for name in expected.keys() & feed.keys():
            if not was_cut and expected[name] != feed[name][0].tolist():
                found = f"its tokenizer gives other {name} for {query[:40]!r} than transformers"
                raise UnsupportedCheckpointError(source, found)


def _ids(
    tokenizer: PreTrainedTokenizerFast, query: str, document: str, prompt: Prompt | None
) -> tuple[list[int], list[int]]:
    """Give ids and type ids of a pair as transformers makes them; those it leaves out are 0."""
    if prompt is None:
        # Lists, as training passes them: alone, an empty document would be none at all.
        encoding: Any = tokenizer([query], [document])
        ids: list[int] = encoding["input_ids"][0]
        return ids, encoding.get(TYPE_IDS, [[0] * len(ids)])[0]
    parts = prompt.body.replace("{instruction}", prompt.instruction).split("{query}")
    body = query.join([parts[0], parts[1].replace("{document}", document)])
    texts: Any = tokenizer([prompt.prefix, body, prompt.suffix], add_special_tokens=False)
    ids = [token for part in texts["input_ids"] for token in part]
    return ids, [0] * len(ids)
