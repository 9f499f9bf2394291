"""Model configuration in LocalAI's YAML: a document is a model or a list of them.

    name: jina-reranker-v1-base-en
    backend: rerankers
    parameters:
      model: cross-encoder

All problems of all files are found before any of them is reported, each with its file and line.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import yaml

from .settings import MAX_WORKERS
from .yaml_reader import NULL, NodeReader, line_of

_SUFFIXES = (".yaml", ".yml")

_ALIAS_CONTEXT = "while scanning an alias"
"""What PyYAML says of a bare ``*``, which means something else in YAML."""

_READ_ERRORS = (OSError, RecursionError, yaml.YAMLError, ValueError, OverflowError)
"""The last two are PyYAML's for numbers that are too large, as in an escape."""


Name = Annotated[str, msgspec.Meta(min_length=1)]
"""A request without a name means the default model, so nobody could ask for an empty one."""


class Parameters(msgspec.Struct, frozen=True):
    """``parameters`` of a model."""

    model: str
    """A bundle's folder, a checkpoint's folder, a hub id or an alias."""


class Diffusers(msgspec.Struct, frozen=True):
    """``diffusers`` of a model; LocalAI keeps the language of a reranker here."""

    pipeline_type: str | None = None
    """The language, as ``en``."""


class ModelConfig(msgspec.Struct, frozen=True):
    """A model as a configuration file describes it."""

    name: Name
    """What callers call it."""
    backend: Literal["rerankers"]
    parameters: Parameters
    type: Literal["cross-encoder", "flashrank"] | None = None
    diffusers: Diffusers = Diffusers()
    description: str | None = None
    """For people; nothing reads it."""
    known_usecases: list[str] | None = None
    """LocalAI's own hint; every model here reranks."""
    aliases: tuple[Name, ...] = ()
    """More names for it; ``*`` answers to every name that is not taken."""
    preload: bool | None = None
    """Load it at start; where None, only the default model is."""
    variant: str | None = None
    """Run this variant; the server's choice where None."""
    workers: Annotated[int, msgspec.Meta(ge=1, le=MAX_WORKERS)] | None = None
    """Pairs scored at the same time; the server's setting where None."""
    max_length: Annotated[int, msgspec.Meta(ge=16)] | None = None
    """Tokens of a pair, fewer than the model's window to score long pairs faster."""
    long_documents: Literal["truncate", "chunk"] = "truncate"
    """Cut what is longer than the window, or read it in overlapping windows."""
    score: Literal["sigmoid", "raw"] | None = None
    """What scores are; probabilities where None."""


@dataclass(frozen=True, slots=True)
class ConfiguredModel:
    """A model's configuration and where it stands."""

    config: ModelConfig
    file: Path
    line: int

    @property
    def place(self) -> str:
        """Where to look, as ``config/model.yaml:1``."""
        return f"{self.file}:{self.line}"


def read_model_configs(path: Path) -> tuple[list[ConfiguredModel], list[str]]:
    """Read a file, or all YAML files of a folder in the order of their names.

    Returns:
        The models that are sound, and what is wrong with the others.
    """
    problems: list[str] = []
    models: list[ConfiguredModel] = []
    for file in _files(path, problems):
        models += _read_file(file, problems)
    _check_names(models, problems)
    return models, problems


def _files(path: Path, problems: list[str]) -> list[Path]:
    try:
        if not path.is_dir():
            return [path]
        files = sorted(
            file
            for file in path.iterdir()
            # Editors and file managers leave hidden files of the same ending.
            if file.suffix.lower() in _SUFFIXES and not file.name.startswith(".")
        )
    except OSError as error:
        problems.append(_problem(path, error))
        return []
    if not files:
        problems.append(f"{path} holds no {' or '.join(_SUFFIXES)} file")
    return files


def _read_file(file: Path, problems: list[str]) -> list[ConfiguredModel]:
    try:
        text = file.read_text(encoding="utf-8")
        nodes: list[yaml.Node] = list(yaml.compose_all(text, yaml.SafeLoader))
    except _READ_ERRORS as error:
        problems.append(_problem(file, error))
        return []
    described = [model for node in nodes for model in _models_of(node) if model.tag != NULL]
    if not described:
        problems.append(f"{file} describes no model")
    models: list[ConfiguredModel] = []
    for node in described:
        reader = NodeReader(file)
        config = reader.read(node, ModelConfig, "")
        problems += reader.problems
        if config is not None:
            models.append(ConfiguredModel(config, file, line_of(node)))
    return models


def _models_of(document: yaml.Node) -> list[yaml.Node]:
    """Give the models of a document: it is one, or a list of them."""
    return document.value if isinstance(document, yaml.SequenceNode) else [document]


def _problem(file: Path, error: Exception) -> str:
    match error:
        case OSError():
            return f"cannot read {file}: {error.strerror}"
        case UnicodeDecodeError():
            return f"{file} is not UTF-8: {error.reason} at byte {error.start}"
        case RecursionError():
            return f"{file} is nested too deeply"
        case yaml.MarkedYAMLError(problem_mark=yaml.Mark() as mark):
            hint = '; write "*" in quotes' if error.context == _ALIAS_CONTEXT else ""
            return f"{file}:{mark.line + 1}: {error.problem}{hint}"
        case _:
            return f"{file}: {error}"


def _check_names(models: list[ConfiguredModel], problems: list[str]) -> None:
    first: dict[str, str] = {}
    for model in models:
        for name in (model.config.name, *model.config.aliases):
            if name in first:
                problems.append(f"{model.place}: {name!r} is configured in {first[name]} already")
            first.setdefault(name, model.place)
