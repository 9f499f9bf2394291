"""Clients that leave before their answer is there."""

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from ranklet.runtime.reranker import Reranker
from ranklet.service.app import create_app
from ranklet.service.model_spec import ModelSpec, open_warm
from ranklet.service.settings import Settings


def test_a_client_that_leaves_does_not_wait_for_its_model(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_gone = threading.Event()

    def open_slowly(spec: ModelSpec, **options: Any) -> Reranker:  # noqa: ANN401 - passed on
        assert is_gone.wait(timeout=60)
        return open_warm(spec, **options)

    monkeypatch.setattr("ranklet.service.catalog.open_warm", open_slowly)
    app = create_app(Settings(models=(tiny_bundle,)))
    body = json.dumps({"query": "a", "documents": ["b"]}).encode()
    events = iter(
        [
            {"type": "http.request", "body": body, "more_body": False},
            {"type": "http.disconnect"},
        ]
    )
    sent: list[Any] = []

    async def receive() -> Any:  # noqa: ANN401 - an ASGI event
        return next(events)

    async def send(event: Any) -> None:  # noqa: ANN401 - an ASGI event
        sent.append(event)

    async def ask() -> None:
        scope: Any = {
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
        try:
            await asyncio.wait_for(app(scope, receive, send), timeout=20)
        finally:
            is_gone.set()

    asyncio.run(ask())
    assert sent[0]["status"] == 499
