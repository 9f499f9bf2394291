"""Pairs put to a language model: a prompt around query and document, as one text.

Its tokenizer may join the end of one part with the beginning of the next, as the space before a
document with its first word. So the text is encoded as a whole, and only then cut.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from tokenizers import Encoding, Tokenizer

from .manifest import Prompt
from .text_encoding import TextEncoder, open_tokenizer, repaired
from .tokenization import (
    OVERLAP_TOKENS,
    WINDOW_CUT,
    Cut,
    EncodedPair,
    EncodedQuery,
    Encoder,
    PairEncoder,
    lower,
)


def open_encoder(path: Path, *, window_tokens: int, prompt: Prompt | None) -> Encoder:
    """Open a ``tokenizer.json`` for a model that reads a prompt, or pairs where that is None.

    Raises:
        BundleError: the file is not a tokenizer.
    """
    if prompt is None:
        return PairEncoder.from_file(path, window_tokens=window_tokens)
    return PromptEncoder(open_tokenizer(path), prompt, window_tokens=window_tokens)


class PromptEncoder:
    """Encodes query and document within a prompt. Safe to use from many threads."""

    def __init__(self, tokenizer: Tokenizer, prompt: Prompt, *, window_tokens: int) -> None:
        """Take over ``tokenizer``: its own truncation and padding are switched off."""
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
        self._window_tokens = window_tokens

    def encode_query(self, query: str, cut: Cut = WINDOW_CUT) -> EncodedQuery:
        """Encode a query, as ``Encoder`` says."""
        window = min(self._window_tokens, cut.pair_tokens or self._window_tokens)
        around = len(self._prefix) + len(self._suffix) + self._fixed_tokens
        room = max(0, window - around)
        limit = lower(min(window // 2, room), cut.query_tokens)
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
        overlap = min(OVERLAP_TOKENS, query.room // 4)
        in_windows = query.room + (max_windows - 1) * (query.room - overlap)
        limit = lower(in_windows, query.cut.document_tokens)
        texts = [query.lead + document for document in documents]
        most = self._fixed_tokens + query.tokens + limit
        encodings = self._text.encode_all(texts, most, "right")
        return [
            self._encode(query, document, whole, limit, overlap)
            for document, whole in zip(documents, encodings, strict=True)
        ]

    def _encode(
        self, query: EncodedQuery, document: str, whole: Encoding, limit: int, overlap: int
    ) -> list[EncodedPair]:
        """Give the windows of a document, of which ``whole`` is the encoding behind the lead."""
        lead_tokens = self._fixed_tokens + query.tokens
        start = sum(end <= len(query.lead) for _, end in whole.offsets)
        lead, tokens = whole.ids[:start], whole.ids[start:]
        # Tokens of the lead that joined with others count for the document.
        limit += max(0, lead_tokens - start)
        was_cut = len(tokens) > limit
        if was_cut and query.cut.side == "left":
            tokens = self._text.encode(document, limit, "left").ids[-limit:] if limit else []
        room = max(1, query.room + lead_tokens - start)
        windows = _windows(tokens[:limit], room, overlap)
        return [self._join(lead + window, was_cut=was_cut) for window in windows]

    def _join(self, body: list[int], *, was_cut: bool) -> EncodedPair:
        ids = np.array([*self._prefix, *body, *self._suffix], np.int64)
        return EncodedPair(ids, np.zeros_like(ids), was_cut)


def _kept(text: str, encoding: Encoding, tokens: int, cut: Cut) -> str:
    """Give the part of ``text`` that so many tokens at its kept side stand for."""
    if tokens == 0:
        return ""
    if cut.side == "right":
        return text[: encoding.offsets[tokens - 1][1]]
    start, end = encoding.offsets[-tokens][0], encoding.offsets[-1][1]
    return text[-(end - start) :]


def _windows(tokens: list[int], room: int, overlap: int) -> Iterator[list[int]]:
    """Give stretches of at most ``room`` tokens that share ``overlap`` of them."""
    yield tokens[:room]
    step = room - overlap
    for start in range(step, len(tokens) - overlap, step):
        yield tokens[start : start + room]
