"""From text to token ids: each pair cut to the window, never padded.

``Tokenizer.encode`` holds the GIL for as long as it takes (seconds for a megabyte), while
``encode_batch`` releases it: only the latter is used. Query and document are encoded without
special tokens, cut, and joined by the tokenizer's own template, so that the query is encoded once
for all its documents and a long query cannot fail them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np
from tokenizers import Encoding, Tokenizer

from .arrays import IntArray
from .errors import BundleError

_CHARS_PER_TOKEN = 6
"""First guess at how many characters hold a token; English has 4 to 5. Too low a guess costs
another, longer encoding, never a different result."""

_OVERLAP_TOKENS = 80
"""What neighbouring windows of a long document share, so that no passage is only met cut in two;
the figure that Jina's reranker v2 uses. Never more than a quarter of a window."""

_GROWTH = 4
"""By how much the part of a text that is encoded grows when it held too few tokens."""

_BORDER = re.compile(r"\S +")
"""Where a text may be entered from the middle: words begin anew behind a space for all tokenizers,
while elsewhere some look back, as those that group digits in threes."""

Side = Literal["left", "right"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Where texts are cut: by default only where the model's window asks for it, at their end."""

    query_tokens: int | None = None
    """The most that the query may have, without special tokens."""
    document_tokens: int | None = None
    """The most that a document may have, without special tokens."""
    pair_tokens: int | None = None
    """The most that a pair may have, special tokens included: a smaller window."""
    side: Side = "right"
    """Which side loses what is too much: its end, or with "left" its beginning."""


WINDOW_CUT = Cut()


@dataclass(frozen=True, slots=True)
class EncodedQuery:
    """A query, ready to be joined with documents."""

    encoding: Encoding
    tokens: int
    """Tokens that are kept, without special tokens."""
    was_cut: bool
    """True where the query was longer than half the window, or than its cut allows."""
    room: int
    """Tokens that a document beside it may have in one window, without special tokens."""
    cut: Cut
    """How documents are to be cut."""


@dataclass(frozen=True, slots=True)
class EncodedPair:
    """A query and a document as the graph reads them."""

    ids: IntArray
    """int64, shape (tokens,)."""
    type_ids: IntArray
    """int64, shape (tokens,): 0 for the query, 1 for the document where the model tells them
    apart."""
    was_cut: bool
    """True where the document has parts that no window holds."""

    def feed(self, graph_inputs: Sequence[str]) -> dict[str, IntArray]:
        """Give the graph's inputs, each int64 of shape (1, tokens)."""
        inputs = {
            "input_ids": self.ids,
            "attention_mask": np.ones_like(self.ids),
            "token_type_ids": self.type_ids,
        }
        return {name: inputs[name][np.newaxis] for name in graph_inputs}


class PairEncoder:
    """Encodes pairs with a fast tokenizer. Safe to use from many threads."""

    def __init__(self, tokenizer: Tokenizer, *, window_tokens: int) -> None:
        """Take over ``tokenizer``: its own truncation and padding are switched off."""
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self._special_tokens = tokenizer.num_special_tokens_to_add(is_pair=True)
        self._window_tokens = window_tokens
        added = tokenizer.get_added_tokens_decoder().values()
        self._longest_added_token = max((len(token.content) for token in added), default=0)

    @classmethod
    def from_file(cls, path: Path, *, window_tokens: int) -> Self:
        """Open a ``tokenizer.json``.

        Raises:
            BundleError: the file is not a tokenizer.
        """
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception, nothing finer
            message = f"{path} is not a tokenizer: {error}; export the model again"
            raise BundleError(message) from error
        return cls(tokenizer, window_tokens=window_tokens)

    def encode_query(self, query: str, cut: Cut = WINDOW_CUT) -> EncodedQuery:
        """Encode a query, cut to half the window.

        Args:
            query: What the documents are for.
            cut: What else is to be cut of the query and of the documents joined with it.
        """
        window = min(self._window_tokens, cut.pair_tokens or self._window_tokens)
        room = max(0, window - self._special_tokens)
        limit = _lower(min(window // 2, room), cut.query_tokens)
        encoding = self._encode(query, limit, cut.side)
        was_cut = len(encoding) > limit
        encoding.truncate(limit, direction=cut.side)
        tokens = len(encoding)
        return EncodedQuery(encoding, tokens, was_cut, room - tokens, cut)

    def encode_pair(self, query: EncodedQuery, document: str) -> EncodedPair:
        """Encode a document, cut to what the query leaves of the window, and join the two."""
        return self.encode_windows(query, document, max_windows=1)[0]

    def encode_windows(
        self, query: EncodedQuery, document: str, *, max_windows: int
    ) -> list[EncodedPair]:
        """Encode a document in overlapping windows and join each with the query.

        Args:
            query: What the document is for.
            document: Cut beyond the last window.
            max_windows: At least 1; fewer are given where the document is shorter.
        """
        room, side = query.room, query.cut.side
        overlap = min(_OVERLAP_TOKENS, room // 4)
        in_windows = room + (max_windows - 1) * (room - overlap)
        limit = _lower(in_windows, query.cut.document_tokens)
        encoding = self._encode(document, limit, side)
        was_cut = len(encoding) > limit
        encoding.truncate(limit, direction=side)
        if len(encoding) <= room:
            return [self._join(query, encoding, was_cut=was_cut)]
        encoding.truncate(room, stride=overlap, direction=side)
        windows = [encoding, *encoding.overflowing]
        return [self._join(query, window, was_cut=was_cut) for window in windows]

    def _join(self, query: EncodedQuery, window: Encoding, *, was_cut: bool) -> EncodedPair:
        pair = self._tokenizer.post_process(query.encoding, window)
        ids, type_ids = np.array(pair.ids, np.int64), np.array(pair.type_ids, np.int64)
        return EncodedPair(ids, type_ids, was_cut)

    def _encode(self, text: str, max_tokens: int, side: Side) -> Encoding:
        """Give the tokens of ``text``; beyond ``max_tokens`` and one more, some may be missing.

        Only as much of the text is encoded as that takes: a part is enough as soon as it holds
        so many tokens outside the reach of its own end, where the cut may have split a word.
        """
        length = _CHARS_PER_TOKEN * (max_tokens + 1)
        while length < len(text):
            part = _repaired(text[:length] if side == "right" else text[-length:])
            encoding = self._encode_whole(part)
            settled = (
                self._settled_at_start(encoding, len(part))
                if side == "right"
                else self._settled_at_end(encoding, part)
            )
            if settled > max_tokens:
                return encoding
            length *= _GROWTH
        return self._encode_whole(_repaired(text))

    def _encode_whole(self, text: str) -> Encoding:
        return self._tokenizer.encode_batch([text], add_special_tokens=False)[0]

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


def _lower(limit: int, other: int | None) -> int:
    return limit if other is None else min(limit, other)


def _repaired(text: str) -> str:
    """Replace lone surrogates, which are no characters and cannot be encoded, by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
