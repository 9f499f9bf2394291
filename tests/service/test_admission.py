"""Admission: what may wait, what is told to those who may not."""

import asyncio
import threading
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from ranklet.runtime.reranker import Reranker
from ranklet.service.admission import DrainRate, Load, PairQueue
from ranklet.service.app import create_app
from ranklet.service.errors import QueueFullError, TooLargeError
from ranklet.service.model_spec import ModelSpec, open_warm
from ranklet.service.settings import Settings

StartServer = Callable[..., tuple[object, httpx.Client]]


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> PairQueue:
    return PairQueue(max_pairs=100, max_characters=10_000, clock=clock)


def refusal(queue: PairQueue, *, pairs: int, characters: int) -> QueueFullError:
    with pytest.raises(QueueFullError) as caught, queue.holding(pairs=pairs, characters=characters):
        pass
    return caught.value


def test_places_are_held_and_given_back(queue: PairQueue) -> None:
    with queue.holding(pairs=60, characters=1), queue.holding(pairs=40, characters=2):
        assert (queue.pairs, queue.characters) == (100, 3)
        assert "RANKLET_MAX_QUEUED_PAIRS" in str(refusal(queue, pairs=1, characters=1))
    assert (queue.pairs, queue.characters) == (0, 0)


def test_places_of_a_failed_request_are_given_back(queue: PairQueue) -> None:
    with pytest.raises(ZeroDivisionError), queue.holding(pairs=60, characters=1):
        _ = 1 / 0
    assert (queue.pairs, queue.characters) == (0, 0)


def test_characters_are_bounded_over_all_that_wait(queue: PairQueue) -> None:
    with queue.holding(pairs=1, characters=9_000):
        message = str(refusal(queue, pairs=1, characters=1_001))
        with queue.holding(pairs=1, characters=1_000):
            pass
    assert "9,000 characters are waiting, so 1,001 more would pass the 10,000" in message
    assert "RANKLET_MAX_QUEUED_CHARS" in message


@pytest.mark.parametrize(
    ("pairs", "characters", "setting"),
    [(101, 1, "RANKLET_MAX_QUEUED_PAIRS"), (1, 10_001, "RANKLET_MAX_QUEUED_CHARS")],
)
def test_what_will_never_fit_is_too_large(
    queue: PairQueue, pairs: int, characters: int, setting: str
) -> None:
    with (
        pytest.raises(TooLargeError, match=setting),
        queue.holding(pairs=pairs, characters=characters),
    ):
        pass


def score(queue: PairQueue, clock: Clock, *, pairs: int, characters: int, seconds: float) -> None:
    with queue.holding(pairs=pairs, characters=characters):
        clock.now += seconds


def test_the_time_to_wait_follows_the_measured_rate(queue: PairQueue, clock: Clock) -> None:
    assert refused_while_full(queue) == 1  # nothing is known yet
    for _ in range(20):
        score(queue, clock, pairs=10, characters=100, seconds=2)  # 5 pairs a second
        clock.now += 1_000  # nobody asks: says nothing of the rate
    with queue.holding(pairs=100, characters=100):
        assert refusal(queue, pairs=50, characters=1).retry_after_seconds == 10
        assert refusal(queue, pairs=1, characters=1).retry_after_seconds == 1


def test_the_scarcer_of_pairs_and_characters_decides(queue: PairQueue, clock: Clock) -> None:
    score(queue, clock, pairs=10, characters=100, seconds=2)  # 50 characters a second
    with queue.holding(pairs=1, characters=10_000):
        assert refusal(queue, pairs=1, characters=1_000).retry_after_seconds == 20
        assert refusal(queue, pairs=1, characters=10_000).retry_after_seconds == 60


def refused_while_full(queue: PairQueue) -> int:
    with queue.holding(pairs=100, characters=100):
        return refusal(queue, pairs=100, characters=1).retry_after_seconds


def test_requests_side_by_side_count_the_time_once(clock: Clock) -> None:
    rate = DrainRate(clock)
    rate.begin()
    for seconds in (1.0, 0.0, 0.0):  # three of ten pairs each, done together after a second
        clock.now += seconds
        rate.record(Load(10, 10))
    assert rate.retry_after_seconds(Load(300, 0)) == 10


def test_the_rate_forgets(clock: Clock) -> None:
    rate = DrainRate(clock)
    rate.begin()
    for pairs in (1_000, 10):
        for _ in range(100):
            clock.now += 1
            rate.record(Load(pairs, pairs))
    assert rate.retry_after_seconds(Load(100, 0)) in {10, 11}


def test_dropped_requests_do_not_count_as_scored(queue: PairQueue, clock: Clock) -> None:
    with suppress(ZeroDivisionError), queue.holding(pairs=100, characters=100):
        clock.now += 0.001
        _ = 1 / 0
    score(queue, clock, pairs=10, characters=100, seconds=2)
    assert refused_while_full(queue) == 20


def test_over_http(start_server: StartServer, tiny_bundle: Path) -> None:
    limits = ("--max-queued-chars", "100", "--max-queued-pairs", "5")
    _, client = start_server("--model", tiny_bundle, *limits)
    for documents, setting in ((["b"] * 6, "PAIRS"), (["b" * 100], "CHARS")):
        response = client.post("/v1/rerank", json={"query": "a", "documents": documents})
        assert response.status_code == 413
        assert f"RANKLET_MAX_QUEUED_{setting}" in response.json()["message"]
    assert client.post("/v1/rerank", json={"query": "a", "documents": ["b"]}).status_code == 200


def test_documents_that_go_back_count_with_all_their_fields(
    start_server: StartServer, tiny_bundle: Path
) -> None:
    _, client = start_server("--model", tiny_bundle, "--max-queued-chars", "100")
    large = {"text": "b", "x": "y" * 100}
    cases: list[tuple[str, dict[str, object], int]] = [
        ("/v1/rerank", {"documents": [large]}, 413),
        ("/v1/rerank", {"documents": [large], "return_documents": False}, 200),
        ("/v1/rerank", {"documents": [{"text": "b" * 90}]}, 200),
        ("/v1/reranking", {"documents": [large]}, 200),
        ("/v1/reranking", {"input": [large]}, 200),
        ("/v1/reranking", {"input": [large], "return_input": True}, 413),
    ]
    for path, fields, status in cases:
        response = client.post(path, json={"query": "a", **fields})
        assert response.status_code == status, (fields, response.text)


@pytest.mark.parametrize(
    "fields",
    [
        rb'"documents": ["b"], "x": "%s"' % (b"y" * 10_000_000),
        rb'"documents": [{"text": "b", "x": [%s[]]}], "return_documents": false'
        % (b"[]," * 300_000),
        rb'"documents": [{"text": "b", "x": [%s[]]}]' % (b"[]," * 300_000),
    ],
    ids=["unknown", "not returned", "returned"],
)
def test_what_waits_is_what_counts(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, fields: bytes
) -> None:
    """While a request waits for its model, memory holds what the queue's gauge says."""
    may_open = threading.Event()

    def open_late(spec: ModelSpec, **options: Any) -> Reranker:  # noqa: ANN401 - passed on
        assert may_open.wait(timeout=60)
        return open_warm(spec, **options)

    monkeypatch.setattr("ranklet.service.catalog.open_warm", open_late)
    app = create_app(Settings(models=(tiny_bundle,)))

    async def chunks() -> AsyncIterator[bytes]:
        for chunk in (b'{"query": "a", ', fields, b"}"):
            yield chunk

    async def queued(client: httpx.AsyncClient) -> int:
        lines = (await client.get("/metrics")).text.splitlines()
        [value] = [line.split()[1] for line in lines if line.startswith("ranklet_queued_char")]
        return int(float(value))

    async def ask() -> tuple[int, int, int]:
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]  # Litestar types scopes closer
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            await queued(client)
            tracemalloc.start()
            answer = asyncio.create_task(client.post("/v1/rerank", content=chunks()))
            while not await queued(client):  # noqa: ASYNC110 - no event tells it
                await asyncio.sleep(0.01)
            held, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            counted = await queued(client)
            may_open.set()
            return held, counted, (await answer).status_code

    held, counted, status = asyncio.run(ask())
    assert status == 200
    assert held < 1.2 * counted + 500_000


def test_windows_of_long_documents_count_as_pairs(
    start_server: StartServer, tiny_bundle: Path, tmp_path: Path
) -> None:
    config = tmp_path / "models.yaml"
    config.write_text(
        f"name: chunk\nbackend: rerankers\nparameters: {{model: {tiny_bundle.resolve()}}}\n"
        "long_documents: chunk\n"
    )
    _, client = start_server("--config", config, "--model", tiny_bundle, "--max-queued-pairs", "9")
    long = {"query": "a", "documents": ["skin care " * 2_000]}
    cases: list[tuple[dict[str, object], int]] = [
        ({}, 200),
        ({"max_chunks_per_doc": 10}, 413),
        ({"model": "chunk"}, 413),
        ({"model": "chunk", "max_chunks_per_doc": 9}, 200),
        ({"model": "chunk", "documents": ["b"] * 9}, 200),
        ({"documents": ["b " * 40], "max_chunks_per_doc": 50}, 200),
        ({"documents": ["b " * 40], "max_chunks_per_doc": 50, "truncate_prompt_tokens": 6}, 413),
    ]
    for fields, status in cases:
        response = client.post("/v1/rerank", json={**long, **fields})
        assert response.status_code == status, response.text
