"""Worker threads that share the pairs of all requests.

Requests wait in one queue, each in as many lanes as there are workers. A worker takes the first
lane, scores something of its request (a pair, or some short ones that take no longer, or a window
of a long document) and puts it back at the end. So requests take turns, and ten documents never
wait behind a thousand, nor behind one that is as long.
"""

import os
import threading
import weakref
from collections.abc import Sequence
from concurrent.futures import Future
from queue import SimpleQueue

from .errors import ClosedError, InputError
from .scoring import Scorer
from .scoring_request import Lane, LaneQueue, PairScores, ScoringRequest
from .tokenization import WINDOW_CUT, Cut


class Scheduler:
    """Scores requests with ``workers`` threads until it is closed."""

    def __init__(self, scorer: Scorer, *, workers: int) -> None:
        """Start the threads; they end with ``close`` or when the scheduler is forgotten.

        Raises:
            InputError: the system does not allow so many threads.
        """
        self._scorer = scorer
        self._workers = workers
        self._process = os.getpid()
        self._queue: LaneQueue = SimpleQueue()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        threads: list[threading.Thread] = []
        # Also at exit: a daemon thread inside onnxruntime while Python ends may crash the process.
        self._stop = weakref.finalize(self, _stop, self._queue, self._closing, threads)
        for number in range(workers):
            try:
                threads.append(_started_thread(number, self._queue, self._closing))
            except RuntimeError as error:
                self.close()
                message = f"the system allows no {workers} threads; give fewer workers"
                raise InputError(message) from error

    def submit(
        self,
        query: str,
        documents: Sequence[str],
        *,
        max_windows: int = 1,
        cut: Cut = WINDOW_CUT,
    ) -> Future[PairScores]:
        """Queue a request and return at once.

        Returns:
            A future; cancelling it frees the pairs that still wait.

        Raises:
            ClosedError: the scheduler is closed, or was made before this process was forked.
        """
        if os.getpid() != self._process:  # threads are not forked: nobody would take the request
            raise ClosedError(_FORKED)
        request = ScoringRequest(query, documents, max_windows=max_windows, cut=cut)
        first = Lane(request, request.open_lanes(self._scorer, self._workers, self._queue))
        with self._lock:
            if self._closing.is_set():
                raise ClosedError(_CLOSED)
            self._queue.put(first)
        return request.future

    @property
    def is_closed(self) -> bool:
        """Whether nothing is scored any more."""
        return self._closing.is_set()

    def close(self) -> None:
        """Stop after the pairs in work; requests that are not done fail with ``ClosedError``."""
        with self._lock:
            self._closing.set()
        self._stop()


_CLOSED = "the reranker is closed"
_FORKED = "the reranker was opened before this process was forked; open one in it"


def _started_thread(number: int, queue: LaneQueue, closing: threading.Event) -> threading.Thread:
    thread = threading.Thread(
        target=_work, args=(queue, closing), name=f"ranklet-{number}", daemon=True
    )
    thread.start()
    return thread


def _work(queue: LaneQueue, closing: threading.Event) -> None:
    while (lane := queue.get()) is not None:
        if closing.is_set():
            lane.request.fail(ClosedError(_CLOSED))
        elif _advance(lane):
            queue.put(lane)
        del lane  # while the worker waits, nothing of the request is kept


def _advance(lane: Lane) -> bool:
    """Do the next turn, and tell whether there may be another."""
    if lane.request.future.done():  # answered, or its caller has left
        return False
    try:
        next(lane.turns)
    except StopIteration:
        return False
    except BaseException as error:  # noqa: BLE001 - the caller must hear of it, whatever it is
        lane.request.fail(error)
        return False
    return True


def _stop(queue: LaneQueue, closing: threading.Event, threads: list[threading.Thread]) -> None:
    closing.set()
    for _ in threads:
        queue.put(None)
    for thread in threads:
        if thread is not threading.current_thread():  # where a future's callback closes
            thread.join()
    # What a worker put back behind the ends; one that is still here needs an end of its own.
    while not queue.empty():
        if (lane := queue.get()) is not None:
            lane.request.fail(ClosedError(_CLOSED))
    if threading.current_thread() in threads:
        queue.put(None)
