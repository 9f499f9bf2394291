"""Options: each setting is a flag of ``ranklet serve`` and a ``RANKLET_*`` variable."""

import difflib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from .errors import SettingsError
from .option_values import at_least, comma_list, one_of, origins, size
from .settings import MAX_WORKERS, Settings

_LOG_LEVELS = ("debug", "info", "warning", "error")
_LOG_FORMATS = ("plain", "json")
_MAX_PORT = 65_535

_PREFIX = "RANKLET_"

_OTHER_VARIABLES = {"RANKLET_DATA"}
"""What is no option of the server: where recipes and tests find their collections."""

_MISSPELT = 0.7
"""From this similarity on, of 1, a variable is taken for an option's that was meant. API_KEY has
0.93, SERVICE_HOST, which Kubernetes sets for a service, 0.5 with HOST."""


@dataclass(frozen=True, slots=True)
class Option:
    """How one field of ``Settings`` is written on the command line and in the environment."""

    field: str
    metavar: str
    help: str
    parse: Callable[[str], object]
    """Turns the text into the field's value, or raises ValueError with what was expected."""
    word: str = ""
    """What the option is called where that is not as the field."""
    is_repeatable: bool = False
    is_secret: bool = False
    """Only a variable, without a flag, whose value is quoted nowhere."""

    @property
    def flag(self) -> str:
        """The option on the command line."""
        return "--" + (self.word or self.field).replace("_", "-")

    @property
    def variable(self) -> str:
        """The environment variable."""
        return _PREFIX + (self.word or self.field).upper()


OPTIONS: tuple[Option, ...] = (
    Option(
        "models",
        "DIR",
        f"a bundle to serve; repeatable, in the variable separated by {os.pathsep!r}",
        Path,
        word="model",
        is_repeatable=True,
    ),
    Option("config", "FILE|DIR", "model configuration in LocalAI's YAML", Path),
    Option("models_dir", "DIR", "where configured models have their bundles", Path),
    Option("host", "HOST", "address to listen on", str),
    Option("port", "PORT", "port to listen on, 0 for a free one", at_least(0, _MAX_PORT)),
    Option("variant", "NAME", "run this variant of every bundle; unless set, the best here", str),
    Option(
        "workers",
        "N",
        "pairs scored at the same time; unless set, one a core",
        at_least(1, MAX_WORKERS),
    ),
    Option("max_documents", "N", "documents in a request", at_least(1)),
    Option("max_document_chars", "N", "characters in a query or a document", at_least(1)),
    Option(
        "max_request_chars", "N", "characters in a query and its documents together", at_least(1)
    ),
    Option("max_body_bytes", "N", "bytes of a request's body", at_least(1)),
    Option("max_queued_pairs", "N", "pairs of all requests that may wait", at_least(1)),
    Option("max_model_bytes", "SIZE", "memory of all loaded models together, as 512MiB", size),
    Option("max_queued_chars", "N", "characters of all requests that may wait", at_least(1)),
    Option(
        "score_cache_entries",
        "N",
        "scores to keep for pairs that come again, 0 for none",
        at_least(0),
        word="score_cache",
    ),
    Option("api_keys", "KEYS", "API keys that may call, comma between", comma_list, is_secret=True),
    Option("api_keys_file", "FILE", "API keys that may call, one a line", Path),
    Option("cors_origins", "LIST", "origins whose pages may call, comma between, or *", origins),
    Option("log_level", "LEVEL", ", ".join(_LOG_LEVELS), one_of(_LOG_LEVELS)),
    Option("log_format", "FORMAT", " or ".join(_LOG_FORMATS), one_of(_LOG_FORMATS)),
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
    problems += _misspelt(environment)
    # The loop above gives each field the type that its parser returns.
    settings = Settings(**cast("dict[str, Any]", values))
    if not settings.models and settings.config is None:
        problems.append("there is no model: name one with --model DIR or --config FILE|DIR")
    if problems:
        raise SettingsError(problems)
    return settings


def stray_variables(environment: Mapping[str, str]) -> list[str]:
    """Give the names of set ``RANKLET_*`` variables that are none of the options', sorted."""
    known = {option.variable for option in OPTIONS} | _OTHER_VARIABLES
    return sorted(
        name
        for name, value in environment.items()
        if value and name.startswith(_PREFIX) and name not in known
    )


def _misspelt(environment: Mapping[str, str]) -> list[str]:
    """Find variables that are nearly an option's: whoever set them counts on what they say."""
    known = [option.variable.removeprefix(_PREFIX) for option in OPTIONS]
    return [
        f"{name} is no setting; did you mean {_PREFIX}{near}?"
        for name in stray_variables(environment)
        for near in difflib.get_close_matches(
            name.removeprefix(_PREFIX), known, n=1, cutoff=_MISSPELT
        )
    ]


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
