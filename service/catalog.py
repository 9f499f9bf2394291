"""The models that are served: by what names, which of them are in memory, from when on."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Literal

from ranklet.runtime.errors import BundleError
from ranklet.runtime.reranker import Reranker
from ranklet.runtime.score_cache import ScoreCache

from .entries import CatalogEntry, default_of, preloaded, read_entries
from .errors import (
    ModelConfigError,
    ModelLoadError,
    ModelNotInstalledError,
    ReloadError,
    UnknownModelError,
)
from .model_pool import ModelPool
from .model_spec import ModelSpec, open_warm
from .settings import Settings

_log = logging.getLogger(__name__)

ModelStatus = Literal["ready", "loading", "unloaded", "not_installed", "failed"]

_ANY_NAME = "*"
_NO_NAME = "default/not-specified"
"""What Infinity's clients send where they are told no model."""


class Catalog:
    """All models; names that lead to the same bundle, opened alike, share one reranker.

    For the event loop's thread alone.
    """

    def __init__(self, entries: tuple[CatalogEntry, ...], settings: Settings) -> None:
        """Serve ``entries``; the first that is installed is the default model."""
        self.entries = entries
        """Replaced as a whole by a reload."""
        self.failure: Exception | None = None
        """Why a model that was to be loaded at start could not be."""
        self.is_ready = False
        """True once every model to be loaded at start is loaded and has scored a pair."""
        self._settings = settings
        entries_kept = settings.score_cache_entries
        cache = ScoreCache(entries_kept) if entries_kept else None
        self._pool = ModelPool(partial(open_warm, cache=cache), max_bytes=settings.max_model_bytes)
        self._reloading = asyncio.Lock()

    @property
    def default(self) -> CatalogEntry:
        """The model that answers when a request names none."""
        return default_of(self.entries)

    def find(self, name: str | None) -> CatalogEntry:
        """Give the model called ``name``, the default model where None, empty or Infinity's none.

        Raises:
            UnknownModelError: no such name.
        """
        if not name:
            return self.default
        by_name = {called: entry for entry in self.entries for called in _names(entry)}
        if name == _NO_NAME and name not in by_name:
            return self.default
        entry = by_name.get(name) or by_name.get(_ANY_NAME)
        if entry is None:
            raise UnknownModelError(name, known=list(by_name))
        return entry

    @asynccontextmanager
    async def using(self, entry: CatalogEntry) -> AsyncGenerator[Reranker]:
        """Hold the entry's reranker, which is loaded first where it is not.

        Raises:
            ModelNotInstalledError: its bundle has not been built.
            ModelLoadError: it cannot be loaded.
            ClosedError: the server is shutting down.
        """
        try:
            async with self._pool.using(self.require_installed(entry)) as reranker:
                yield reranker
        except ModelLoadError as error:
            _log.warning("%s", error)
            raise

    def require_installed(self, entry: CatalogEntry) -> ModelSpec:
        """Give what is to be loaded for ``entry``.

        Raises:
            ModelNotInstalledError: its bundle has not been built.
        """
        source = entry.source
        if entry.spec is None:
            raise ModelNotInstalledError(
                entry.name, bundle=source.bundle, command=source.install_command
            )
        return entry.spec

    def loaded(self, entry: CatalogEntry) -> Reranker | None:
        """Give the entry's reranker, None while it is not loaded."""
        return self._pool.loaded(entry.spec) if entry.spec is not None else None

    def status(self, entry: CatalogEntry) -> tuple[ModelStatus, str | None]:
        """Give the entry's status and, where it failed, why."""
        if entry.spec is None:
            return "not_installed", None
        if self._pool.loaded(entry.spec) is not None:
            return "ready", None
        reason = self._pool.failure(entry.spec)
        if reason is not None:
            return "failed", reason
        return "loading" if self._pool.is_loading(entry.spec) else "unloaded", None

    async def load(self) -> None:
        """Load the models that are to be loaded at start; the loop stays free meanwhile.

        Raises nothing: what went wrong is in ``failure``.
        """
        async with self._reloading:
            failures = await self._preload(self.entries)
            self.failure = failures[0] if failures else None
            self.is_ready = not failures

    async def reload(self) -> None:
        """Read the configuration again; models that are in both stay in memory.

        New models are loaded, where that is to be done at start, before they take over. Models
        that are no longer there are unloaded when their requests have finished.

        Raises:
            ReloadError: lists all problems; everything stays as it was.
        """
        async with self._reloading:
            try:
                entries = await asyncio.to_thread(read_entries, self._settings)
            except ModelConfigError as error:
                raise ReloadError(error.problems) from error
            except BundleError as error:
                raise ReloadError([str(error)]) from error
            self._pool.retain(_specs(self.entries) | _specs(entries))  # forgets failures
            failures = await self._preload(entries)
            if not failures:
                self.entries = entries
                self.failure, self.is_ready = None, True
            self._pool.retain(_specs(self.entries))
            if failures:
                raise ReloadError([str(failure) for failure in failures])
            _log.info("reloaded: %s", ", ".join(entry.name for entry in entries))

    async def close(self) -> None:
        """Unload all models."""
        self.is_ready = False
        await self._pool.close()

    async def _preload(self, entries: tuple[CatalogEntry, ...]) -> list[ModelLoadError]:
        failures: list[ModelLoadError] = []
        for spec in preloaded(entries):
            try:
                async with self._pool.using(spec):
                    pass
            except ModelLoadError as error:
                failures.append(error)
        return failures


def build_catalog(settings: Settings) -> Catalog:
    """Look up every model that the settings name, without loading any.

    Raises:
        BundleError: a ``--model`` is not there or not a bundle.
        ModelConfigError: lists all problems of the configuration.
    """
    return Catalog(read_entries(settings), settings)


def _names(entry: CatalogEntry) -> tuple[str, ...]:
    return (entry.name, *entry.aliases)


def _specs(entries: tuple[CatalogEntry, ...]) -> set[ModelSpec]:
    return {entry.spec for entry in entries if entry.spec is not None}
