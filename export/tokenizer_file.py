"""A checkpoint's ``tokenizer.json``: there, readable, and corrected by the files beside it."""

import json
from collections.abc import Collection
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.normalizers import BertNormalizer, Lowercase, Sequence

from ranklet.runtime.manifest import TOKENIZER_NAME

from .checkpoint_files import TokenizerConfig, TransformerConfig, read_file
from .errors import UnsupportedCheckpointError

TYPE_IDS = "token_type_ids"

_CONVERTIBLE = (
    {"vocab.txt"},
    {"vocab.json", "merges.txt"},
    {"sentencepiece.bpe.model"},
    {"spiece.model"},
    {"spm.model"},
)
"""The files of tokenizers that transformers turns into fast ones."""

_GENERAL_CLASSES = frozenset(
    {"PreTrainedTokenizer", "PreTrainedTokenizerFast", "TokenizersBackend"}
)
"""Classes of transformers that correct nothing."""


def can_be_converted(folder: Path) -> bool:
    """Whether a checkpoint has a slow tokenizer alone, of a kind that can be made a fast one."""
    if (folder / TOKENIZER_NAME).exists():
        return False
    return any(all((folder / name).exists() for name in names) for names in _CONVERTIBLE)


def require_tokenizer(source: str, folder: Path) -> int:
    """Check that a checkpoint has a fast tokenizer.

    Returns:
        The number of token ids that it uses.

    Raises:
        UnsupportedCheckpointError: there is none, or it cannot be read.
    """
    path = folder / TOKENIZER_NAME
    if not path.exists():
        found = (
            f"it has no {TOKENIZER_NAME}; write one with: "
            "AutoTokenizer.from_pretrained(...).save_pretrained(...)"
        )
        raise UnsupportedCheckpointError(source, found)
    try:
        vocabulary = Tokenizer.from_file(str(path)).get_vocab()
    except Exception as error:  # the library raises bare Exception, nothing finer
        found = f"its {TOKENIZER_NAME} is damaged: {error}"
        raise UnsupportedCheckpointError(source, found) from error
    return max(vocabulary.values(), default=-1) + 1


def corrected_tokenizer(source: str, folder: Path, graph_inputs: Collection[str]) -> Tokenizer:
    """Open ``tokenizer.json`` as transformers and sentence-transformers do, without either.

    Args:
        source: The model as the user named it.
        folder: Where the files lie.
        graph_inputs: What the graph reads.

    Raises:
        UnsupportedCheckpointError: a file is damaged, or a correction is not possible.
    """
    config = read_file(source, folder, "tokenizer_config.json", TokenizerConfig)
    config = config or TokenizerConfig()
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_NAME))
    normalizer = tokenizer.normalizer
    if isinstance(normalizer, BertNormalizer) and config.tokenizer_class not in _GENERAL_CLASSES:
        tokenizer.normalizer = _corrected_normalizer(normalizer, config)
    if lowers_texts(source, folder):
        lower_texts(tokenizer)
    if TYPE_IDS in graph_inputs and not config.gives_segments:
        return without_segments(source, tokenizer)
    return tokenizer


def _corrected_normalizer(normalizer: BertNormalizer, config: TokenizerConfig) -> BertNormalizer:
    settings = {
        "lowercase": config.do_lower_case,
        "strip_accents": config.strip_accents,
        "handle_chinese_chars": config.tokenize_chinese_chars,
    }
    for name, value in settings.items():
        if value is not None:
            setattr(normalizer, name, value)
    return normalizer


def lowers_texts(source: str, folder: Path) -> bool:
    """Whether sentence-transformers lowers the case of texts, whatever the tokenizer does.

    Raises:
        UnsupportedCheckpointError: a file is damaged.
    """
    if not (folder / "modules.json").exists():  # without it the other is not read
        return False
    config = read_file(source, folder, "sentence_bert_config.json", TransformerConfig)
    return config is not None and bool(config.do_lower_case)


def lower_texts(tokenizer: Tokenizer) -> None:
    """Let ``tokenizer`` lower the case of texts before all else."""
    own = tokenizer.normalizer
    tokenizer.normalizer = Sequence([Lowercase()] if own is None else [Lowercase(), own])


def without_segments(source: str, tokenizer: Tokenizer) -> Tokenizer:
    """Give a tokenizer of the same tokens whose type ids are all 0.

    Raises:
        UnsupportedCheckpointError: its type ids are not a matter of its template.
    """
    content = json.loads(tokenizer.to_str())
    template = json.dumps(content["post_processor"])
    content["post_processor"] = json.loads(template, object_hook=_of_first_segment)
    copy = Tokenizer.from_str(json.dumps(content))
    if any(copy.encode("a", "a").type_ids):
        found = (
            "its tokenizer.json tells query and document apart by type ids, which transformers "
            "does not give to the model; add token_type_ids to model_input_names in its "
            "tokenizer_config.json if it was trained with them"
        )
        raise UnsupportedCheckpointError(source, found)
    return copy


def _of_first_segment(part: dict[str, object]) -> dict[str, object]:
    return part | {"type_id": 0} if "type_id" in part else part


def write_tokenizer(tokenizer: Tokenizer, target: Path) -> None:
    """Write what tokenization needs to ``target``, without the tokenizer's cutting and padding."""
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.no_truncation()
    copy.no_padding()
    target.write_text(copy.to_str(), encoding="utf-8")
