"""Scoring for many callers: what may wait, for whom, and until when."""

import asyncio
from typing import Any

from litestar.connection import Request

from ranklet.runtime.ranking import RankedDocument, activate, rank
from ranklet.runtime.reranker import Reranker
from ranklet.runtime.scheduler import PairScores

from .admission import PairQueue
from .catalog import Catalog
from .errors import ClientGoneError, TooLargeError
from .observation import record_of
from .rerank import RerankRequest, RerankResult
from .settings import Settings


def check_size(request: RerankRequest, settings: Settings) -> None:
    """Refuse what is beyond the limits.

    Raises:
        TooLargeError: names the limit and how to raise it.
    """
    documents = len(request.documents)
    if documents > settings.max_documents:
        raise TooLargeError(
            what="documents",
            found=documents,
            limit=settings.max_documents,
            setting="RANKLET_MAX_DOCUMENTS",
            field="documents",
        )
    total = 0
    for index, text in enumerate([request.query, *request.documents]):
        total += len(text)
        if len(text) > settings.max_document_chars:
            field = f"documents[{index - 1}]" if index else "query"
            raise TooLargeError(
                what=f"characters in {field}",
                found=len(text),
                limit=settings.max_document_chars,
                setting="RANKLET_MAX_DOCUMENT_CHARS",
                field=field,
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
        NotReadyError: it is being loaded.
        QueueFullError: too many pairs wait.
        ClientGoneError: the caller left.
        ScoringError: the graph failed.
        ClosedError: the server is shutting down.
    """
    record = record_of(http.scope)
    record.documents = len(request.documents)
    record.characters = request.characters
    entry, reranker = catalog.find(request.model)
    record.model = entry.name
    with queue.holding(pairs=record.documents, characters=record.characters):
        scores = await _scores(request, reranker, http)
    record.tokens = int(scores.tokens.sum())
    record.times = scores.times
    record.query_was_cut = scores.query_cut
    activation = "identity" if request.raw_scores else reranker.manifest.output_activation
    activated = activate(scores.logits, activation)
    order = rank(scores.logits, request.top_n)
    return RerankResult(
        id=record.id,
        model=request.model or entry.name,
        ranking=[RankedDocument(int(index), float(activated[index])) for index in order],
        documents=record.documents,
        characters=record.characters,
        tokens=record.tokens,
        times=scores.times,
        warnings=_warnings(scores, reranker),
    )


async def _scores(
    request: RerankRequest, reranker: Reranker, http: Request[Any, Any, Any]
) -> PairScores:
    """Wait for the scores, or for the caller to leave."""
    scoring: asyncio.Future[Any] = asyncio.wrap_future(
        reranker.submit(request.query, request.documents)
    )
    departure: asyncio.Future[Any] = asyncio.ensure_future(_departure(http))
    try:
        await asyncio.wait({scoring, departure}, return_when=asyncio.FIRST_COMPLETED)
        if not scoring.done():
            raise ClientGoneError
        scores: PairScores = scoring.result()
        return scores
    finally:
        scoring.cancel()  # frees the pairs that still wait, if any
        departure.cancel()


async def _departure(http: Request[Any, Any, Any]) -> None:
    while (await http.receive())["type"] != "http.disconnect":
        pass


def _warnings(scores: PairScores, reranker: Reranker) -> tuple[str, ...]:
    if not scores.query_cut:
        return ()
    warning = (
        f"the query was cut to its first {scores.query_tokens} tokens: it may take half of the "
        f"model's window of {reranker.manifest.window_tokens}"
    )
    return (warning,)
