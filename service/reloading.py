"""Reloading the models when the process is told to, as daemons do: by SIGHUP."""

import asyncio
import logging
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager

from .catalog import Catalog
from .errors import ReloadError

_log = logging.getLogger(__name__)


@contextmanager
def reloading_on_hangup(catalog: Catalog) -> Generator[None]:
    """Reload at each SIGHUP, unless the program that embeds us, or ``nohup``, has other plans."""
    is_ours = threading.current_thread() is threading.main_thread()
    if not is_ours or signal.getsignal(signal.SIGHUP) is not signal.SIG_DFL:
        yield
        return
    loop = asyncio.get_running_loop()
    running: set[asyncio.Task[None]] = set()

    def reload_soon() -> None:
        task = loop.create_task(_reload(catalog))
        running.add(task)
        task.add_done_callback(running.discard)

    loop.add_signal_handler(signal.SIGHUP, reload_soon)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        for task in running:
            task.cancel()


async def _reload(catalog: Catalog) -> None:
    try:
        await catalog.reload()
    except ReloadError as error:
        _log.error("%s", error)
