"""Reloading the models when the process is told to, as daemons do: by SIGHUP."""

import asyncio
import atexit
import logging
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from ranklet.runtime.errors import RankletError

if TYPE_CHECKING:
    from .catalog import Catalog

_log = logging.getLogger(__name__)


def survive_hangup() -> None:
    """Let SIGHUP do nothing, rather than end the process, where there is no catalog to reload."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, _do_nothing)
        # Handlers in Python are taken away before the process has ended.
        atexit.register(signal.signal, signal.SIGHUP, signal.SIG_IGN)


@contextmanager
def reloading_on_hangup(catalog: "Catalog") -> Generator[None]:
    """Reload at each SIGHUP, unless the program that embeds us, or ``nohup``, has other plans."""
    is_ours = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGHUP)
    if not is_ours or before not in (signal.SIG_DFL, _do_nothing):
        yield
        return
    loop = asyncio.get_running_loop()
    running: set[asyncio.Task[None]] = set()

    def start() -> None:
        task = loop.create_task(_reload(catalog))
        running.add(task)
        task.add_done_callback(running.discard)

    def reload_soon(_number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(start)

    # Not the loop's own handlers: to remove one is to be killed by a signal just afterwards.
    signal.signal(signal.SIGHUP, reload_soon)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
        for task in running:
            task.cancel()


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    """Unlike SIG_IGN, this is told apart from what ``nohup`` has set."""


async def _reload(catalog: "Catalog") -> None:
    try:
        await catalog.reload()
    except RankletError as error:
        _log.error("%s", error)
    except Exception:  # noqa: BLE001 - nobody waits for the task, so the log is where it is told
        _log.exception("nothing was reloaded, what ran before still runs: this is a bug")
