"""Model configuration in LocalAI's YAML: one model a document, one or more documents a file.

    name: jina-reranker-v1-base-en
    backend: rerankers
    parameters:
      model: cross-encoder

All problems of all files are found before any of them is reported, each with its file and line.
"""

import difflib
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
import yaml

from .errors import ModelConfigError

_SUFFIXES = (".yaml", ".yml")
_NULL = "tag:yaml.org,2002:null"

_Loaded = TypeVar("_Loaded")


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

    name: str
    """What callers call it."""
    backend: Literal["rerankers"]
    parameters: Parameters
    type: Literal["cross-encoder", "flashrank"] | None = None
    diffusers: Diffusers = Diffusers()
    description: str | None = None
    """For people; nothing reads it."""
    known_usecases: list[str] | None = None
    """LocalAI's own hint; every model here reranks."""


_NESTED = (Parameters, Diffusers)


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


def read_model_configs(path: Path) -> list[ConfiguredModel]:
    """Read a file, or all YAML files of a folder in the order of their names.

    Raises:
        ModelConfigError: lists all problems of all files.
    """
    problems: list[str] = []
    models: list[ConfiguredModel] = []
    for file in _files(path):
        models += _read_file(file, problems)
    _check_names(models, problems)
    if problems:
        raise ModelConfigError(problems)
    return models


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES)
    if not files:
        raise ModelConfigError([f"{path} holds no {' or '.join(_SUFFIXES)} file"])
    return files


def _read_file(file: Path, problems: list[str]) -> list[ConfiguredModel]:
    try:
        text = file.read_text(encoding="utf-8")
        nodes: list[yaml.Node] = list(yaml.compose_all(text, yaml.SafeLoader))
    except OSError as error:
        problems.append(f"cannot read {file}: {error.strerror}")
        return []
    except UnicodeDecodeError as error:
        problems.append(f"{file} is not UTF-8: {error.reason} at byte {error.start}")
        return []
    except yaml.YAMLError as error:
        problems.append(_syntax_problem(file, error))
        return []
    described = [node for node in nodes if node.tag != _NULL]
    if not described:
        problems.append(f"{file} describes no model")
    models: list[ConfiguredModel] = []
    for node in described:
        reader = _NodeReader(file)
        config = reader.read(node, ModelConfig, "")
        problems += reader.problems
        if config is not None:
            models.append(ConfiguredModel(config, file, _line(node)))
    return models


def _syntax_problem(file: Path, error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"{file}:{error.problem_mark.line + 1}: {error.problem}"
    return f"{file}: {error}"


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _check_names(models: list[ConfiguredModel], problems: list[str]) -> None:
    first: dict[str, str] = {}
    for model in models:
        name = model.config.name
        if name in first:
            problems.append(f"{model.place}: {name!r} is configured in {first[name]} already")
        first.setdefault(name, model.place)


class _NodeReader:
    """Reads YAML nodes as structs and collects the problems of one document."""

    def __init__(self, file: Path) -> None:
        self.problems: list[str] = []
        self._file = file

    def read(self, node: yaml.Node, kind: type[_Loaded], path: str) -> _Loaded | None:
        """Give the struct that ``node`` describes, None where there are problems."""
        if not isinstance(node, yaml.MappingNode):
            self._report(node, f"{path or 'a model'} must be a mapping of keys to values")
            return None
        known = len(self.problems)
        hints = get_type_hints(kind)
        values: dict[str, object] = {}
        for key, value in self._entries(node, list(hints), path):
            values[key] = self._value(value, hints[key], _joined(path, key))
        for field in msgspec.structs.fields(kind):  # type: ignore[arg-type]  # always a struct
            if field.required and field.name not in values:
                self._report(node, f"the key {_joined(path, field.name)!r} is missing")
        return kind(**values) if len(self.problems) == known else None

    def _entries(
        self, node: yaml.MappingNode, known: list[str], path: str
    ) -> Iterator[tuple[str, yaml.Node]]:
        """Give keys that are known with their values; a key without a value counts as absent."""
        seen: set[str] = set()
        for key_node, value in node.value:
            key = str(key_node.value)
            if key not in known:
                self._report(key_node, _unknown(_joined(path, key), key, known))
            elif key in seen:
                self._report(key_node, f"the key {_joined(path, key)!r} is there twice")
            elif value.tag != _NULL:
                yield key, value
            seen.add(key)

    def _value(self, node: yaml.Node, kind: Any, path: str) -> object:  # noqa: ANN401 - any annotation
        if kind in _NESTED:
            return self.read(node, kind, path)
        if isinstance(node, yaml.ScalarNode) and _takes_text(kind):
            # As written: a model named 1.10 is not 1.1, the language `no` is not false.
            loaded: object = node.value
        else:
            loaded = yaml.constructor.SafeConstructor().construct_document(node)
        try:
            value: object = msgspec.convert(loaded, type=kind)
        except msgspec.ValidationError as error:
            self._report(node, f"{path}: {_expectation(kind) or error}, not {loaded!r}")
            return None
        return value

    def _report(self, node: yaml.Node, problem: str) -> None:
        self.problems.append(f"{self._file}:{_line(node)}: {problem}")


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _unknown(path: str, key: str, known: list[str]) -> str:
    nearest = difflib.get_close_matches(key, known, n=1, cutoff=0)
    return f"unknown key {path!r}; did you mean {nearest[0]!r}? Known: {', '.join(known)}"


def _options(kind: Any) -> tuple[Any, ...]:  # noqa: ANN401 - any annotation
    """Give the members of a union, or the one type."""
    return get_args(kind) if get_origin(kind) is types.UnionType else (kind,)


def _choices(kind: Any) -> list[str]:  # noqa: ANN401 - any annotation
    literals = [option for option in _options(kind) if get_origin(option) is Literal]
    return [str(choice) for option in literals for choice in get_args(option)]


def _takes_text(kind: Any) -> bool:  # noqa: ANN401 - any annotation
    return str in _options(kind) or bool(_choices(kind))


def _expectation(kind: Any) -> str:  # noqa: ANN401 - any annotation
    choices = _choices(kind)
    return f"expected {' or '.join(repr(choice) for choice in choices)}" if choices else ""
