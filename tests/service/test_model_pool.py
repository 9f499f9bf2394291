"""Models in memory: loaded once, unloaded in time, within their budget, with real bundles."""

import asyncio
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from ranklet.runtime.errors import ClosedError
from ranklet.runtime.manifest import read_manifest
from ranklet.runtime.reranker import Reranker
from ranklet.service.errors import ModelLoadError
from ranklet.service.model_pool import ModelPool
from ranklet.service.model_spec import ModelSpec, open_warm, specify

Script = Callable[["Opener"], Coroutine[Any, Any, None]]


class Opener:
    """Opens real bundles, counts that, and waits where it is told to."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def __call__(self, spec: ModelSpec) -> Reranker:
        self.opened.append(spec.bundle.name)
        assert self.may_go_on.wait(30)
        return open_warm(spec)


@pytest.fixture
def specs(tiny_bundle: Path, tmp_path: Path) -> list[ModelSpec]:
    """Three models of the same size, called 0, 1 and 2."""
    found: list[ModelSpec] = []
    for number in range(3):
        folder = tmp_path / str(number)
        shutil.copytree(tiny_bundle, folder)
        found.append(specify(folder, read_manifest(folder), variant=None, workers=1))
    return found


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not is_so():  # noqa: ASYNC110 - some of it no event tells
            await asyncio.sleep(0.005)


async def use(pool: ModelPool, spec: ModelSpec) -> float:
    async with pool.using(spec) as reranker:
        scores = await asyncio.wrap_future(reranker.submit("skin", ["skin care"]))
        return float(scores.logits[0])


def run(script: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(script(), 60))


def test_concurrent_first_requests_load_once(specs: list[ModelSpec]) -> None:
    async def script() -> None:
        opener = Opener()
        pool = ModelPool(opener)
        logits = await asyncio.gather(*(use(pool, specs[0]) for _ in range(20)))
        assert len(set(logits)) == 1
        assert opener.opened == ["0"]
        await pool.close()

    run(script)


def test_a_load_holds_up_neither_the_loop_nor_other_models(specs: list[ModelSpec]) -> None:
    async def script() -> None:
        opener = Opener()
        pool = ModelPool(opener)
        await use(pool, specs[0])
        opener.may_go_on.clear()
        slow = asyncio.create_task(use(pool, specs[1]))
        await until(lambda: pool.is_loading(specs[1]))
        await use(pool, specs[0])
        assert not slow.done()
        opener.may_go_on.set()
        await slow
        assert not pool.is_loading(specs[1])
        await pool.close()

    run(script)


def test_who_leaves_does_not_stop_the_load_for_others(specs: list[ModelSpec]) -> None:
    async def script() -> None:
        opener = Opener()
        opener.may_go_on.clear()
        pool = ModelPool(opener)
        leaving = asyncio.create_task(use(pool, specs[0]))
        staying = asyncio.create_task(use(pool, specs[0]))
        await until(lambda: bool(opener.opened))
        leaving.cancel()
        opener.may_go_on.set()
        await staying
        assert opener.opened == ["0"]
        await pool.close()

    run(script)


def test_the_least_recently_used_is_unloaded(specs: list[ModelSpec]) -> None:
    async def script() -> None:
        opener = Opener()
        pool = ModelPool(opener, max_bytes=2 * specs[0].size_bytes)
        for number in (0, 1, 0, 2):
            await use(pool, specs[number])
            assert pool.held_bytes <= 2 * specs[0].size_bytes
        assert pool.loaded(specs[0]) is not None
        assert pool.loaded(specs[1]) is None
        await use(pool, specs[1])
        assert opener.opened == ["0", "1", "2", "1"]
        await pool.close()
        assert pool.held_bytes == 0

    run(script)


def test_a_model_in_use_is_unloaded_only_when_its_requests_have_finished(
    specs: list[ModelSpec],
) -> None:
    async def script() -> None:
        opener = Opener()
        pool = ModelPool(opener, max_bytes=specs[0].size_bytes)
        async with pool.using(specs[0]) as reranker:
            waiting = asyncio.create_task(use(pool, specs[1]))
            await until(lambda: pool.loaded(specs[0]) is None)  # no new request may use it
            again = asyncio.create_task(use(pool, specs[0]))
            await asyncio.wrap_future(reranker.submit("skin", ["skin care"]))
            assert not waiting.done()
            assert opener.opened == ["0"]
        await asyncio.gather(waiting, again)
        assert opener.opened == ["0", "1", "0"]
        with pytest.raises(ClosedError):
            reranker.submit("skin", ["skin care"])
        await pool.close()

    run(script)


def test_an_idle_model_is_unloaded_before_a_busy_one(specs: list[ModelSpec]) -> None:
    async def script() -> None:
        pool = ModelPool(open_warm, max_bytes=2 * specs[0].size_bytes)
        async with pool.using(specs[0]):
            await use(pool, specs[1])
            await use(pool, specs[2])
            assert pool.loaded(specs[0]) is not None
            assert pool.loaded(specs[1]) is None
        await pool.close()

    run(script)


def test_many_models_take_turns_in_a_small_budget(specs: list[ModelSpec]) -> None:
    async def script() -> None:
        pool = ModelPool(open_warm, max_bytes=specs[0].size_bytes)
        logits = await asyncio.gather(*(use(pool, specs[number % 3]) for number in range(30)))
        assert len(set(logits)) == 1
        await pool.close()
        assert pool.held_bytes == 0

    run(script)


def test_a_failed_load_says_why_and_is_tried_again_after_a_while(
    specs: list[ModelSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ranklet.service.model_pool.MODEL_RETRY_SECONDS", 1)
    sound = {file: file.read_bytes() for file in specs[0].bundle.glob("*.onnx")}

    async def script() -> None:
        for file, content in sound.items():
            file.write_bytes(content[:-1] + b"x")
        opener = Opener()
        pool = ModelPool(opener, max_bytes=specs[0].size_bytes)
        for _ in range(3):
            with pytest.raises(ModelLoadError, match=r"\.onnx is damaged"):
                await use(pool, specs[0])
        assert opener.opened == ["0"]
        assert "is damaged" in (pool.failure(specs[0]) or "")
        assert pool.held_bytes == 0
        await use(pool, specs[1])  # the failure holds no memory and stops no other model
        for file, content in sound.items():
            file.write_bytes(content)
        await asyncio.sleep(1)
        await use(pool, specs[0])
        assert pool.failure(specs[0]) is None
        await pool.close()

    run(script)


def test_a_model_may_be_dropped_while_it_is_being_loaded(specs: list[ModelSpec]) -> None:
    async def script() -> None:
        opener = Opener()
        opener.may_go_on.clear()
        pool = ModelPool(opener)
        using = asyncio.create_task(use(pool, specs[0]))
        await until(lambda: bool(opener.opened))
        pool.retain([])
        opener.may_go_on.set()
        await using
        await until(lambda: pool.held_bytes == 0)
        await pool.close()
        with pytest.raises(ClosedError):
            await use(pool, specs[0])

    run(script)


def test_closing_waits_for_loads_and_leaves_nothing(specs: list[ModelSpec]) -> None:
    async def script() -> None:
        opener = Opener()
        opener.may_go_on.clear()
        pool = ModelPool(opener, max_bytes=specs[0].size_bytes)
        users = [asyncio.create_task(use(pool, spec)) for spec in specs]
        await until(lambda: bool(opener.opened))
        closing = asyncio.create_task(pool.close())
        opener.may_go_on.set()
        await closing
        await asyncio.gather(*users, return_exceptions=True)
        assert pool.held_bytes == 0

    run(script)


def test_memory_goes_back_to_the_system(bundle: Path) -> None:
    """In a process of its own: what other tests leave in the heap would be measured, too."""
    program = [sys.executable, "-c", _LOADS_AND_UNLOADS, str(bundle)]
    result = subprocess.run(program, check=True, capture_output=True, text=True, timeout=60)
    before, loaded, after = map(int, result.stdout.split())
    assert loaded - before > 20 * 2**20
    assert after - before < (loaded - before) / 4


_LOADS_AND_UNLOADS = """
import asyncio, re, sys
from pathlib import Path
from ranklet.runtime.manifest import read_manifest
from ranklet.service.model_pool import ModelPool
from ranklet.service.model_spec import open_warm, specify

def print_resident_bytes():
    status = Path("/proc/self/status").read_text()
    print(1024 * int(re.search(r"VmRSS:\\s+(\\d+)", status)[1]))

async def load(pool, spec):
    async with pool.using(spec) as reranker:
        await asyncio.wrap_future(reranker.submit("skin", ["skin care"]))

async def unload(pool):
    pool.retain([])
    while pool.held_bytes:
        await asyncio.sleep(0.005)

async def main():
    bundle = Path(sys.argv[1])
    spec = specify(bundle, read_manifest(bundle), variant="fp32", workers=1)
    pool = ModelPool(open_warm)
    await load(pool, spec)  # the libraries themselves stay
    await unload(pool)
    print_resident_bytes()
    await load(pool, spec)
    print_resident_bytes()
    await unload(pool)
    print_resident_bytes()
    await pool.close()

asyncio.run(main())
"""
