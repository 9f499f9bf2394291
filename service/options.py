"""Options: each setting is a flag of ``ranklet serve`` and a ``RANKLET_*`` variable."""

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from .errors import SettingsError
from .settings import MAX_WORKERS, Settings

_LOG_LEVELS = ("debug", "info", "warning", "error")
_LOG_FORMATS = ("plain", "json")
_ORIGIN = re.compile(r"\*|[a-z][a-z0-9+.-]*://[^/?#\s,]+")
_MAX_PORT = 65_535

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*((?:[kmg]i?)?b?)", re.IGNORECASE | re.ASCII)
_UNITS = {
    prefix + suffix: factor
    for prefix, factor in {
        "": 1,
        **{letter: 1000 ** (power + 1) for power, letter in enumerate("KMG")},
        **{f"{letter}I": 1024 ** (power + 1) for power, letter in enumerate("KMG")},
    }.items()
    for suffix in ("", "B")
}
"""Bytes in a unit, in capitals: K and KB are 1000, KI and KIB 1024."""


@dataclass(frozen=True, slots=True)
class Option:
    """How one field of ``Settings`` is written on the command line and in the environment."""

    field: str
    flag: str
    metavar: str
    help: str
    parse: Callable[[str], object]
    """Turns the text into the field's value, or raises ValueError with what was expected."""
    is_repeatable: bool = False
    is_secret: bool = False
    """Only a variable, without a flag, whose value is quoted nowhere."""

    @property
    def variable(self) -> str:
        """The environment variable."""
        return "RANKLET_" + self.flag.removeprefix("--").replace("-", "_").upper()


def _at_least(lowest: int, highest: int | None = None) -> Callable[[str], int]:
    expected = f"a whole number from {lowest}" + (f" to {highest}" if highest else " up")

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise ValueError(expected) from None
        if value < lowest or (highest is not None and value > highest):
            raise ValueError(expected)
        return value

    return parse


def _size(text: str) -> int:
    found = _SIZE.fullmatch(text.strip())
    size = float(found[1]) * _UNITS[found[2].upper()] if found else 0
    if not 1 <= size < math.inf:
        message = "a number of bytes, as 512MiB, 2GB or 536870912"
        raise ValueError(message)
    return int(size)


def _one_of(words: Sequence[str]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError("one of " + ", ".join(words))
        return text.lower()

    return parse


def _comma_list(text: str) -> tuple[str, ...]:
    parts = tuple(part for part in map(str.strip, text.split(",")) if part)
    if not parts:
        message = "at least one entry beside commas"
        raise ValueError(message)
    return parts


def _origins(text: str) -> tuple[str, ...]:
    origins = _comma_list(text)
    if not all(_ORIGIN.fullmatch(origin) for origin in origins):
        message = "* or origins without a path, as https://a.example,http://localhost:3000"
        raise ValueError(message)
    return origins


OPTIONS: tuple[Option, ...] = (
    Option(
        "models",
        "--model",
        "DIR",
        f"a bundle to serve; repeatable, in the variable separated by {os.pathsep!r}",
        Path,
        is_repeatable=True,
    ),
    Option("config", "--config", "FILE|DIR", "model configuration in LocalAI's YAML", Path),
    Option("models_dir", "--models-dir", "DIR", "where configured models have their bundles", Path),
    Option("host", "--host", "HOST", "address to listen on", str),
    Option(
        "port", "--port", "PORT", "port to listen on, 0 for a free one", _at_least(0, _MAX_PORT)
    ),
    Option(
        "variant",
        "--variant",
        "NAME",
        "run this variant of every bundle; unless set, the best here",
        str,
    ),
    Option(
        "workers",
        "--workers",
        "N",
        "pairs scored at the same time; unless set, one a core",
        _at_least(1, MAX_WORKERS),
    ),
    Option("max_documents", "--max-documents", "N", "documents in a request", _at_least(1)),
    Option(
        "max_document_chars",
        "--max-document-chars",
        "N",
        "characters in a query or a document",
        _at_least(1),
    ),
    Option(
        "max_request_chars",
        "--max-request-chars",
        "N",
        "characters in a query and its documents together",
        _at_least(1),
    ),
    Option("max_body_bytes", "--max-body-bytes", "N", "bytes of a request's body", _at_least(1)),
    Option(
        "max_queued_pairs",
        "--max-queued-pairs",
        "N",
        "pairs of all requests that may wait",
        _at_least(1),
    ),
    Option(
        "max_model_bytes",
        "--max-model-bytes",
        "SIZE",
        "memory of all loaded models together, as 512MiB",
        _size,
    ),
    Option(
        "max_queued_chars",
        "--max-queued-chars",
        "N",
        "characters of all requests that may wait",
        _at_least(1),
    ),
    Option(
        "score_cache_entries",
        "--score-cache",
        "N",
        "scores to keep for pairs that come again, 0 for none",
        _at_least(0),
    ),
    Option(
        "api_keys",
        "--api-keys",
        "KEYS",
        "API keys that may call, comma between",
        _comma_list,
        is_secret=True,
    ),
    Option("api_keys_file", "--api-keys-file", "FILE", "API keys that may call, one a line", Path),
    Option(
        "cors_origins",
        "--cors-origins",
        "LIST",
        "origins whose pages may call, comma between, or *",
        _origins,
    ),
    Option("log_level", "--log-level", "LEVEL", ", ".join(_LOG_LEVELS), _one_of(_LOG_LEVELS)),
    Option(
        "log_format", "--log-format", "FORMAT", " or ".join(_LOG_FORMATS), _one_of(_LOG_FORMATS)
    ),
)


def parse_settings(flags: Mapping[str, object], environment: Mapping[str, str]) -> Settings:
    """Make settings of what was given on the command line and in the environment.

    Args:
        flags: Text by field name, lists of text where an option is repeatable, None where a flag
            was not given. Flags win over variables.
        environment: Variables by name; an empty one counts as not given.

    Raises:
        SettingsError: lists everything that is wrong.
    """
    values: dict[str, object] = {}
    problems: list[str] = []
    for option in OPTIONS:
        for source, texts in _given(option, flags, environment):
            try:
                parsed = [option.parse(text) for text in texts]
            except ValueError as error:
                problems.append(f"{source} is {os.pathsep.join(texts)!r}, expected {error}")
            else:
                values[option.field] = tuple(parsed) if option.is_repeatable else parsed[0]
    # The loop above gives each field the type that its parser returns.
    settings = Settings(**cast("dict[str, Any]", values))
    problems += _contradictions(settings)
    if problems:
        raise SettingsError(problems)
    return settings


def _given(
    option: Option, flags: Mapping[str, object], environment: Mapping[str, str]
) -> list[tuple[str, Sequence[str]]]:
    """Give where the option's text comes from and the text; nothing where it was not given."""
    flag = flags.get(option.field)
    if flag is not None:
        return [(option.flag, [flag] if isinstance(flag, str) else cast("list[str]", flag))]
    variable = environment.get(option.variable)
    if not variable:
        return []
    texts = variable.split(os.pathsep) if option.is_repeatable else [variable]
    return [(option.variable, [text for text in texts if text])]


def _contradictions(settings: Settings) -> list[str]:
    problems: list[str] = []
    if not settings.models and settings.config is None:
        problems.append("there is no model: name one with --model DIR or --config FILE|DIR")
    return problems
