"""Token ids of many texts in one array, as they are stored and as they are gathered on a device."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Ids = NDArray[np.uint16]
"""Of a vocabulary of at most 65,536 tokens."""

FIRST, SEPARATOR = 101, 102
"""What the base's tokenizer calls [CLS] and [SEP]."""


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts, one behind the other, without special tokens."""

    ids: Ids
    """Of all texts, shape (tokens,)."""
    starts: NDArray[np.int64]
    """Where each text begins and, last, where all end, shape (texts + 1,)."""

    @classmethod
    def of(cls, texts: Sequence[Ids]) -> "Texts":
        """Put texts one behind the other."""
        starts = np.cumsum([0, *map(len, texts)])
        return cls(np.concatenate([np.empty(0, np.uint16), *texts], dtype=np.uint16), starts)

    def __len__(self) -> int:
        """Count the texts."""
        return len(self.starts) - 1

    def __getitem__(self, place: int) -> Ids:
        """Give a text's tokens, shape (tokens of the text,)."""
        start, end = self.starts[place : place + 2].tolist()
        return self.ids[start:end]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each text, shape (texts,)."""
        return np.diff(self.starts)

    def take(self, places: NDArray[np.integer]) -> "Texts":
        """Keep some texts, in the order of ``places``."""
        return Texts.of([self[place] for place in places.tolist()])


def send(values: NDArray[np.generic], device: str | torch.device) -> Tensor:
    """Copy values to a device without waiting until it has done what it was given before."""
    return torch.from_numpy(values).to(device, non_blocking=True)


class DeviceTexts:
    """Texts whose tokens lie on a device."""

    def __init__(self, texts: Texts, device: str) -> None:
        self.device = device
        self.lengths = texts.lengths
        self._starts = texts.starts
        self._ids = torch.from_numpy(texts.ids.astype(np.int32)).to(device)

    def gather(self, places: NDArray[np.integer], steps: Tensor) -> Tensor:
        """Give tokens of some texts by their distance from each text's start.

        Args:
            places: Of the texts, shape (texts,).
            steps: Distances, shape (texts, tokens) or (tokens,); those that lie outside of a text
                give any token.

        Returns:
            int64, shape (texts, tokens).
        """
        starts = send(self._starts[places], steps.device)
        return self._ids[(starts[:, None] + steps).clamp(0, len(self._ids) - 1)].long()
