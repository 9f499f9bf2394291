"""Bodies on their way in: how large, how slow, and how many at once."""

import asyncio
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

_PATIENCE_SECONDS = 30.0
"""For any body, beside what its bytes allow for."""

_SLOWEST_BYTES_PER_SECOND = 10_000
"""A body that comes as fast as this is read to its end: a telephone in a bad place does better."""

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
            BodiesFullError: too much is on its way already. Never for a body that is here with
                its first part, as small ones are, so that large ones do not lock them out.
            ClientGoneError: the connection was closed.
        """
        await self._refuse_announced(request)
        chunks: list[bytes] = []
        size = 0
        has_more = True
        patient_until = asyncio.get_running_loop().time() + self._patience_seconds
        try:
            async with asyncio.timeout_at(patient_until) as deadline:
                while has_more:
                    chunk, has_more = await _receive(request)
                    chunks.append(chunk)
                    size += len(chunk)
                    self._held += len(chunk)
                    self._check(size, has_more=has_more)
                    deadline.reschedule(patient_until + size / _SLOWEST_BYTES_PER_SECOND)
        except TimeoutError as error:
            raise BodyTooSlowError(size) from error
        except (TooLargeError, BodiesFullError):
            chunks.clear()
            await _drain(request, self._limit)
            raise
        finally:
            self._held -= size
        return b"".join(chunks)

    async def _refuse_announced(self, request: Request[Any, Any, Any]) -> None:
        announced = request.headers.get("content-length", "")
        if not announced.isdigit() or int(announced) <= self._limit:
            return
        if "expect" not in request.headers:  # else nothing has been sent yet
            await _drain(request, self._limit)
        raise _too_large(int(announced), self._limit)

    def _check(self, size: int, *, has_more: bool) -> None:
        if size > self._limit:
            raise _too_large(None, self._limit)
        at_once = _LARGEST_AT_ONCE * self._limit
        if has_more and self._held > at_once:
            raise BodiesFullError(self._held, limit=at_once)


async def _receive(request: Request[Any, Any, Any]) -> tuple[bytes, bool]:
    event = await request.receive()
    if event["type"] == "http.disconnect":
        raise ClientGoneError
    if event["type"] != "http.request":  # pragma: no cover - ASGI has no other
        raise MalformedBodyError(event["type"])
    return event["body"], event["more_body"]


async def _drain(request: Request[Any, Any, Any], limit: int) -> None:
    """Throw away some of what still comes.

    Closing while the other side writes would destroy our answer on its way, and most clients
    read only when they have written everything. So they get a moment and another ``limit`` bytes.
    """
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            has_more = True
            drained = 0
            while has_more and drained <= limit:
                chunk, has_more = await _receive(request)
                drained += len(chunk)
    except TimeoutError:
        return


def _too_large(found: int | None, limit: int) -> TooLargeError:
    return TooLargeError(what="bytes", found=found, limit=limit, setting="RANKLET_MAX_BODY_BYTES")
