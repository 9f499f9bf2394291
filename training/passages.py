"""Documents cut into passages, so that the model sees short texts and long ones."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

_SENTENCE_END = re.compile(r"(?<=[.!?:;])\s+|\n+")


@dataclass(frozen=True, slots=True)
class Passages:
    """Passages of documents, those of one beside each other."""

    texts: list[str]
    starts: NDArray[np.int64]
    """The place of each document's first passage, shape (documents + 1,)."""

    def of(self, document: int | None) -> NDArray[np.int64]:
        """Give the places of a document's passages; of none, none."""
        if document is None:
            return np.empty(0, dtype=np.int64)
        first, end = self.starts[document : document + 2].tolist()
        return np.arange(first, end, dtype=np.int64)


def cut_passages(documents: Sequence[str], words: Sequence[int]) -> Passages:
    """Cut each document at ends of sentences.

    Args:
        documents: Texts.
        words: How long a passage may be, one of them for each document, chosen by its checksum;
            none where documents stay whole. A longer sentence is a passage of its own.
    """
    if not words:
        return Passages(list(documents), np.arange(len(documents) + 1))
    cut = [_cut(text, words[crc32(text.encode()) % len(words)]) for text in documents]
    starts = np.cumsum([0, *map(len, cut)])
    return Passages([passage for passages in cut for passage in passages], starts)


def _cut(text: str, words: int) -> list[str]:
    passages: list[str] = []
    parts: list[str] = []
    held = 0
    for sentence in _SENTENCE_END.split(text):
        length = len(sentence.split())
        if parts and held + length > words:
            passages.append(" ".join(parts))
            parts, held = [], 0
        parts.append(sentence)
        held += length
    return [*passages, " ".join(parts)]
