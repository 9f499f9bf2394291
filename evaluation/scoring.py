"""Scoring a collection's tasks, several queries at a time, so that no worker ever waits."""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future

from ranklet.runtime.reranker import Reranker
from ranklet.runtime.scoring_request import PairScores

from .collection import Task
from .score_cache import ScoredQuery

_PAIRS_AHEAD = 32
"""Pairs in the queue for each worker; at least two queries are always under way."""

_QUERIES_AHEAD = 2


def score_tasks(
    reranker: Reranker, tasks: Sequence[Task], *, max_windows: int
) -> Iterator[ScoredQuery]:
    """Score tasks, several at a time, long documents in up to ``max_windows`` windows.

    Yields:
        The scores of each task, in order, as soon as it is done.

    Raises:
        ScoringError: the graph failed.
    """
    enough = _PAIRS_AHEAD * reranker.workers
    reranker.score("warm up", ["warm up"])
    before = time.perf_counter()
    under_way: deque[tuple[Task, Future[PairScores]]] = deque()
    remaining = iter(tasks)
    while True:
        while len(under_way) < _QUERIES_AHEAD or _pairs(under_way) < enough:
            if (task := next(remaining, None)) is None:
                break
            future = reranker.submit(task.query, task.documents, max_windows=max_windows)
            under_way.append((task, future))
        if not under_way:
            return
        task, future = under_way.popleft()
        logits = future.result().logits
        now = time.perf_counter()
        yield ScoredQuery(task.query_id, [float(logit) for logit in logits], now - before)
        before = now


def _pairs(under_way: deque[tuple[Task, Future[PairScores]]]) -> int:
    return sum(len(task.documents) for task, _ in under_way)
