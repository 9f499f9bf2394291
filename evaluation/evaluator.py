"""Evaluating a variant on a collection: from texts to a run, with the scores kept on the way."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from ranklet.runtime.reranker import Reranker

from .bundles import BundleVariant
from .collection import JudgedCollection
from .request import DEFAULT_READING, Reading
from .score_cache import ScoreCache, cache_for
from .scoring import score_tasks
from .trec import Scores

OnQueries = Callable[[int], object]
"""Called with a number of queries that are done."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a variant made of a collection."""

    scores: Scores
    """Raw logits."""
    pairs: int
    seconds: float
    """How long the scoring took, whenever that was."""

    @property
    def pairs_per_s(self) -> float:
        """Pairs scored in a second, with all workers busy."""
        return self.pairs / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What variants made of a collection."""

    collection: JudgedCollection
    runs: Mapping[BundleVariant, Run]
    """In the order in which they were asked for."""


class Evaluator:
    """Scores collections with one variant, which is opened once there is something to score.

    A context manager: the variant is closed at its end.
    """

    def __init__(
        self,
        variant: BundleVariant,
        *,
        reading: Reading = DEFAULT_READING,
        workers: int | None = None,
        cache_folder: Path | None = None,
    ) -> None:
        """Score with ``variant``, and keep the scores in ``cache_folder`` where there is one."""
        self.variant = variant
        self._reading = reading
        self._workers = workers
        self._cache_folder = cache_folder
        self._reranker: Reranker | None = None
        self._stack = ExitStack()

    def run(
        self,
        collection: JudgedCollection,
        *,
        is_afresh: bool = False,
        on_queries: OnQueries = lambda _: None,
    ) -> Run:
        """Score a collection.

        Args:
            collection: What to score.
            is_afresh: Forget what the cache knows of it.
            on_queries: Told of progress, first of what was known already.

        Raises:
            BundleError: the bundle cannot be opened.
            ScoringError: the graph failed.
        """
        cache = self._cache(collection)
        if cache and is_afresh:
            cache.forget()
        known = cache.read(collection.tasks) if cache else {}
        on_queries(len(known))
        missing = [task for task in collection.tasks if task.query_id not in known]
        if missing:
            for scored in score_tasks(self._open(), missing, max_windows=self._reading.max_windows):
                known[scored.query] = scored
                if cache:
                    cache.append(scored)
                on_queries(1)
        scores = {
            task.query_id: dict(zip(task.document_ids, known[task.query_id].logits, strict=True))
            for task in collection.tasks
        }
        return Run(scores, collection.pairs, sum(scored.seconds for scored in known.values()))

    def _cache(self, collection: JudgedCollection) -> ScoreCache | None:
        if self._cache_folder is None:
            return None
        return cache_for(
            *(self._cache_folder, self.variant, collection),
            reading=self._reading,
            workers=self._workers,
        )

    def _open(self) -> Reranker:
        if self._reranker is None:
            self._reranker = self._stack.enter_context(
                Reranker.open(
                    self.variant.folder,
                    variant=self.variant.name,
                    workers=self._workers,
                    window_tokens=self._reading.window_tokens,
                )
            )
        return self._reranker

    def __enter__(self) -> Self:
        """Give the evaluator itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the variant if it was opened."""
        self._stack.close()
