"""Bodies on their way in: their size, their pace, and how many come at once."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.connection import Request
from litestar.testing import RequestFactory

from ranklet.service.app import create_app
from ranklet.service.arrival import Arrivals
from ranklet.service.errors import BodiesFullError, BodyTooSlowError, TooLargeError
from ranklet.service.settings import Settings

PATIENCE_SECONDS = 0.2
KB = 1_000


@pytest.fixture(autouse=True)
def short_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not throw away for long what never ends."""
    monkeypatch.setattr("ranklet.service.arrival._DRAIN_SECONDS", 0.05)


def request_of(
    *parts: bytes, pause_seconds: float = 0, ends: bool = False
) -> Request[Any, Any, Any]:
    """Make a request whose body comes in parts, a pause before each, and stops or ends."""
    left = list(parts)

    async def receive() -> Any:  # noqa: ANN401 - an ASGI event
        if not left:
            await asyncio.Event().wait()
        await asyncio.sleep(pause_seconds)
        part = left.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(left) or not ends}

    app = Litestar(logging_config=None)  # else it would change what everybody logs
    return Request(RequestFactory(app).post("/").scope, receive)


def run(
    work: Callable[[Arrivals], Awaitable[None]],
    *,
    limit: int = 100 * KB,
    patience_seconds: float = PATIENCE_SECONDS,
) -> None:
    async def begin() -> None:
        await work(Arrivals(limit=limit, patience_seconds=patience_seconds))

    asyncio.run(begin())


@pytest.mark.parametrize("parts", [[], [b"a"], [b"a", b"b"]], ids=len)
def test_a_body_that_stops_is_given_up(parts: list[bytes]) -> None:
    async def work(arrivals: Arrivals) -> None:
        with pytest.raises(BodyTooSlowError, match=f"slowly: {len(parts)} bytes"):
            await arrivals.read(request_of(*parts))

    run(work)


def test_a_body_that_trickles_is_given_up() -> None:
    async def work(arrivals: Arrivals) -> None:
        with pytest.raises(BodyTooSlowError, match=r"slowly: \d bytes"):
            await arrivals.read(request_of(*[b"a"] * 100, pause_seconds=0.05))

    run(work)


def test_a_body_that_comes_steadily_is_read_however_long_it_takes() -> None:
    async def work(arrivals: Arrivals) -> None:
        parts = [b"a" * KB] * 10  # each buys a tenth of a second, together half of one
        body = await arrivals.read(request_of(*parts, pause_seconds=0.05, ends=True))
        assert body == b"".join(parts)

    run(work)


def test_what_came_fast_buys_no_time_to_stop() -> None:
    async def work(arrivals: Arrivals) -> None:
        async with asyncio.timeout(5):  # 99 KB would buy ten seconds
            with pytest.raises(BodyTooSlowError):
                await arrivals.read(request_of(b"a" * 99 * KB))

    run(work)


def test_large_bodies_share_what_there_is_and_small_ones_pass() -> None:
    async def work(arrivals: Arrivals) -> None:
        stopped = [arrivals.read(request_of(b"a" * 99 * KB)) for _ in range(4)]
        waiting = [asyncio.create_task(read) for read in stopped]
        await asyncio.sleep(0)
        large = [b"a" * 40 * KB] * 2
        with pytest.raises(BodiesFullError, match="at most 400,000"):
            await arrivals.read(request_of(*large, ends=True))
        assert await arrivals.read(request_of(b"a" * KB, b"b", ends=True)) == b"a" * KB + b"b"
        assert not any(read.done() for read in waiting)
        waiting[0].cancel()
        await asyncio.gather(waiting[0], return_exceptions=True)
        assert await arrivals.read(request_of(*large, ends=True)) == b"".join(large)
        for read in waiting:
            read.cancel()

    run(work, patience_seconds=60)


def test_what_is_refused_takes_no_place_while_the_rest_is_thrown_away() -> None:
    async def work(arrivals: Arrivals) -> None:
        refused = [arrivals.read(request_of(b"a" * 101 * KB)) for _ in range(5)]
        waiting = [asyncio.create_task(read) for read in refused]
        await asyncio.sleep(0.01)
        body = b"a" * 99 * KB
        assert await arrivals.read(request_of(body, b"", ends=True)) == body
        for read in waiting:
            with pytest.raises(TooLargeError):
                await read

    run(work)


def test_nothing_is_thrown_away_behind_the_end() -> None:
    async def work(arrivals: Arrivals) -> None:
        async with asyncio.timeout(5):
            with pytest.raises(TooLargeError):
                await arrivals.read(request_of(b"a" * 99, b"a" * 99, ends=True))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ranklet.service.arrival._DRAIN_SECONDS", 60)
        run(work, limit=100, patience_seconds=60)


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
