"""What one request may take of the workers beside others."""

import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from ranklet.runtime.reranker import Reranker
from ranklet.runtime.scoring_request import PairScores
from ranklet.service.app import create_app
from ranklet.service.settings import Settings


def test_of_many_queries_a_few_wait_at_a_time(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = Reranker.submit
    lock = threading.Lock()
    counts = [0]
    workers = 0

    def count(step: int) -> None:
        with lock:
            counts.append(counts[-1] + step)

    def counted(reranker: Reranker, *words: Any, **options: Any) -> Future[PairScores]:  # noqa: ANN401 - passed on
        nonlocal workers
        workers = reranker.workers
        count(1)
        future = submit(reranker, *words, **options)
        future.add_done_callback(lambda _: count(-1))
        return future

    with TestClient(create_app(Settings(models=(tiny_bundle,)))) as client:
        monkeypatch.setattr(Reranker, "submit", counted)
        body = {"queries": [f"query {n}" for n in range(100)], "documents": ["document"] * 100}
        answer = client.post("/v1/score", json=body)
    assert len(answer.json()["data"]) == 100
    assert len(counts) > 200
    assert max(counts) <= 2 * workers
