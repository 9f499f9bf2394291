"""Pairs put to a language model: a prompt around query and document, as one text.

Its tokenizer may join the end of one part with the beginning of the next, as the space before a
document with its first word. So the text is encoded as a whole, and only then cut.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from tokenizers import Encoding, Tokenizer

from .errors import InputError
from .manifest import Prompt
from .text_encoding import TextEncoder, open_tokenizer, repaired
from .tokenization import (
    MIN_WINDOW_TOKENS,
    WINDOW_CUT,
    Cut,
    EncodedPair,
    EncodedQuery,
    Encoder,
    PairEncoder,
    lower,
    overlap_tokens,
    tokens_in_windows,
)

_MIN_DOCUMENT_TOKENS = MIN_WINDOW_TOKENS // 2
"""What a query leaves of the least window, whatever the prompt takes."""


def open_encoder(path: Path, *, window_tokens: int, prompt: Prompt | None) -> Encoder:
    """Open a ``tokenizer.json`` for a model that reads a prompt, or pairs where that is None.

    Raises:
        BundleError: the file is not a tokenizer.
        InputError: the prompt fills the window.
    """
    if prompt is None:
        return PairEncoder.from_file(path, window_tokens=window_tokens)
    return PromptEncoder(open_tokenizer(path), prompt, window_tokens=window_tokens)


class PromptEncoder:
    """Encodes query and document within a prompt. Safe to use from many threads."""

    def __init__(self, tokenizer: Tokenizer, prompt: Prompt, *, window_tokens: int) -> None:
        """Take over ``tokenizer``: its own truncation and padding are switched off.

        Raises:
            InputError: the prompt fills the window.
        """
        self._text = TextEncoder(tokenizer)
        self._prefix, self._suffix = (
            tokenizer.encode(text, add_special_tokens=False).ids
            for text in (prompt.prefix, prompt.suffix)
        )
        body = prompt.body.replace("{instruction}", prompt.instruction)
        self._before_query, _, rest = body.partition("{query}")
        self._before_document = rest.partition("{document}")[0]
        fixed = self._before_query + self._before_document
        self._fixed_tokens = len(tokenizer.encode(fixed, add_special_tokens=False))
        self._around = len(self._prefix) + len(self._suffix) + self._fixed_tokens
        self._min_tokens = self._around + MIN_WINDOW_TOKENS
        if window_tokens < self._min_tokens:
            message = (
                f"window_tokens must be at least {self._min_tokens} for this model's prompt, "
                f"not {window_tokens}"
            )
            raise InputError(message)
        self._window_tokens = window_tokens

    def encode_query(self, query: str, cut: Cut = WINDOW_CUT) -> EncodedQuery:
        """Encode a query, as ``Encoder`` says."""
        # A request may ask for less than the prompt takes: length is no error.
        window = max(self._min_tokens, lower(self._window_tokens, cut.pair_tokens))
        room = window - self._around
        limit = lower(min(window // 2, room - _MIN_DOCUMENT_TOKENS), cut.query_tokens)
        query = repaired(query)
        encoding = self._text.encode(query, limit, cut.side)
        was_cut = len(encoding) > limit
        if was_cut:
            query = _kept(query, encoding, limit, cut)
        tokens = min(len(encoding), limit)
        lead = self._before_query + query + self._before_document
        return EncodedQuery(encoding, tokens, was_cut, room - tokens, cut, lead)

    def encode_windows(
        self, query: EncodedQuery, document: str, *, max_windows: int
    ) -> list[EncodedPair]:
        """Encode a document in overlapping windows, as ``Encoder`` says."""
        return self.encode_documents(query, [document], max_windows=max_windows)[0]

    def encode_documents(
        self, query: EncodedQuery, documents: Sequence[str], *, max_windows: int
    ) -> list[list[EncodedPair]]:
        """Encode documents in overlapping windows, as ``Encoder`` says."""
        most = lower(tokens_in_windows(query.room, max_windows), query.cut.document_tokens)
        most += self._fixed_tokens + query.tokens
        texts = [query.lead + document for document in documents]
        encodings = self._text.encode_all(texts, most, "right")
        return [
            self._encode(query, document, whole, most, max_windows)
            for document, whole in zip(documents, encodings, strict=True)
        ]

    def _encode(
        self, query: EncodedQuery, document: str, whole: Encoding, most: int, max_windows: int
    ) -> list[EncodedPair]:
        """Give the windows of a document, of which ``whole`` is the encoding behind the lead."""
        start = sum(end <= len(query.lead) for _, end in whole.offsets)
        lead, tokens = whole.ids[:start], whole.ids[start:]
        # Parts of the lead may have joined, also with the document: its tokens are counted anew.
        room = max(1, query.room + self._fixed_tokens + query.tokens - start)
        limit = max(0, min(tokens_in_windows(room, max_windows), most - start))
        was_cut = len(tokens) > limit
        if was_cut and query.cut.side == "left":
            tokens = self._text.encode(document, limit, "left").ids[-limit:] if limit else []
        windows = _windows(tokens[:limit], room)
        return [self._join(lead + window, was_cut=was_cut) for window in windows]

    def _join(self, body: list[int], *, was_cut: bool) -> EncodedPair:
        ids = np.array([*self._prefix, *body, *self._suffix], np.int64)
        return EncodedPair(ids, np.zeros_like(ids), was_cut)


def _kept(text: str, encoding: Encoding, tokens: int, cut: Cut) -> str:
    """Give the part of ``text`` that so many tokens at its kept side stand for.

    A character of several tokens, not all of which are kept, is not kept either.
    """
    offsets = encoding.offsets
    if cut.side == "right":
        return text[: min(offsets[tokens - 1][1], offsets[tokens][0])] if tokens else ""
    start = max(offsets[-tokens][0], offsets[-tokens - 1][1]) if tokens else offsets[-1][1]
    return text[len(text) - (offsets[-1][1] - start) :]


def _windows(tokens: list[int], room: int) -> Iterator[list[int]]:
    """Give stretches of at most ``room`` tokens that overlap."""
    yield tokens[:room]
    overlap = overlap_tokens(room)
    step = room - overlap
    for start in range(step, len(tokens) - overlap, step):
        yield tokens[start : start + room]
