"""Encodes as much of a text as is kept, and no more of it."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from tokenizers import Encoding, Tokenizer

from .errors import BundleError

_CHARS_PER_TOKEN = 6
"""First guess at how many characters hold a token; English has 4 to 5. Too low a guess costs
another, longer encoding, never a different result."""

_GROWTH = 4
"""By how much the part of a text that is encoded grows when it held too few tokens."""

_STRETCH_CHARS = 90_000
"""A stretch of so many characters without a place to enter, as no language has, is not followed to
its end: a megabyte of it takes half a gigabyte to encode."""

_MOST_GROWTH = 64
"""By how much a part grows in all where such a stretch holds too few tokens."""

_BORDER = re.compile(r"\S +")
"""Where a text may be entered from the middle: words begin anew behind a space for all tokenizers,
while elsewhere some look back, as those that group digits in threes."""

Side = Literal["left", "right"]


class TextEncoder:
    """Encodes texts without special tokens. Safe to use from many threads."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Take over ``tokenizer``: its own truncation and padding are switched off."""
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        added = tokenizer.get_added_tokens_decoder().values()
        self._longest_added_token = max((len(token.content) for token in added), default=0)

    def encode(self, text: str, max_tokens: int, side: Side) -> Encoding:
        """Give the tokens of ``text``; beyond ``max_tokens`` and one more, some may be missing."""
        return self.encode_all([text], max_tokens, side)[0]

    def encode_all(self, texts: Sequence[str], max_tokens: int, side: Side) -> list[Encoding]:
        """Give the tokens of each of ``texts`` as ``encode`` does, on as many cores as there are.

        Only as much of a text is encoded as that takes: a part is enough as soon as it holds
        so many tokens outside the reach of its own end, where the cut may have split a word. Only
        of texts with ``_STRETCH_CHARS`` characters, mostly 200,000, without a place to enter the
        tokens may be others than those of the whole text, or fewer.
        """
        encodings: dict[int, Encoding] = {}
        waiting = list(range(len(texts)))
        first = length = _CHARS_PER_TOKEN * (max_tokens + 1)
        while waiting:
            parts = [
                repaired(texts[index][:length] if side == "right" else texts[index][-length:])
                for index in waiting
            ]
            encoded = self._tokenizer.encode_batch(parts, add_special_tokens=False)
            for index, part, encoding in zip(waiting, parts, encoded, strict=True):
                if length >= len(texts[index]):  # most are whole at once, and need no closer look
                    encodings[index] = encoding
                    continue
                settled = self._settled(encoding, part, side)
                has_grown = len(encoding) > max_tokens or length >= _MOST_GROWTH * first
                if settled > max_tokens or (has_grown and _is_one_stretch(encoding, settled, side)):
                    encodings[index] = encoding
            waiting = [index for index in waiting if index not in encodings]
            length *= _GROWTH
        return [encodings[index] for index in range(len(texts))]

    def _settled(self, encoding: Encoding, part: str, side: Side) -> int:
        if side == "right":
            return self._settled_at_start(encoding, len(part))
        return self._settled_at_end(encoding, part)

    def _settled_at_start(self, encoding: Encoding, length: int) -> int:
        """Count the leading tokens that no text after ``length`` characters can change.

        Tokenizers look at one word (pre-token) at a time, so only the last word is open, and the
        last few characters, which may be the beginning of an added token such as ``[SEP]``.
        """
        words = encoding.word_ids
        if not words:
            return 0
        closed = len(words)
        while closed and words[closed - 1] == words[-1]:
            closed -= 1
        offsets = encoding.offsets
        while closed and offsets[closed - 1][1] > length - self._longest_added_token:
            closed -= 1
        return closed

    def _settled_at_end(self, encoding: Encoding, part: str) -> int:
        """Count the trailing tokens that no text before ``part`` can change."""
        words = encoding.word_ids
        border = _BORDER.search(part, self._longest_added_token)
        if border is None or not words:
            return 0
        starts = (start for start, _ in encoding.offsets)
        unsettled = (
            start < border.end() or word == words[0]
            for start, word in zip(starts, words, strict=True)
        )
        return len(words) - sum(unsettled)


def _is_one_stretch(encoding: Encoding, settled: int, side: Side) -> bool:
    """Tell whether the tokens that are not settled stand for ``_STRETCH_CHARS`` characters.

    Characters that give no token, as blanks, do not count, and those of several tokens count once.
    """
    offsets = encoding.offsets
    unsettled = offsets[settled:] if side == "right" else offsets[: len(offsets) - settled]
    characters = last = 0
    for start, end in unsettled:
        characters += max(0, end - max(start, last))
        last = max(last, end)
    return characters >= _STRETCH_CHARS


def open_tokenizer(path: Path) -> Tokenizer:
    """Open a ``tokenizer.json``.

    Raises:
        BundleError: the file is not a tokenizer.
    """
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception, nothing finer
        message = f"{path} is not a tokenizer: {error}; export the model again"
        raise BundleError(message) from error


def repaired(text: str) -> str:
    """Replace lone surrogates, which are no characters and cannot be encoded, by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
