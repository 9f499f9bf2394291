"""What the server says when it is ready and when it stops: to a person, the log, the supervisor."""

import json
import logging
import os
import re
import socket

from ranklet import __version__
from ranklet.runtime.command_line import discard_stdout

from .catalog import Catalog
from .entries import CatalogEntry
from .settings import Settings

_log = logging.getLogger(__name__)

_SAMPLE = {
    "query": "Organic skincare products for sensitive skin",
    "documents": [
        "Eco-friendly kitchenware for modern homes",
        "Natural organic skincare range for sensitive skin",
    ],
}


def announce_ready(url: str, catalog: Catalog, settings: Settings, *, seconds: float) -> None:
    """Tell that requests are answered at ``url``, ``seconds`` after the start.

    A log of JSON gets a record, a person what to type next on stdout.
    """
    if settings.log_format == "json":
        _log.info("%(message)s", _record(url, catalog, seconds))
    else:
        _print(_banner(url, catalog, has_keys=settings.has_api_keys, seconds=seconds), url)
    tell_supervisor("READY=1")


def announce_stop(signal_name: str, requests: int) -> None:
    """Tell that a signal came, and how many ``requests`` are finished before the end."""
    message = f"{signal_name}: stopping, {requests} requests in flight"
    _log.info("%(message)s", {"message": message, "signal": signal_name, "requests": requests})
    tell_supervisor("STOPPING=1")


def tell_supervisor(state: str) -> None:
    """Tell systemd, where it waits for that (``Type=notify``); the protocol is sd_notify(3)'s."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            # An @ in front stands for the zero byte of Linux's abstract sockets.
            channel.sendto(state.encode(), re.sub("^@", "\0", address))
    except OSError as error:
        _log.warning("cannot tell the supervisor %s at %s: %s", state, address, error)


def _print(banner: str, url: str) -> None:
    try:
        print(banner, flush=True)
    except OSError as error:  # a disk that is full, a pipe that nobody reads: no reason to end
        _log.warning("listens on %s, but cannot say so on stdout: %s", url, error.strerror)
        discard_stdout()


def _record(url: str, catalog: Catalog, seconds: float) -> dict[str, object]:
    return {
        "message": f"listens on {url}",
        "url": url,
        "version": __version__,
        "seconds": round(seconds, 1),
        "models": {entry.name: _behind(entry, catalog) for entry in catalog.entries},
    }


def _banner(url: str, catalog: Catalog, *, has_keys: bool, seconds: float) -> str:
    has_model = catalog.default.spec is not None
    state = "ready" if has_model else "without a model that is installed"
    lines = [f"ranklet {__version__} listens on {url} ({state} after {seconds:.1f} s)", ""]
    for entry in catalog.entries:
        lines += [f"  {entry.name}", f"    {_behind(entry, catalog)}"]
    if has_model:
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


def _behind(entry: CatalogEntry, catalog: Catalog) -> str:
    if entry.manifest is None:
        return f"not installed; {entry.source.installation}"
    reranker = catalog.loaded(entry)
    if reranker is None:
        return f"is {entry.manifest.name}, loaded on first use"
    workers = "1 worker" if reranker.workers == 1 else f"{reranker.workers} workers"
    return f"is {reranker.name}, variant {reranker.variant} ({reranker.variant_reason}), {workers}"
