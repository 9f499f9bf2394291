"""A checkpoint's ``tokenizer.json``: there, and readable."""

from pathlib import Path

from tokenizers import Tokenizer

from ranklet.runtime.manifest import TOKENIZER_NAME

from .errors import UnsupportedCheckpointError

_CONVERTIBLE = (
    {"vocab.txt"},
    {"vocab.json", "merges.txt"},
    {"sentencepiece.bpe.model"},
    {"spiece.model"},
    {"spm.model"},
)
"""The files of tokenizers that transformers turns into fast ones."""


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
