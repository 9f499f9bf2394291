"""Rerankers in memory: loaded on first use, the least recently used unloaded to stay in a budget.

What a model takes is counted as the size of the files that it runs. That is known before anything
is loaded, so that room is made first and the budget is not passed on the way, and it does not
depend on what else the process does meanwhile, as the growth of resident memory would. It is also
about right: of the shipped model, 19 MiB of int8 files grow the process by 21 MiB, 74 MiB of fp32
by 41, as only those rows of the embeddings are read from disk that texts use. Buffers come on top,
about 30 MiB a model for texts that fill its window.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from ranklet.runtime.errors import ClosedError, RankletError
from ranklet.runtime.reranker import Reranker

from .errors import MODEL_RETRY_SECONDS, ModelLoadError
from .memory import return_free_memory
from .model_spec import ModelSpec

_log = logging.getLogger(__name__)

_CLOSED = "the server is shutting down"


@dataclass(eq=False, slots=True)
class _Slot:
    """A model in memory, on its way there or on its way out."""

    spec: ModelSpec
    opening: "asyncio.Task[None]" = field(init=False)
    """Never raises; when it is done there is a reranker or a failure."""
    reranker: Reranker | None = None
    failure: str = ""
    retry_at: float = 0.0
    held_bytes: int = 0
    users: int = 0
    """Requests that use it or wait for it."""
    is_retired: bool = False
    """No new request uses it; it is unloaded when the last one leaves."""


class ModelPool:
    """Loads models and keeps them within a budget. For the event loop's thread alone."""

    def __init__(
        self, open_reranker: Callable[[ModelSpec], Reranker], *, max_bytes: int | None = None
    ) -> None:
        """Start empty.

        Args:
            open_reranker: Opens a model; called in a thread.
            max_bytes: What all models may take together, at least as much as the largest of them;
                no limit where None.
        """
        self._max_bytes = max_bytes
        self._open_reranker = open_reranker
        self._slots: dict[ModelSpec, _Slot] = {}  # least recently used first
        self._retired: set[_Slot] = set()
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    @asynccontextmanager
    async def using(self, spec: ModelSpec) -> AsyncGenerator[Reranker]:
        """Hold a model's reranker, loaded first where it is not; other requests go on meanwhile.

        Raises:
            ModelLoadError: it cannot be loaded.
            ClosedError: the server is shutting down.
        """
        slot = self._touch(spec)
        slot.users += 1
        try:
            await asyncio.shield(slot.opening)  # who leaves does not stop it for the others
            if slot.reranker is None:
                raise ModelLoadError(spec.bundle, reason=slot.failure)
            yield slot.reranker
        finally:
            slot.users -= 1
            self._unload_if_unused(slot)

    def loaded(self, spec: ModelSpec) -> Reranker | None:
        """Give a model's reranker without loading or using it, None where it is not loaded."""
        slot = self._slots.get(spec)
        return slot.reranker if slot else None

    def is_loading(self, spec: ModelSpec) -> bool:
        """Whether a model is on its way into memory."""
        slot = self._slots.get(spec)
        return slot is not None and not slot.opening.done()

    def failure(self, spec: ModelSpec) -> str | None:
        """Tell why a model could not be loaded when that was last tried."""
        slot = self._slots.get(spec)
        return (slot.failure or None) if slot else None

    @property
    def held_bytes(self) -> int:
        """What the models take that are in memory, on their way there or on their way out."""
        return sum(slot.held_bytes for slot in (*self._slots.values(), *self._retired))

    def retain(self, specs: Collection[ModelSpec]) -> None:
        """Unload all other models when their requests have finished; forget failures."""
        for slot in list(self._slots.values()):
            if slot.failure or slot.spec not in specs:
                self._retire(slot)

    async def close(self) -> None:
        """Unload everything; requests that still run fail with ``ClosedError``."""
        self._is_closed = True
        self._changed.set()
        slots = [*self._slots.values(), *self._retired]
        await asyncio.gather(*(slot.opening for slot in slots))
        await asyncio.gather(*(self._unload(slot) for slot in slots), *self._tasks)

    def _touch(self, spec: ModelSpec) -> _Slot:
        """Give the model's slot as the most recently used one, and start loading if need be."""
        if self._is_closed:
            raise ClosedError(_CLOSED)
        slot = self._slots.pop(spec, None)
        if slot is None or (slot.failure and time.monotonic() >= slot.retry_at):
            slot = _Slot(spec)
            slot.opening = self._start(self._open(slot))
        self._slots[spec] = slot
        return slot

    def _start(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)  # the event loop itself keeps only a weak reference
        task.add_done_callback(self._tasks.discard)
        return task

    async def _open(self, slot: _Slot) -> None:
        async with self._turn:  # room is made for one after another, in the order of arrival
            await self._make_room(slot.spec.size_bytes)
            slot.held_bytes = slot.spec.size_bytes
        started = time.monotonic()
        try:
            slot.reranker = await self._in_thread(slot.spec)
        except Exception as error:  # noqa: BLE001 - whoever waits for the model hears of it
            if not isinstance(error, RankletError):
                _log.exception("loading %s failed", slot.spec.bundle)
            slot.failure = str(error) or type(error).__name__
            slot.retry_at = time.monotonic() + MODEL_RETRY_SECONDS
            self._forget(slot)
        else:
            _log.debug("loaded %s in %.1f s", slot.spec.bundle, time.monotonic() - started)
            self._changed.set()
        self._unload_if_unused(slot)

    async def _in_thread(self, spec: ModelSpec) -> Reranker:
        if self._is_closed:
            raise ClosedError(_CLOSED)
        return await asyncio.to_thread(self._open_reranker, spec)

    async def _make_room(self, size: int) -> None:
        if self._max_bytes is None:
            return
        while self.held_bytes + size > self._max_bytes and not self._is_closed:
            leaving = sum(slot.held_bytes for slot in self._retired)
            candidate = self._least_recently_used()
            if candidate and self.held_bytes - leaving + size > self._max_bytes:
                self._retire(candidate)
                continue
            self._changed.clear()
            await self._changed.wait()

    def _least_recently_used(self) -> _Slot | None:
        """Give the model to unload first: one that is idle, where there is one."""
        loaded = [slot for slot in self._slots.values() if slot.reranker is not None]
        return min(loaded, key=lambda slot: slot.users > 0, default=None)

    def _retire(self, slot: _Slot) -> None:
        """Let no new request use it: who comes now waits until it is loaded again."""
        del self._slots[slot.spec]
        if not slot.failure:
            self._retired.add(slot)
            slot.is_retired = True
            self._unload_if_unused(slot)

    def _unload_if_unused(self, slot: _Slot) -> None:
        if slot.is_retired and not slot.users:
            self._start(self._unload(slot))

    async def _unload(self, slot: _Slot) -> None:
        reranker, slot.reranker = slot.reranker, None
        if reranker is None:  # not loaded yet, or on its way out already
            return
        await asyncio.to_thread(reranker.close)
        del reranker  # the last reference: onnxruntime frees its memory here
        await asyncio.to_thread(return_free_memory)
        _log.debug("unloaded %s", slot.spec.bundle)
        self._forget(slot)

    def _forget(self, slot: _Slot) -> None:
        slot.held_bytes = 0
        self._retired.discard(slot)
        self._changed.set()
