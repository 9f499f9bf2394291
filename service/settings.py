"""Settings of the service: each is a flag of ``ranklet serve`` and a ``RANKLET_*`` variable."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from .errors import SettingsError

LogLevel = Literal["debug", "info", "warning", "error"]

_LOG_LEVELS = ("debug", "info", "warning", "error")
_MAX_PORT = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that the service can be told."""

    models: tuple[Path, ...] = ()
    """Bundles to serve under their own names; the first is the default model."""
    config: Path | None = None
    """Model configuration in LocalAI's YAML: a file, or a folder of files."""
    models_dir: Path = Path("models/built")
    """Where the models that the configuration names have their bundles."""
    host: str = "127.0.0.1"
    port: int = 8080
    """0 takes a free port."""
    variant: str | None = None
    """Variant of every bundle; where None, the one that fits the processor best."""
    workers: int | None = None
    """Pairs scored at the same time; as many as there are cores where None."""
    max_documents: int = 1_000
    """Documents in a request; what Cohere recommends as the most."""
    max_document_chars: int = 2_000_000
    """Characters in a query or a document. Length costs little, a model reads only its window."""
    max_request_chars: int = 8_000_000
    """Characters in a request, query and documents together."""
    max_body_bytes: int = 16_777_216
    """Bytes of a request's body. Decoding holds up everything else, about 1 ms a megabyte, so this
    also bounds how long a health check may have to wait."""
    max_queued_pairs: int = 4_000
    """Pairs of all requests that may wait: four of the largest requests."""
    log_level: LogLevel = "info"


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


def _log_level(text: str) -> str:
    if text.lower() not in _LOG_LEVELS:
        raise ValueError("one of " + ", ".join(_LOG_LEVELS))
    return text.lower()


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
    Option("variant", "--variant", "NAME", "run this variant of every bundle", str),
    Option("workers", "--workers", "N", "pairs scored at the same time", _at_least(1)),
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
    Option("log_level", "--log-level", "LEVEL", ", ".join(_LOG_LEVELS), _log_level),
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
    if settings.max_queued_pairs < settings.max_documents:
        problems.append(
            f"--max-queued-pairs is {settings.max_queued_pairs}, less than --max-documents, "
            f"{settings.max_documents}: the largest request could never be queued"
        )
    return problems
