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


def cut_passages(documents: Sequence[str], words: Sequence[Sequence[int]]) -> Passages:
    """Cut each document at ends of sentences.

    Args:
        documents: Texts.
        words: How long a passage may be: each document is cut once for each of these sequences, by
            one of its lengths, chosen by the document's checksum. A longer sentence is a passage
            of its own; of equal passages of a document there is one.
    """
    cut = [_cut_by_all(text, words) for text in documents]
    starts = np.cumsum([0, *map(len, cut)])
    return Passages([passage for passages in cut for passage in passages], starts)


def _cut_by_all(text: str, words: Sequence[Sequence[int]]) -> list[str]:
    chosen = (lengths[crc32(text.encode()) % len(lengths)] for lengths in words)
    return list(dict.fromkeys(passage for length in chosen for passage in _cut(text, length)))


def _cut(text: str, words: int) -> list[str]:
    passages: list[str] = []
    parts: list[str] = []
    held = 0
    for sentence in filter(str.strip, _SENTENCE_END.split(text)):
        length = len(sentence.split())
        if parts and held + length > words:
            passages.append(" ".join(parts))
            parts, held = [], 0
        parts.append(sentence)
        held += length
    return [*passages, " ".join(parts)]
