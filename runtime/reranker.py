"""The reranker: a bundle, open and ready to score."""

from collections.abc import Iterable
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

import msgspec

from .arguments import at_least_one, listed_documents, require_text, whole_number
from .arrays import Float32Array
from .bundle import Choice
from .errors import InputError
from .manifest import Manifest, read_manifest
from .opening import open_scorer
from .processor import usable_cores
from .ranking import RankedDocument, activate, ranked_documents
from .scheduler import Scheduler
from .score_cache import CachedScorer, ScoreCache
from .scoring import Scorer
from .scoring_request import PairScores
from .tokenization import MIN_WINDOW_TOKENS, WINDOW_CUT, Cut

MAX_WORKERS = 1024
"""More than any machine has cores; each is a thread."""

_CUDA_WORKERS = 2
"""One tokenizes while the other waits for the device."""


class Reranker:
    """Scores documents for a query with the model of a bundle.

    Safe to use from many threads of the process that opened it; a forked process needs its own.
    Close it when done, or use it as a context manager:

        with Reranker.open("models/built/ranklet-mini") as reranker:
            reranker.rerank("how tall is the eiffel tower", documents, top_n=3)
    """

    manifest: Manifest
    """What the bundle says about itself, with the window that is read here."""
    variant: str
    """Name of the variant that runs."""
    variant_reason: str
    """Why that variant, in words."""
    workers: int
    """Pairs that are scored at the same time."""

    def __init__(self, manifest: Manifest, choice: Choice, scorer: Scorer, *, workers: int) -> None:
        """Score with ``scorer``; ``Reranker.open`` is the usual way to get one."""
        self.manifest = manifest
        self.variant = choice.name
        self.variant_reason = choice.reason
        self.workers = workers
        self._scheduler = Scheduler(scorer, workers=workers)

    @classmethod
    def open(
        cls,
        bundle: str | Path,
        *,
        variant: str | None = None,
        workers: int | None = None,
        window_tokens: int | None = None,
        cache: ScoreCache | None = None,
    ) -> Self:
        """Open a bundle.

        Args:
            bundle: The bundle's folder.
            variant: Which variant to run; the one that fits the processor best where None.
            workers: Pairs to score at the same time; as many as cores may be used where None.
            window_tokens: Read at most so many tokens of a pair; the model's window where None.
            cache: Where scores are kept for pairs that come again; rerankers may share it. Not
                used on CUDA, where a score depends on the pairs beside it.

        Raises:
            BundleError: the bundle is incomplete, damaged or has no such variant.
            InputError: ``workers`` is not a whole number, less than 1, more than ``MAX_WORKERS``
                or than the system allows, or ``window_tokens`` is not a whole number within the
                window or too few for the model's prompt.
        """
        if workers is not None:
            workers = _possible_workers(workers)
        folder = Path(bundle)
        manifest = read_manifest(folder)
        if window_tokens is not None:
            manifest = _with_window(manifest, window_tokens)
        choice, scorer = open_scorer(folder, manifest, variant=variant)
        if cache is not None and choice.variant.processors != "cuda":
            scorer = CachedScorer(scorer, cache, manifest, variant=choice.name)
        default = _CUDA_WORKERS if choice.variant.processors == "cuda" else usable_cores()
        return cls(manifest, choice, scorer, workers=workers or default)

    @property
    def name(self) -> str:
        """The model's name."""
        return self.manifest.name

    def score(
        self,
        query: str,
        documents: Iterable[str],
        *,
        raw_scores: bool = False,
        max_windows: int = 1,
    ) -> Float32Array:
        """Score documents for a query.

        Args:
            query: Cut to half the window where it is longer.
            documents: Strings in an order, also those of a generator or a numpy array; each is
                cut to what the query leaves of the window.
            raw_scores: Give the raw logits.
            max_windows: Read a long document in up to so many overlapping windows, of which the
                best counts, before it is cut.

        Returns:
            float32, shape (n,), in the documents' order: probabilities in [0, 1], or logits.

        Raises:
            InputError: query or documents are not text, documents have no order (a set, a
                mapping), or ``max_windows`` is not a whole number of at least 1.
            ScoringError: the graph failed.
            ClosedError: the reranker is closed, or was opened before this process was forked.
        """
        return self._scores(query, documents, raw_scores=raw_scores, max_windows=max_windows)[1]

    def rerank(
        self,
        query: str,
        documents: Iterable[str],
        *,
        top_n: int | None = None,
        raw_scores: bool = False,
        max_windows: int = 1,
    ) -> list[RankedDocument]:
        """Rank documents for a query, best first.

        Args:
            query: As in ``score``.
            documents: As in ``score``.
            top_n: How many to give, at least 1; all where None.
            raw_scores: Give the raw logits as scores.
            max_windows: As in ``score``.

        Raises:
            InputError: as in ``score``, and where ``top_n`` is not a whole number of at least 1.
            ScoringError: the graph failed.
            ClosedError: the reranker is closed, or was opened before this process was forked.
        """
        if top_n is not None:
            top_n = at_least_one(top_n, name="top_n")
        logits, scores = self._scores(
            query, documents, raw_scores=raw_scores, max_windows=max_windows
        )
        return ranked_documents(logits, scores, top_n)

    def submit(
        self,
        query: str,
        documents: Iterable[str],
        *,
        max_windows: int = 1,
        cut: Cut = WINDOW_CUT,
    ) -> Future[PairScores]:
        """Queue documents to be scored and return at once.

        Args:
            query: As in ``score``.
            documents: As in ``score``.
            max_windows: As in ``score``.
            cut: What else is to be cut of query and documents, and on which side.

        Returns:
            A future of logits and token counts; cancelling it frees the pairs that still wait.

        Raises:
            InputError: query or documents are not text, documents have no order (a set, a
                mapping), or ``max_windows`` is not a whole number of at least 1.
            ClosedError: the reranker is closed, or was opened before this process was forked.
        """
        max_windows = at_least_one(max_windows, name="max_windows")
        require_text(query, name="query")
        listed = listed_documents(documents)
        return self._scheduler.submit(query, listed, max_windows=max_windows, cut=cut)

    def close(self) -> None:
        """Stop the workers; requests that still wait fail with ``ClosedError``."""
        self._scheduler.close()

    def __repr__(self) -> str:
        """Tell the model, its variant, the workers, and whether it is open."""
        state = "closed" if self._scheduler.is_closed else "open"
        return f"<Reranker {self.name} {self.variant}, workers={self.workers}, {state}>"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: threads and sessions cannot go to another process.

        Raises:
            TypeError: always.
        """
        message = "a reranker cannot be pickled; open one in each process"
        raise TypeError(message)

    def __enter__(self) -> Self:
        """Give the reranker itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the reranker."""
        self.close()

    def _scores(
        self, query: str, documents: Iterable[str], *, raw_scores: bool, max_windows: int
    ) -> tuple[Float32Array, Float32Array]:
        logits = self.submit(query, documents, max_windows=max_windows).result().logits
        return logits, activate(
            logits, "identity" if raw_scores else self.manifest.output_activation
        )


def _possible_workers(workers: int) -> int:
    number = at_least_one(workers, name="workers")
    if number > MAX_WORKERS:
        message = f"workers must be at most {MAX_WORKERS}, not {number}"
        raise InputError(message)
    return number


def _with_window(manifest: Manifest, window_tokens: int) -> Manifest:
    window_tokens = whole_number(window_tokens, name="window_tokens")
    if not MIN_WINDOW_TOKENS <= window_tokens <= manifest.window_tokens:
        message = (
            f"window_tokens must be from {MIN_WINDOW_TOKENS} to {manifest.window_tokens}, the "
            f"window of {manifest.name!r}, not {window_tokens}"
        )
        raise InputError(message)
    return msgspec.structs.replace(manifest, window_tokens=window_tokens)
