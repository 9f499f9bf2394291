"""Bodies on their way in: their size, their pace, and how many come at once."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar.connection import Request
from litestar.testing import RequestFactory

from ranklet.service.app import create_app
from ranklet.service.arrival import Arrivals
from ranklet.service.errors import BodiesFullError, BodyTooSlowError, TooLargeError
from ranklet.service.settings import Settings

PATIENCE_SECONDS = 0.2


def request_of(parts: Sequence[bytes], *, pause_seconds: float = 0) -> Request[Any, Any, Any]:
    """Make a request whose body comes in parts, with a pause before each, and never ends."""
    left = list(parts)

    async def receive() -> Any:  # noqa: ANN401 - an ASGI event
        if not left:
            await asyncio.Event().wait()
        await asyncio.sleep(pause_seconds)
        return {"type": "http.request", "body": left.pop(0), "more_body": True}

    return Request(RequestFactory().post("/").scope, receive)


def whole(body: bytes) -> Request[Any, Any, Any]:
    """Make a request whose body comes in one part."""

    async def receive() -> Any:  # noqa: ANN401 - an ASGI event
        return {"type": "http.request", "body": body, "more_body": False}

    return Request(RequestFactory().post("/").scope, receive)


def run(work: Callable[[Arrivals], Awaitable[None]], *, limit: int = 100) -> None:
    async def begin() -> None:
        await work(Arrivals(limit=limit, patience_seconds=PATIENCE_SECONDS))

    asyncio.run(begin())


@pytest.mark.parametrize("parts", [[], [b"a"], [b"a", b"b"]], ids=len)
def test_a_body_that_stops_is_not_waited_for(parts: list[bytes]) -> None:
    async def work(arrivals: Arrivals) -> None:
        with pytest.raises(BodyTooSlowError, match=f"slowly: {len(parts)} bytes"):
            await arrivals.read(request_of(parts))

    run(work)


def test_a_body_that_trickles_is_not_waited_for() -> None:
    async def work(arrivals: Arrivals) -> None:
        with pytest.raises(BodyTooSlowError):
            await arrivals.read(request_of([b"a"] * 100, pause_seconds=0.05))

    run(work)


def test_patience_grows_with_what_has_come() -> None:
    async def work(arrivals: Arrivals) -> None:
        # Ten parts that take longer than the patience; each buys another tenth of a second.
        parts = [b"a" * 1_000] * 10
        with pytest.raises(BodyTooSlowError, match="10,000 bytes"):
            await arrivals.read(request_of(parts, pause_seconds=0.05))

    run(work, limit=100_000)


def test_large_bodies_share_what_there_is_and_small_ones_pass() -> None:
    async def work(arrivals: Arrivals) -> None:
        stopped = [arrivals.read(request_of([b"a" * 99])) for _ in range(4)]
        waiting = [asyncio.create_task(read) for read in stopped]
        await asyncio.sleep(0)
        with pytest.raises(BodiesFullError, match="at most 400"):
            await arrivals.read(request_of([b"a" * 50]))
        assert await arrivals.read(whole(b"a" * 100)) == b"a" * 100
        for read in waiting:
            read.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        with pytest.raises(BodyTooSlowError):  # their places are free again
            await arrivals.read(request_of([b"a" * 50]))

    run(work)


@pytest.mark.parametrize("parts", [[b"a" * 101], [b"a" * 60, b"a" * 60]], ids=len)
def test_what_is_refused_frees_its_place(parts: list[bytes]) -> None:
    async def work(arrivals: Arrivals) -> None:
        for _ in range(5):
            with pytest.raises(TooLargeError):
                await arrivals.read(request_of([*parts, b"a" * 1000]))

    run(work)


def test_a_slow_caller_hears_why(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    impatient = partial(Arrivals, patience_seconds=PATIENCE_SECONDS)
    monkeypatch.setattr("ranklet.service.app.Arrivals", impatient)
    app = create_app(Settings(models=(tiny_bundle,)))

    async def slow() -> AsyncIterator[bytes]:
        yield json.dumps({"query": "a", "documents": ["b"]}).encode()
        await asyncio.sleep(60)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]  # Litestar types its own way
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return await client.post("/v1/rerank", content=slow())

    response = asyncio.run(ask())
    assert response.status_code == 408
    assert response.headers["connection"] == "close"
    assert response.json()["error"]["code"] == "body_too_slow"
