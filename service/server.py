"""Running the application on uvicorn: an address, a process, a clean end.

uvicorn with httptools and uvloop answers as fast as granian, takes 30 MiB less memory, starts half
a second earlier and runs inside our process, where it ends as we like: see
``benchmarks/asgi_servers.py`` and its results.
"""

import asyncio
import errno
import logging
import signal
import socket
import sys
from types import FrameType
from typing import cast

import uvicorn
from litestar import Litestar

from .announcement import announce_stop
from .errors import AddressError
from .protocol import Protocol
from .settings import Settings

_BACKLOG = 2_048

_KEEP_ALIVE_SECONDS = 75
"""Longer than clients keep idle connections, so that they never send into one that just closed."""

_GRACE_SECONDS = 30
"""How long requests in flight may take after SIGTERM; see ``app`` for what then becomes of them."""


def bind(settings: Settings) -> socket.socket:
    """Take the address before anything slow is done.

    Raises:
        AddressError: it is in use, not ours or not permitted, or no address at all.
    """
    try:
        [(family, kind, protocol, _, address), *_] = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        reason = error.strerror or str(error)
        is_in_use = error.errno == errno.EADDRINUSE
        raise AddressError(
            settings.host, settings.port, reason=reason, is_in_use=is_in_use
        ) from error
    except UnicodeError as error:  # of IDNA, for a label that is empty or too long
        reason = "that is not the name of a host"
        raise AddressError(settings.host, settings.port, reason=reason) from error
    return listener


def url_of(listener: socket.socket) -> str:
    """Give the address as a URL that works on this machine."""
    host, port = listener.getsockname()[:2]
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - recognised, not bound
        host = "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server:
    """Serves an application on a socket until a signal or ``stop`` ends it."""

    def __init__(self, app: Litestar, *, log_level: str) -> None:
        """Configure uvicorn; it says little, the banner tells the rest."""
        config = uvicorn.Config(
            app,
            lifespan="on",
            log_config=None,
            log_level="warning" if log_level == "info" else log_level,
            access_log=False,  # it would show paths and queries as they came; see request_log
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
            http=Protocol,
            ws="none",
        )
        self._server = _Server(config)

    def run(self, listener: socket.socket) -> None:
        """Serve until SIGTERM or SIGINT; requests in flight are finished."""
        # uvicorn raises the signal again when it is done. SIGTERM is how a service is meant to
        # end, so that ends the process with status 0.
        signal.signal(signal.SIGTERM, _exit)
        self._server.run(sockets=[listener])

    def stop(self) -> None:
        """Stop as if a signal had come."""
        self._server.should_exit = True


class _Server(uvicorn.Server):
    """Tells what it waits for when a signal ends it."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop at the first signal, at once at the second."""
        if not self.should_exit:
            # Not here: what writes to the log may be what the signal interrupted.
            loop = asyncio.get_running_loop()
            name = signal.Signals(sig).name
            loop.call_soon_threadsafe(lambda: announce_stop(name, self._count_in_flight()))
        else:
            # The loop ends as it is. What it cancels would tell that as an error, with tracebacks.
            logging.getLogger("uvicorn.error").disabled = True
        super().handle_exit(sig, frame)

    def _count_in_flight(self) -> int:
        """Count requests without their whole answer; tasks outlive the answer for a moment."""
        connections = cast("set[Protocol]", self.server_state.connections)
        return sum(connection.is_answering for connection in connections)


def _exit(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)
