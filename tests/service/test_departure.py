"""Clients that leave before their answer is there."""

import asyncio
import json
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar

from ranklet.runtime.reranker import Reranker
from ranklet.runtime.scoring_request import PairScores
from ranklet.service.app import create_app
from ranklet.service.model_spec import ModelSpec, open_warm
from ranklet.service.settings import Settings

BODY = json.dumps({"query": "a", "documents": ["b", "c"]}).encode()
SCOPE: Any = {
    "type": "http",
    "method": "POST",
    "path": "/v1/rerank",
    "raw_path": b"/v1/rerank",
    "query_string": b"",
    "root_path": "",
    "headers": [],
    "scheme": "http",
    "http_version": "1.1",
    "client": None,
    "server": None,
    "extensions": {},
}


async def ask_and_leave(app: Litestar, *, after: threading.Event) -> int:
    """Send a body and hang up; gives the status that nobody reads any more."""
    events = iter([{"type": "http.request", "body": BODY, "more_body": False}])
    sent: list[Any] = []

    async def receive() -> Any:  # noqa: ANN401 - an ASGI event
        for event in events:
            return event
        await asyncio.to_thread(after.wait)
        return {"type": "http.disconnect"}

    async def send(event: Any) -> None:  # noqa: ANN401 - an ASGI event
        sent.append(event)

    await asyncio.wait_for(app(dict(SCOPE), receive, send), timeout=20)  # type: ignore[arg-type]
    status: int = sent[0]["status"]
    return status


def test_a_client_that_leaves_does_not_wait_for_its_model(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_gone = threading.Event()

    def open_slowly(spec: ModelSpec, **options: Any) -> Reranker:  # noqa: ANN401 - passed on
        assert is_gone.wait(timeout=60)
        return open_warm(spec, **options)

    monkeypatch.setattr("ranklet.service.catalog.open_warm", open_slowly)
    app = create_app(Settings(models=(tiny_bundle,)))

    async def ask() -> int:
        at_once = threading.Event()
        at_once.set()
        try:
            return await ask_and_leave(app, after=at_once)
        finally:
            is_gone.set()

    assert asyncio.run(ask()) == 499


def test_a_client_that_leaves_gives_its_places_back(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless: Future[PairScores] = Future()
    is_loaded = asyncio.Event()
    app = create_app(Settings(models=(tiny_bundle,)), on_loaded=lambda _: is_loaded.set())

    def submit(*_: object, **__: object) -> Future[PairScores]:
        is_asked.set()
        return endless

    is_asked = threading.Event()

    async def ask() -> tuple[int, str]:
        async with app.lifespan():
            await is_loaded.wait()
            monkeypatch.setattr(Reranker, "submit", submit)
            status = await ask_and_leave(app, after=is_asked)
            transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
            async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
                return status, (await client.get("/metrics")).text

    status, metrics = asyncio.run(ask())
    assert status == 499
    assert endless.cancelled()
    assert "ranklet_queued_pairs 0.0" in metrics
