"""From YAML nodes to structs: every problem with its file and line, every unknown key by name."""

import difflib
import re
import reprlib
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
import yaml

_YAML = "tag:yaml.org,2002:"
NULL = f"{_YAML}null"

_Loaded = TypeVar("_Loaded")

_SHORTENED = reprlib.Repr()
_SHORTENED.maxlevel = 2  # anchors make megabytes of a few lines, most of all by nesting

_TEXTS = {list[str], tuple[str, ...]}

_WORDS = {bool: "true or false", int: "a whole number", str: "text that is not empty"}
_LIST = "a list of texts that are not empty, as [a, b]"

_BOUND = re.compile(r"(?<=`int` )[<>]= \d+")
"""In what msgspec says of a number that is too small or too large."""

_MERGE_KEY = "<<"

_OF_LOCALAI = frozenset(
    "context_size debug download_files embeddings f16 files gpu_layers icon license low_vram mmap "
    "mmlock numa options parameters.batch parameters.max_tokens parameters.seed "
    "parameters.temperature parameters.top_k parameters.top_p rerank reranking tags template "
    "threads urls usage".split()
)
"""Keys that models have there for other backends, or for its gallery."""

_CONVERSION_ERRORS = (yaml.YAMLError, ValueError, LookupError, AttributeError)
"""What PyYAML raises, more by chance than by design, for a value that is not what its tag says."""


class NodeReader:
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
        limited = get_type_hints(kind, include_extras=True)
        values: dict[str, object] = {}
        for key, value in self._entries(node, list(hints), path):
            values[key] = self._value(value, hints[key], limited[key], _joined(path, key))
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
            elif value.tag != NULL:
                yield key, value
            seen.add(key)

    def _value(self, node: yaml.Node, kind: Any, limited: Any, path: str) -> object:  # noqa: ANN401 - any annotation
        """Give the value of a key of type ``kind``, which is ``limited`` where not all may be."""
        if _is_struct(kind):
            return self.read(node, kind, path)
        try:
            loaded = _loaded(node, kind)
        except _CONVERSION_ERRORS:
            self._report(node, f"{path}: not a valid {node.tag.removeprefix(_YAML)}")
            return None
        try:
            value: object = msgspec.convert(loaded, type=limited)
        except msgspec.ValidationError as error:
            found = _SHORTENED.repr(loaded)
            self._report(node, f"{path}: expected {_expectation(kind, error)}, not {found}")
            return None
        return value

    def _report(self, node: yaml.Node, problem: str) -> None:
        self.problems.append(f"{self._file}:{line_of(node)}: {problem}")


def line_of(node: yaml.Node) -> int:
    """Give the line where ``node`` begins, from 1."""
    return int(node.start_mark.line) + 1


def _loaded(node: yaml.Node, kind: Any) -> object:  # noqa: ANN401 - any annotation
    # Text as written: a model named 1.10 is not 1.1, the language `no` is not false.
    if isinstance(node, yaml.ScalarNode) and _takes_text(kind):
        node.value.encode()  # raises where an escape spells what is no character
        return node.value
    if isinstance(node, yaml.SequenceNode) and _TEXTS & {*_options(kind)}:
        return [_loaded(item, str) for item in node.value]
    value: object = yaml.constructor.SafeConstructor().construct_document(node)
    return value


def _is_struct(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _unknown(path: str, key: str, known: list[str]) -> str:
    if path in _OF_LOCALAI:
        instead = "; `workers` says how many pairs are scored at once" if key == "threads" else ""
        return f"the key {path!r} of LocalAI does nothing here, remove it{instead}"
    if key == _MERGE_KEY:
        return "merge keys (<<) are not read: write the keys out"
    nearest = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    return f"unknown key {path!r}; {hint}Known: {', '.join(known)}"


def _options(kind: Any) -> tuple[Any, ...]:  # noqa: ANN401 - any annotation
    """Give the members of a union, or the one type."""
    return get_args(kind) if get_origin(kind) in {types.UnionType, Union} else (kind,)


def _choices(kind: Any) -> list[str]:  # noqa: ANN401 - any annotation
    literals = [option for option in _options(kind) if get_origin(option) is Literal]
    return [str(choice) for option in literals for choice in get_args(option)]


def _takes_text(kind: Any) -> bool:  # noqa: ANN401 - any annotation
    return str in _options(kind) or bool(_choices(kind))


def _expectation(kind: Any, error: msgspec.ValidationError) -> str:  # noqa: ANN401 - any annotation
    """Say in words what a key takes."""
    choices = _choices(kind)
    if choices:
        return " or ".join(repr(choice) for choice in choices)
    bound = _BOUND.search(str(error))
    words = next((words for known, words in _WORDS.items() if known in _options(kind)), _LIST)
    return f"{words} {bound[0]}" if bound else words
