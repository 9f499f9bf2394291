"""Scoring for many callers: what may wait, for whom, and until when."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

import numpy as np
from litestar.connection import Request

from ranklet.runtime.ranking import activate, ranked_documents
from ranklet.runtime.reranker import Reranker
from ranklet.runtime.scoring_request import PairScores, StageTimes

from .admission import PairQueue
from .catalog import Catalog
from .entries import CatalogEntry
from .errors import ClientGoneError, TooLargeError
from .observation import record_of
from .rerank import RerankRequest, RerankResult
from .settings import Settings

_Found = TypeVar("_Found")


def check_size(request: RerankRequest, settings: Settings, *, documents_field: str) -> None:
    """Refuse what is beyond the limits.

    Args:
        request: What was asked.
        settings: Hold the limits.
        documents_field: What the dialect calls documents.

    Raises:
        TooLargeError: names the limit and how to raise it.
    """
    query_field, documents_field = request.fields or ("query", documents_field)
    total = 0
    queries = [request.query] if isinstance(request.query, str) else request.query
    for field, texts in ((query_field, queries), (documents_field, request.documents)):
        if len(texts) > settings.max_documents:  # parts of a message, which was no list before
            raise TooLargeError(
                what="documents" if texts is request.documents else f"items in {field}",
                found=len(texts),
                limit=settings.max_documents,
                setting="RANKLET_MAX_DOCUMENTS",
                field=field,
            )
        for index, text in enumerate(texts):
            total += len(text)
            if len(text) > settings.max_document_chars:
                place = f"{field}[{index}]" if texts is not queries or len(queries) > 1 else field
                raise TooLargeError(
                    what=f"characters in {place}",
                    found=len(text),
                    limit=settings.max_document_chars,
                    setting="RANKLET_MAX_DOCUMENT_CHARS",
                    field=place,
                )
    if total > settings.max_request_chars:
        raise TooLargeError(
            what="characters in query and documents together",
            found=total,
            limit=settings.max_request_chars,
            setting="RANKLET_MAX_REQUEST_CHARS",
        )


async def rerank(
    request: RerankRequest, catalog: Catalog, queue: PairQueue, http: Request[Any, Any, Any]
) -> RerankResult:
    """Rank the documents of a request whose size has been checked.

    Args:
        request: What to rank.
        catalog: Where to find its model.
        queue: Where its pairs wait.
        http: How it came. When the caller closes the connection, its pairs are dropped.

    Raises:
        UnknownModelError: no model of that name.
        ModelNotInstalledError: it has no bundle.
        ModelLoadError: it cannot be loaded.
        QueueFullError: too many pairs wait.
        ClientGoneError: the caller left.
        ScoringError: the graph failed.
        ClosedError: the server is shutting down.
    """
    started = time.perf_counter()
    record = record_of(http.scope)
    record.documents = len(request.documents)
    record.characters = request.characters
    entry = catalog.find(request.model)
    record.model = entry.name
    max_windows = request.max_windows or entry.max_windows
    pairs = _windows_expected(request, entry, max_windows)
    with queue.holding(pairs=pairs, characters=request.held):
        work = _scores(request, entry, catalog, max_windows=max_windows)
        scores, reranker = await _unless_gone(work, http)
    record.tokens = int(scores.tokens.sum())
    record.pairs, record.cached = scores.pairs, scores.cached
    record.times = scores.times
    record.query_was_cut = scores.query_cut
    record.documents_cut = int(scores.documents_cut.sum())
    activation = "identity" if request.raw_scores else entry.activation
    activated = activate(scores.logits, activation)
    return RerankResult(
        id=record.id,
        model=request.model or entry.name,
        ranking=ranked_documents(scores.logits, activated, request.top_n),
        documents=record.documents,
        characters=record.characters,
        tokens=record.tokens,
        times=scores.times,
        seconds=time.perf_counter() - started,
        device="cuda" if _runs_on_cuda(reranker) else "cpu",
        window_tokens=reranker.manifest.window_tokens,
        query_tokens=scores.query_tokens,
        query_cut=scores.query_cut,
        documents_cut=tuple(np.flatnonzero(scores.documents_cut).tolist()),
        warnings=_warnings(scores, reranker),
    )


def _windows_expected(request: RerankRequest, entry: CatalogEntry, max_windows: int) -> int:
    """Give the windows of all documents: no fewer than there will be, where text is in words.

    Tokens are not counted before there is a place in the queue. A word's token is several
    characters, so as many characters as a window has tokens never fill more than one.
    """
    if max_windows == 1 or entry.manifest is None:
        return len(request.documents)
    window = entry.manifest.window_tokens
    window = min(window, request.cut.pair_tokens or window)
    return sum(min(max_windows, 1 + len(text) // window) for text in request.documents)


async def _unless_gone(work: Coroutine[Any, Any, _Found], http: Request[Any, Any, Any]) -> _Found:
    """Give what comes of ``work``, which is cancelled when the caller leaves before that."""
    working = asyncio.create_task(work)
    departure = asyncio.create_task(_departure(http))
    try:
        await asyncio.wait({working, departure}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGoneError
        return working.result()
    finally:
        working.cancel()
        departure.cancel()


async def _scores(
    request: RerankRequest, entry: CatalogEntry, catalog: Catalog, *, max_windows: int
) -> tuple[PairScores, Reranker]:
    """Give the scores and the reranker that they are of, loaded first where it is not."""
    async with catalog.using(entry) as reranker:
        submit = partial(reranker.submit, max_windows=max_windows, cut=request.cut)
        scores = await _score_parts(_parts(request), submit, at_once=2 * reranker.workers)
    return _joined(scores), reranker


async def _score_parts(
    parts: Sequence[tuple[str, list[str]]],
    submit: Callable[[str, list[str]], Future[PairScores]],
    *,
    at_once: int,
) -> list[PairScores]:
    """Score the documents of each query, a few queries at a time.

    Each takes turns with other requests as if it were one, so a thousand would be in their way.
    With two for each worker the next one waits wherever a worker ends one.
    """
    scores: dict[int, PairScores] = {}
    waiting = iter(enumerate(parts))

    async def score_waiting() -> None:
        for place, (query, documents) in waiting:
            scores[place] = await asyncio.wrap_future(submit(query, documents))

    tasks = [asyncio.create_task(score_waiting()) for _ in range(min(len(parts), at_once))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()  # frees the pairs that still wait, if any
    return [scores[place] for place in range(len(parts))]


def _parts(request: RerankRequest) -> list[tuple[str, list[str]]]:
    """Give the documents of each query."""
    if isinstance(request.query, str):
        return [(request.query, request.documents)]
    return [
        (query, [document])
        for query, document in zip(request.query, request.documents, strict=True)
    ]


def _joined(parts: Sequence[PairScores]) -> PairScores:
    """Give the scores of several queries as if they were of one."""
    if len(parts) == 1:
        return parts[0]
    return PairScores(
        logits=np.concatenate([part.logits for part in parts]),
        tokens=np.concatenate([part.tokens for part in parts]),
        query_tokens=max(part.query_tokens for part in parts),
        query_cut=any(part.query_cut for part in parts),
        documents_cut=np.concatenate([part.documents_cut for part in parts]),
        times=StageTimes(
            max(part.times.queue_seconds for part in parts),
            sum(part.times.tokenization_seconds for part in parts),
            sum(part.times.inference_seconds for part in parts),
        ),
        pairs=sum(part.pairs for part in parts),
        cached=sum(part.cached for part in parts),
    )


async def _departure(http: Request[Any, Any, Any]) -> None:
    while (await http.receive())["type"] != "http.disconnect":
        pass


def _runs_on_cuda(reranker: Reranker) -> bool:
    return reranker.manifest.variants[reranker.variant].processors == "cuda"


def _warnings(scores: PairScores, reranker: Reranker) -> tuple[str, ...]:
    if not scores.query_cut:
        return ()
    warning = (
        f"the query was cut to {scores.query_tokens} tokens: it may take half of the model's "
        f"window of {reranker.manifest.window_tokens}, or what the request allows"
    )
    return (warning,)
