"""Reading a checkpoint's configuration: what kind of model it is, and whether we take it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ranklet.runtime.manifest import Activation

from .errors import UnsupportedCheckpointError

_CLASSIFIER = "ForSequenceClassification"

_OTHER_KINDS = {
    "ForCausalLM": "a generation model",
    "LMHeadModel": "a generation model",
    "ForConditionalGeneration": "a generation model",
    "ForMaskedLM": "a masked language model, not trained to rank",
    "ForPreTraining": "a pretrained model, not trained to rank",
    "ForTokenClassification": "a model that labels tokens",
    "ForQuestionAnswering": "a model that extracts answers",
    "ForMultipleChoice": "a multiple choice model",
    "Model": "an encoder without a head that gives scores",
}
"""What a class is, by the end of its name; the first that fits."""

_OFFSET_POSITIONS = frozenset(
    "camembert data2vec-text ibert longformer mpnet roberta roberta-prelayernorm xlm-roberta "
    "xlm-roberta-xl xmod".split()
)
"""Models that count positions from the padding token's id + 1: fewer tokens fit than positions."""

_ACTIVATIONS: dict[str, Activation] = {"Sigmoid": "sigmoid", "Identity": "identity"}

_LARGEST_WINDOW = 1 << 20
"""Tokenizers without a limit say 1e30."""

_Struct = TypeVar("_Struct", bound=msgspec.Struct)


class _CrossEncoderConfig(msgspec.Struct):
    """What sentence-transformers adds to ``config.json``."""

    activation_fn: str | None = None


class _Config(msgspec.Struct):
    """The part of ``config.json`` that decides."""

    architectures: list[str] | None = None
    model_type: str = ""
    auto_map: dict[str, Any] | None = None
    problem_type: str | None = None
    num_labels: int | None = None
    id2label: dict[str, Any] | None = None
    vocab_size: int | None = None
    max_position_embeddings: int | None = None
    pad_token_id: int | None = None
    sentence_transformers: _CrossEncoderConfig | None = None
    sbert_ce_default_activation_function: str | None = None


class _TokenizerConfig(msgspec.Struct):
    """The part of ``tokenizer_config.json`` that decides."""

    auto_map: dict[str, Any] | None = None
    model_max_length: float | None = None


class _Module(msgspec.Struct):
    """An entry of ``modules.json``, which sentence-transformers writes."""

    type: str


@dataclass(frozen=True, slots=True)
class CheckpointConfig:
    """A configuration that was found fit to be exported."""

    architecture: str
    window_tokens: int
    activation: Activation
    vocabulary_size: int | None
    """Rows of the embedding table, None where the configuration does not tell."""


def read_config(source: str, folder: Path) -> CheckpointConfig:
    """Read the configuration files of the checkpoint in ``folder``.

    Raises:
        UnsupportedCheckpointError: they cannot be read or describe a model that we do not take.
    """
    config = _read(source, folder / "config.json", _Config)
    if config is None:
        raise UnsupportedCheckpointError(source, "there is no config.json in it")
    tokenizer = _read(source, folder / "tokenizer_config.json", _TokenizerConfig)
    tokenizer = tokenizer or _TokenizerConfig()
    _refuse_remote_code(source, config, tokenizer)
    architecture = _require_classifier(source, config)
    _require_one_logit(source, config)
    _refuse_modules(source, folder)
    return CheckpointConfig(
        architecture,
        _window_tokens(source, config, tokenizer),
        _activation(source, config),
        config.vocab_size,
    )


def _read(source: str, path: Path, kind: type[_Struct]) -> _Struct | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnsupportedCheckpointError(source, f"its {path.name} is damaged: {error}") from error


def _refuse_remote_code(source: str, config: _Config, tokenizer: _TokenizerConfig) -> None:
    if config.auto_map or tokenizer.auto_map:
        found = (
            "it needs program code from the checkpoint (auto_map, trust_remote_code), which could "
            "do anything on this machine; take a model whose class is part of transformers"
        )
        raise UnsupportedCheckpointError(source, found)


def _require_classifier(source: str, config: _Config) -> str:
    if not config.architectures:
        found = "its config.json does not say which class it is (architectures)"
        raise UnsupportedCheckpointError(source, found)
    name = config.architectures[0]
    if name.endswith(_CLASSIFIER):
        return name
    kind = next((kind for end, kind in _OTHER_KINDS.items() if name.endswith(end)), "another kind")
    found = f"{name} is {kind}; a cross-encoder with one logit ({_CLASSIFIER}) is needed"
    raise UnsupportedCheckpointError(source, found)


def _require_one_logit(source: str, config: _Config) -> None:
    labels = config.num_labels or (2 if config.id2label is None else len(config.id2label))
    if labels == 1:
        return
    kind = "labels of which several may hold" if _is_multi_label(config) else "labels"
    found = f"it gives {labels} {kind}; a cross-encoder with one logit is needed"
    raise UnsupportedCheckpointError(source, found)


def _is_multi_label(config: _Config) -> bool:
    return config.problem_type == "multi_label_classification"


def _refuse_modules(source: str, folder: Path) -> None:
    """Refuse heads that sentence-transformers keeps beside the model: they would be lost."""
    path = folder / "modules.json"
    if not path.exists():
        return
    try:
        modules = msgspec.json.decode(path.read_bytes(), type=list[_Module])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnsupportedCheckpointError(source, f"its modules.json is damaged: {error}") from error
    kinds = [module.type.rpartition(".")[2] for module in modules]
    if kinds not in ([], ["Transformer"]):
        found = f"its modules.json adds {', '.join(kinds)}, a head that cannot be exported yet"
        raise UnsupportedCheckpointError(source, found)


def _window_tokens(source: str, config: _Config, tokenizer: _TokenizerConfig) -> int:
    limits: list[int] = []
    if config.max_position_embeddings is not None:
        reserved = 0
        if config.model_type in _OFFSET_POSITIONS:
            reserved = 1 + (1 if config.pad_token_id is None else config.pad_token_id)
        limits.append(config.max_position_embeddings - reserved)
    if tokenizer.model_max_length is not None and tokenizer.model_max_length < _LARGEST_WINDOW:
        limits.append(int(tokenizer.model_max_length))
    if not limits or min(limits) < 1:
        found = "neither its config.json nor its tokenizer_config.json says how long a text may be"
        raise UnsupportedCheckpointError(source, found)
    return min(limits)


def _activation(source: str, config: _Config) -> Activation:
    """Read what sentence-transformers applies to the logit; its default is the sigmoid."""
    named = config.sbert_ce_default_activation_function
    if config.sentence_transformers is not None:
        named = config.sentence_transformers.activation_fn or named
    if named is None:
        return "sigmoid"
    name = named.rpartition(".")[2]
    if name not in _ACTIVATIONS:
        found = f"it applies {named} to the logit; known are {', '.join(_ACTIVATIONS)}"
        raise UnsupportedCheckpointError(source, found)
    return _ACTIVATIONS[name]
