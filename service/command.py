"""``ranklet serve``: serve models over HTTP."""

import argparse
import json
import logging
import os
import time
from typing import TYPE_CHECKING

from .logs import configure_logging
from .options import OPTIONS, Option, parse_settings
from .settings import Settings

if TYPE_CHECKING:
    from .catalog import Catalog
    from .entries import CatalogEntry

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

_SAMPLE = {
    "query": "Organic skincare products for sensitive skin",
    "documents": [
        "Eco-friendly kitchenware for modern homes",
        "Natural organic skincare range for sensitive skin",
    ],
}


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
    # After parsing, so that a wrong option or `--help` need not wait for the web framework.
    from .app import create_app  # noqa: PLC0415
    from .keys import is_open_to_others  # noqa: PLC0415
    from .server import Server, bind, url_of  # noqa: PLC0415

    failures: list[Exception] = []

    def on_loaded(catalog: "Catalog") -> None:
        if catalog.failure is not None:
            failures.append(catalog.failure)
            server.stop()
        else:
            seconds = time.monotonic() - started
            banner = _banner(url, catalog, has_keys=settings.has_api_keys, seconds=seconds)
            print(banner, flush=True)

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


def _banner(url: str, catalog: "Catalog", *, has_keys: bool, seconds: float) -> str:
    from ranklet import __version__  # noqa: PLC0415 - the banner alone needs it

    lines = [f"ranklet {__version__} listens on {url} (ready after {seconds:.1f} s)", ""]
    for entry in catalog.entries:
        lines += [f"  {entry.name}", f"    {_behind(entry, catalog)}"]
    if catalog.default.spec is not None:
        lines += ["", *_trial(url, catalog.default.name, has_keys=has_keys)]
    lines += ["", f"All routes: {url}/docs    Stop: Ctrl-C"]
    return "\n".join(lines)


def _trial(url: str, model: str, *, has_keys: bool) -> list[str]:
    key = ' -H "Authorization: Bearer $KEY"' if has_keys else ""
    return [
        "Try it, with one of the API keys in KEY:" if has_keys else "Try it:",
        "",
        f"  curl {url}/v1/rerank{key} -H 'Content-Type: application/json' \\",
        f"    -d '{json.dumps({'model': model, **_SAMPLE})}'",
    ]


def _behind(entry: "CatalogEntry", catalog: "Catalog") -> str:
    if entry.manifest is None:
        return f"not installed; install it with: {entry.source.install_command}"
    reranker = catalog.loaded(entry)
    if reranker is None:
        return f"is {entry.manifest.name}, loaded on first use"
    workers = "1 worker" if reranker.workers == 1 else f"{reranker.workers} workers"
    return f"is {reranker.name}, variant {reranker.variant} ({reranker.variant_reason}), {workers}"
