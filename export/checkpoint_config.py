"""Reading a checkpoint's configuration: what kind of model it is, and whether we take it."""

from dataclasses import dataclass
from pathlib import Path

from ranklet.runtime.manifest import Activation, Prompt

from .checkpoint_files import (
    Config,
    CrossEncoderConfig,
    Module,
    TokenizerConfig,
    TransformerConfig,
    read_file,
    require_file,
)
from .checkpoint_head import classifier_head, module_head
from .errors import ExportError, UnsupportedCheckpointError
from .head import AnswerHead, ClassifierHead, Head
from .prompt_template import TEMPLATES, PromptTemplate

_CLASSIFIER = "ForSequenceClassification"
_LANGUAGE_MODEL = "ForCausalLM"

_OTHER_KINDS = {
    _LANGUAGE_MODEL: (
        "a generation model; where it was trained to rerank with one of these prompts, name that "
        f"one: --template {', '.join(TEMPLATES)} (others, as those of mxbai-rerank v2 and of "
        "bge-reranker-v2-gemma, are not known)"
    ),
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


@dataclass(frozen=True, slots=True)
class CheckpointConfig:
    """A configuration that was found fit to be exported."""

    architecture: str
    head: Head
    prompt: Prompt | None
    window_tokens: int
    activation: Activation
    vocabulary_size: int | None
    """Rows of the embedding table, None where the configuration does not tell."""


def read_config(source: str, folder: Path, *, template: str | None = None) -> CheckpointConfig:
    """Read the configuration files of the checkpoint in ``folder``.

    Args:
        source: The checkpoint as the user named it.
        folder: Where the files lie.
        template: The prompt that a language model was trained to rerank with, by name.

    Raises:
        UnsupportedCheckpointError: they cannot be read or describe a model that we do not take.
        ExportError: there is no such template.
    """
    prompted = None if template is None else _find_template(template)
    config = require_file(source, folder, "config.json", Config)
    tokenizer = read_file(source, folder, "tokenizer_config.json", TokenizerConfig)
    tokenizer = tokenizer or TokenizerConfig()
    _refuse_program_code(source, config, tokenizer)
    head = _read_head(source, folder, config, prompted)
    limits = _limits(source, folder, config, tokenizer, prompted)
    return CheckpointConfig(
        _architecture(source, config),
        head,
        None if prompted is None else prompted.prompt,
        min(limits),
        _activation(source, folder, config, head),
        config.vocab_size,
    )


def read_graph_config(source: str, folder: Path, *, labels: int | None) -> CheckpointConfig:
    """Read what a graph needs that somebody else made of a checkpoint.

    The graph computes by itself: no class has to be known, and no program code of the checkpoint
    is run.

    Args:
        source: The model as the user named it.
        folder: Where the files lie.
        labels: How many numbers the graph gives; what the configuration says where None.

    Raises:
        UnsupportedCheckpointError: they cannot be read, or it gives more than two labels.
    """
    config = require_file(source, folder, "config.json", Config)
    tokenizer = read_file(source, folder, "tokenizer_config.json", TokenizerConfig)
    config.num_labels = labels or config.num_labels
    head = classifier_head(source, config)
    return CheckpointConfig(
        config.architectures[0] if config.architectures else config.model_type,
        head,
        None,
        min(_limits(source, folder, config, tokenizer or TokenizerConfig(), None)),
        _activation(source, folder, config, head),
        config.vocab_size,
    )


def _find_template(name: str) -> PromptTemplate:
    if name not in TEMPLATES:
        message = f"--template must be one of {', '.join(TEMPLATES)}, not {name}"
        raise ExportError(message)
    return TEMPLATES[name]


def needs_program_code(source: str, folder: Path) -> bool:
    """Whether transformers would run program code from the checkpoint, which is never done here.

    Raises:
        UnsupportedCheckpointError: its configuration is damaged.
    """
    config = read_file(source, folder, "config.json", Config)
    tokenizer = read_file(source, folder, "tokenizer_config.json", TokenizerConfig)
    return _names_program_code(config or Config(), tokenizer or TokenizerConfig())


def _names_program_code(config: Config, tokenizer: TokenizerConfig) -> bool:
    return bool(config.auto_map or tokenizer.auto_map)


def _refuse_program_code(source: str, config: Config, tokenizer: TokenizerConfig) -> None:
    if _names_program_code(config, tokenizer):
        found = (
            "it needs program code from the checkpoint (auto_map, trust_remote_code), which could "
            "do anything on this machine; where it has a ready graph, take that with --from onnx, "
            "or take a model whose class is part of transformers"
        )
        raise UnsupportedCheckpointError(source, found)


def _architecture(source: str, config: Config) -> str:
    if not config.architectures:
        found = "its config.json does not say which class it is (architectures)"
        raise UnsupportedCheckpointError(source, found)
    return config.architectures[0]


def _read_head(source: str, folder: Path, config: Config, template: PromptTemplate | None) -> Head:
    name = _architecture(source, config)
    if template is not None and config.model_type != template.model_type:
        found = (
            f"{name} was not trained with the prompt of --template, which is for models of the "
            f"type {template.model_type}: its scores would mean nothing"
        )
        raise UnsupportedCheckpointError(source, found)
    if template is not None and name.endswith(_LANGUAGE_MODEL):
        return template.head
    modules = read_file(source, folder, "modules.json", list[Module]) or []
    has_modules = [module.kind for module in modules] not in ([], ["Transformer"])
    if has_modules and not name.endswith(_LANGUAGE_MODEL):
        return module_head(source, folder, modules)
    if name.endswith(_CLASSIFIER):
        return classifier_head(source, config)
    kind = next((kind for end, kind in _OTHER_KINDS.items() if name.endswith(end)), "another kind")
    found = f"{name} is {kind}; a cross-encoder with one logit ({_CLASSIFIER}) is needed"
    raise UnsupportedCheckpointError(source, found)


def _limits(
    source: str,
    folder: Path,
    config: Config,
    tokenizer: TokenizerConfig,
    template: PromptTemplate | None,
) -> list[int]:
    """Give all that limits the number of tokens, at least one number of at least 1."""
    limits: list[int] = []
    if config.max_position_embeddings is not None:
        reserved = 0
        if config.model_type in _OFFSET_POSITIONS:
            reserved = 1 + (1 if config.pad_token_id is None else config.pad_token_id)
        limits.append(config.max_position_embeddings - reserved)
    if tokenizer.model_max_length is not None and tokenizer.model_max_length < _LARGEST_WINDOW:
        limits.append(int(tokenizer.model_max_length))
    transformer = read_file(source, folder, "sentence_bert_config.json", TransformerConfig)
    if transformer is not None and transformer.max_seq_length is not None:
        limits.append(transformer.max_seq_length)
    if not limits or min(limits) < 1:
        found = "neither its config.json nor its tokenizer_config.json says how long a text may be"
        raise UnsupportedCheckpointError(source, found)
    return limits if template is None else [*limits, template.window_tokens]


def _activation(source: str, folder: Path, config: Config, head: Head) -> Activation:
    """Read what sentence-transformers applies to one logit; its default is the sigmoid.

    The sigmoid of the difference of two logits is the softmax over them, which is what they mean.
    """
    if isinstance(head, AnswerHead) or (isinstance(head, ClassifierHead) and head.labels):
        return "sigmoid"
    name = "config_sentence_transformers.json"
    places = [
        read_file(source, folder, name, CrossEncoderConfig),
        config.sentence_transformers,
        CrossEncoderConfig(config.sbert_ce_default_activation_function),
        CrossEncoderConfig("torch.nn.Sigmoid"),
    ]
    named = next(place.activation_fn for place in places if place and place.activation_fn)
    activation = _ACTIVATIONS.get(named.rpartition(".")[2])
    if activation is None or not named.startswith("torch."):
        known = ", ".join(f"torch.nn.{name}" for name in _ACTIVATIONS)
        raise UnsupportedCheckpointError(source, f"it applies {named} to the logit; known: {known}")
    return activation
