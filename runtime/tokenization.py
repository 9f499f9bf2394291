"""From text to token ids: each pair cut to the window, never padded.

``Tokenizer.encode`` holds the GIL for as long as it takes (seconds for a megabyte), while
``encode_batch`` releases it: only the latter is used. Query and document are encoded without
special tokens, cut, and joined by the tokenizer's own template, so that the query is encoded once
for all its documents and a long query cannot fail them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import numpy as np
from tokenizers import Encoding, Tokenizer

from .arrays import IntArray
from .text_encoding import Side, TextEncoder, open_tokenizer

MIN_WINDOW_TOKENS = 16
"""Less leaves no room for a document beside special tokens and query."""

_OVERLAP_TOKENS = 80
"""What neighbouring windows of a long document share, so that no passage is only met cut in two;
the figure that Jina's reranker v2 uses. Never more than a quarter of a window."""

_ANY_DOCUMENT = "a"
"""Any text that has a token will do to learn what stands around documents."""


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
class Frame:
    """What a tokenizer's template puts around any document beside one query.

    Learned from one pair: the template itself takes several times as long, all of it with the GIL.
    """

    before: IntArray
    """int64, shape (2, tokens): ids and type ids ahead of the document, the query among them."""
    after: IntArray
    """int64, shape (2, tokens): the same behind it."""
    document_type: int

    @classmethod
    def of(cls, pair: Encoding) -> Self | None:
        """Give what stands around the document of ``pair``; None where the document is empty."""
        places = [place for place, part in enumerate(pair.sequence_ids) if part == 1]
        if not places:
            return None
        tokens = np.array([pair.ids, pair.type_ids], np.int64)
        start, end = places[0], places[-1] + 1
        return cls(tokens[:, :start], tokens[:, end:], pair.type_ids[start])

    def around(self, ids: Sequence[int]) -> IntArray:
        """Give ids and type ids of the pair with such a document, int64, shape (2, tokens)."""
        document = np.full((2, len(ids)), self.document_type, np.int64)
        document[0] = ids
        return np.concatenate([self.before, document, self.after], axis=1)


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
    lead: str = ""
    """What a prompt puts before the document, with the query in it."""
    frame: Frame | None = None
    """How documents are joined with it, where that is known."""


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


class Encoder(Protocol):
    """Turns queries and documents into what a graph reads. Safe to use from many threads."""

    def encode_query(self, query: str, cut: Cut = WINDOW_CUT) -> EncodedQuery:
        """Encode a query, cut to half the window.

        Args:
            query: What the documents are for.
            cut: What else is to be cut of the query and of the documents joined with it.
        """
        ...

    def encode_windows(
        self, query: EncodedQuery, document: str, *, max_windows: int
    ) -> list[EncodedPair]:
        """Encode a document in overlapping windows and join each with the query.

        Args:
            query: What the document is for.
            document: Cut beyond the last window.
            max_windows: At least 1; fewer are given where the document is shorter.
        """
        ...

    def encode_documents(
        self, query: EncodedQuery, documents: Sequence[str], *, max_windows: int
    ) -> list[list[EncodedPair]]:
        """Give what ``encode_windows`` gives for each document, on as many cores as there are."""
        ...


class PairEncoder:
    """Joins query and document as the tokenizer's own template does.

    Safe to use from many threads.
    """

    def __init__(self, tokenizer: Tokenizer, *, window_tokens: int) -> None:
        """Take over ``tokenizer``: its own truncation and padding are switched off."""
        self._text = TextEncoder(tokenizer)
        self._tokenizer = tokenizer
        self._any_document = self._text.encode(_ANY_DOCUMENT, len(_ANY_DOCUMENT), "right")
        self._special_tokens = tokenizer.num_special_tokens_to_add(is_pair=True)
        self._window_tokens = window_tokens

    @classmethod
    def from_file(cls, path: Path, *, window_tokens: int) -> Self:
        """Open a ``tokenizer.json``.

        Raises:
            BundleError: the file is not a tokenizer.
        """
        return cls(open_tokenizer(path), window_tokens=window_tokens)

    def encode_query(self, query: str, cut: Cut = WINDOW_CUT) -> EncodedQuery:
        """Encode a query, as ``Encoder`` says."""
        window = lower(self._window_tokens, cut.pair_tokens)
        room = max(0, window - self._special_tokens)
        limit = lower(min(window // 2, room), cut.query_tokens)
        encoding = self._text.encode(query, limit, cut.side)
        was_cut = len(encoding) > limit
        encoding.truncate(limit, direction=cut.side)
        tokens = len(encoding)
        frame = Frame.of(self._tokenizer.post_process(encoding, self._any_document))
        return EncodedQuery(encoding, tokens, was_cut, room - tokens, cut, frame=frame)

    def encode_pair(self, query: EncodedQuery, document: str) -> EncodedPair:
        """Encode a document, cut to what the query leaves of the window, and join the two."""
        return self.encode_windows(query, document, max_windows=1)[0]

    def encode_windows(
        self, query: EncodedQuery, document: str, *, max_windows: int
    ) -> list[EncodedPair]:
        """Encode a document in overlapping windows, as ``Encoder`` says."""
        return self.encode_documents(query, [document], max_windows=max_windows)[0]

    def encode_documents(
        self, query: EncodedQuery, documents: Sequence[str], *, max_windows: int
    ) -> list[list[EncodedPair]]:
        """Encode documents in overlapping windows, as ``Encoder`` says."""
        room, side = query.room, query.cut.side
        overlap = overlap_tokens(room)
        limit = lower(tokens_in_windows(room, max_windows), query.cut.document_tokens)
        pairs: list[list[EncodedPair]] = []
        for encoding in self._text.encode_all(documents, limit, side):
            was_cut = len(encoding) > limit
            encoding.truncate(limit, direction=side)
            windows = [encoding]
            if len(encoding) > room:
                encoding.truncate(room, stride=overlap, direction=side)
                windows += encoding.overflowing
            pairs.append([self._join(query, window, was_cut=was_cut) for window in windows])
        return pairs

    def _join(self, query: EncodedQuery, window: Encoding, *, was_cut: bool) -> EncodedPair:
        if query.frame is None or not len(window):
            pair = self._tokenizer.post_process(query.encoding, window)
            ids, type_ids = np.array([pair.ids, pair.type_ids], np.int64)
        else:
            ids, type_ids = query.frame.around(window.ids)
        return EncodedPair(ids, type_ids, was_cut)


def lower(limit: int, other: int | None) -> int:
    """Give the lower of two limits, of which one may not be set."""
    return limit if other is None else min(limit, other)


def overlap_tokens(room: int) -> int:
    """Give what neighbouring windows share, each with ``room`` for so many tokens of a document."""
    return min(_OVERLAP_TOKENS, room // 4)


def tokens_in_windows(room: int, max_windows: int) -> int:
    """Give the most that a document may have to fit into so many windows, each with ``room``."""
    return room + (max_windows - 1) * (room - overlap_tokens(room))
