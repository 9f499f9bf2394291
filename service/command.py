"""``ranklet serve``: serve models over HTTP."""

import argparse
import logging
import os
import time
from typing import TYPE_CHECKING

from .logs import configure_logging
from .options import OPTIONS, Option, parse_settings, stray_variables
from .settings import Settings

if TYPE_CHECKING:
    from .catalog import Catalog

_log = logging.getLogger(__name__)

_OPEN = (
    "%s can be reached from other machines, and no API key is set: anybody there may call; set "
    "RANKLET_API_KEYS or --api-keys-file"
)

_EPILOG = """\
every option is also a variable: --max-documents is RANKLET_MAX_DOCUMENTS; API keys have a variable,
RANKLET_API_KEYS, and a file, but no option, since options show in the list of processes

examples:
  ranklet serve --model models/built/ranklet-mini
  ranklet serve --config models/config --port 9000
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    parser.epilog = _EPILOG
    parser.allow_abbrev = False  # or `--api-keys KEY` would be taken for `--api-keys-file`
    for option in OPTIONS:
        if option.is_secret:
            continue
        parser.add_argument(
            option.flag,
            dest=option.field,
            metavar=option.metavar,
            help=_help(option),
            action="append" if option.is_repeatable else "store",
        )


def _help(option: Option) -> str:
    default = getattr(Settings(), option.field)
    text = option.help if default in {None, ()} else f"{option.help} (default: {default})"
    return text.replace("%", "%%")


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal ends it; gives the exit status."""
    started = time.monotonic()
    settings = parse_settings(vars(arguments), os.environ)
    configure_logging(settings)
    from .reloading import survive_hangup  # noqa: PLC0415 - asyncio, which parsing need not wait for

    survive_hangup()
    _warn_of_strays()
    # After parsing, so that a wrong option or `--help` need not wait for the web framework.
    from .announcement import announce_ready  # noqa: PLC0415
    from .app import create_app  # noqa: PLC0415
    from .keys import is_open_to_others  # noqa: PLC0415
    from .server import Server, bind, url_of  # noqa: PLC0415

    failures: list[Exception] = []

    def on_loaded(catalog: "Catalog") -> None:
        if catalog.failure is not None:
            failures.append(catalog.failure)
            server.stop()
        else:
            announce_ready(url, catalog, settings, seconds=time.monotonic() - started)

    app = create_app(settings, on_loaded=on_loaded)
    with bind(settings) as listener:
        url = url_of(listener)
        if not settings.has_api_keys and is_open_to_others(settings.host):
            _log.warning(_OPEN, settings.host)
        server = Server(app, log_level=settings.log_level)
        server.run(listener)
    for failure in failures:
        raise failure
    return 0


def _warn_of_strays() -> None:
    strays = stray_variables(os.environ)
    if strays:
        _log.warning(
            "no setting is called %s; `ranklet serve --help` lists those that there are",
            ", ".join(strays),
        )
