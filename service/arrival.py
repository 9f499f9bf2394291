"""Bodies on their way in: how large, how slow, and how many at once."""

import asyncio
from dataclasses import dataclass
from typing import Any

from litestar.connection import Request

from .errors import (
    BodiesFullError,
    BodyTooSlowError,
    ClientGoneError,
    MalformedBodyError,
    TooLargeError,
)

_LARGEST_AT_ONCE = 4
"""Bodies of the largest size; as many requests of the largest size may wait by default."""

_SMALL_BYTES = 65_536
"""A body up to this passes however much else is on its way: large ones lock nobody out."""

_PATIENCE_SECONDS = 30.0
"""Until a body that has stopped is given up."""

_SLOWEST_BYTES_PER_SECOND = 10_000
"""A body that comes as fast as this is read to its end: a telephone in a bad place does better."""

_MAX_DIGITS = 20
"""Of a size; more of them than any limit has."""

_DRAIN_SECONDS = 2.0


class Arrivals:
    """Reads bodies, which take memory before anybody knows what they ask for.

    For the event loop's thread alone.
    """

    def __init__(self, *, limit: int, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        """Read at most ``limit`` bytes of a body, and four times as many of all that come."""
        self._limit = limit
        self._patience_seconds = patience_seconds
        self._held = 0

    async def read(self, request: Request[Any, Any, Any]) -> bytes:
        """Read a body.

        Raises:
            TooLargeError: there is more than the limit, announced or not.
            BodyTooSlowError: it comes too slowly.
            BodiesFullError: it is not small, and too much is on its way already.
            ClientGoneError: the connection was closed.
        """
        body = _Body(request)
        try:
            self._refuse_announced(request)
            return await self._collect(body)
        except TimeoutError as error:
            raise BodyTooSlowError(body.size) from error
        except (TooLargeError, BodiesFullError):
            if body.size or "expect" not in request.headers:  # else nothing has been sent yet
                await body.drain(self._limit)
            raise

    def _refuse_announced(self, request: Request[Any, Any, Any]) -> None:
        announced = request.headers.get("content-length", "")
        # Not every server refuses digits without end, which `int` does.
        found = int(announced[:_MAX_DIGITS]) if announced.isascii() and announced.isdigit() else 0
        if found > self._limit:
            raise _too_large(found, self._limit)

    async def _collect(self, body: "_Body") -> bytes:
        chunks: list[bytes] = []
        now = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(self._patience_seconds) as deadline:
                until = now() + self._patience_seconds
                while body.has_more:
                    chunk = await body.receive()
                    chunks.append(chunk)
                    self._held += len(chunk)
                    self._check(body.size)
                    # What comes buys time, but never more than a fresh body has.
                    until += len(chunk) / _SLOWEST_BYTES_PER_SECOND
                    until = min(until, now() + self._patience_seconds)
                    deadline.reschedule(until)
            return b"".join(chunks)
        finally:
            self._held -= body.size
            chunks.clear()

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise _too_large(None, self._limit)
        at_once = _LARGEST_AT_ONCE * self._limit
        if size > _SMALL_BYTES and self._held > at_once:
            raise BodiesFullError(self._held, limit=at_once)


@dataclass(slots=True)
class _Body:
    """A body as it comes, part by part."""

    request: Request[Any, Any, Any]
    size: int = 0
    """Bytes so far."""
    has_more: bool = True

    async def receive(self) -> bytes:
        """Wait for the next part."""
        event = await self.request.receive()
        if event["type"] == "http.disconnect":
            raise ClientGoneError
        if event["type"] != "http.request":  # pragma: no cover - ASGI has no other
            raise MalformedBodyError(event["type"])
        self.has_more = event["more_body"]
        self.size += len(event["body"])
        content: bytes = event["body"]
        return content

    async def drain(self, limit: int) -> None:
        """Throw away some of what still comes.

        Closing while the other side writes would destroy our answer on its way, and most clients
        read only when they have written everything. So they get a moment and another ``limit``
        bytes.
        """
        most = self.size + limit
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while self.has_more and self.size <= most:
                    await self.receive()
        except TimeoutError:
            return


def _too_large(found: int | None, limit: int) -> TooLargeError:
    return TooLargeError(what="bytes", found=found, limit=limit, setting="RANKLET_MAX_BODY_BYTES")
