"""The JSON files of a checkpoint: the part of each that decides whether and how it is exported."""

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from .errors import UnsupportedCheckpointError

_Content = TypeVar("_Content")


class CrossEncoderConfig(msgspec.Struct):
    """What sentence-transformers adds: to ``config.json``, or in a file of its own."""

    activation_fn: str | None = None


class Config(msgspec.Struct):
    """``config.json``, which transformers writes."""

    architectures: list[str] | None = None
    model_type: str = ""
    auto_map: dict[str, Any] | None = None
    problem_type: str | None = None
    num_labels: int | None = None
    id2label: dict[str, Any] | None = None
    vocab_size: int | None = None
    max_position_embeddings: int | None = None
    pad_token_id: int | None = None
    sentence_transformers: CrossEncoderConfig | None = None
    sbert_ce_default_activation_function: str | None = None


class TokenizerConfig(msgspec.Struct):
    """``tokenizer_config.json``, which transformers writes."""

    auto_map: dict[str, Any] | None = None
    model_max_length: float | None = None
    tokenizer_class: str | None = None
    model_input_names: list[str] | None = None
    do_lower_case: bool | None = None
    strip_accents: bool | None = None
    tokenize_chinese_chars: bool | None = None

    @property
    def gives_segments(self) -> bool:
        """Whether transformers gives the model type ids, which tell query and document apart."""
        if self.model_input_names is None:
            return not (self.tokenizer_class or "").startswith("DistilBert")
        return "token_type_ids" in self.model_input_names


class TransformerConfig(msgspec.Struct):
    """``sentence_bert_config.json``, which sentence-transformers writes."""

    max_seq_length: int | None = None
    do_lower_case: bool | None = None


class Module(msgspec.Struct):
    """An entry of ``modules.json``, which sentence-transformers writes."""

    type: str
    path: str = ""

    @property
    def kind(self) -> str:
        """Name of the class."""
        return self.type.rpartition(".")[2]


class PoolingConfig(msgspec.Struct):
    """``config.json`` of a pooling module, in the notation of today and that of before."""

    pooling_mode: str | list[str] | None = None
    pooling_mode_cls_token: bool = False
    pooling_mode_max_tokens: bool = False
    pooling_mode_mean_tokens: bool = False
    pooling_mode_mean_sqrt_len_tokens: bool = False
    pooling_mode_weightedmean_tokens: bool = False
    pooling_mode_lasttoken: bool = False


class DenseConfig(msgspec.Struct):
    """``config.json`` of a linear module."""

    in_features: int
    out_features: int
    bias: bool = True
    activation_function: str = "torch.nn.modules.activation.Tanh"
    module_input_name: str = "sentence_embedding"
    use_residual: bool = False


class LayerNormConfig(msgspec.Struct):
    """``config.json`` of a normalizing module."""

    dimension: int


def read_file(source: str, folder: Path, name: str, kind: type[_Content]) -> _Content | None:
    """Read a JSON file of a checkpoint; None where there is no such file.

    Raises:
        UnsupportedCheckpointError: it is damaged.
    """
    try:
        return msgspec.json.decode((folder / name).read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnsupportedCheckpointError(source, f"its {name} is damaged: {error}") from error


def require_file(source: str, folder: Path, name: str, kind: type[_Content]) -> _Content:
    """Read a JSON file that a checkpoint cannot do without.

    Raises:
        UnsupportedCheckpointError: it is missing or damaged.
    """
    content = read_file(source, folder, name, kind)
    if content is None:
        raise UnsupportedCheckpointError(source, f"there is no {name} in it")
    return content
