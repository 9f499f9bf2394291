"""Servers to test: real ones, in processes of their own, driven over HTTP."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parent.parent.parent

StartServer = Callable[..., tuple["subprocess.Popen[str]", httpx.Client]]


class _Servers:
    """Starts servers and stops them again."""

    def __init__(self) -> None:
        self._running: list[tuple[subprocess.Popen[str], httpx.Client]] = []

    def start(
        self,
        *words: str | Path,
        environment: dict[str, str] | None = None,
        log: Path | None = None,
    ) -> tuple["subprocess.Popen[str]", httpx.Client]:
        """Start ``ranklet serve`` on a free port; gives the process and a client for it.

        What it writes to stderr goes into ``log`` where that is given.
        """
        command = [sys.executable, "-m", "ranklet.cli", "serve", "--port", "0", *map(str, words)]
        with log.open("wb") if log is not None else nullcontext() as stderr:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**_clean_environment(), **(environment or {})},
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        for line in _told(process, log if "json" in words else None):
            if "listens on" in line:
                url = re.search(r"listens on (http://[^ \"]+)", line)
                assert url
                client = httpx.Client(base_url=url[1], timeout=60)
                self._running.append((process, client))
                return process, client
        pytest.fail(f"the server ended with {process.wait()} before it was ready")

    def stop(self) -> None:
        """Stop all servers."""
        for process, client in self._running:
            client.close()
            process.terminate()
            process.communicate(timeout=60)


def _told(process: "subprocess.Popen[str]", log: Path | None) -> Iterator[str]:
    """Give what the server says on stdout or, where it writes JSON there, in its log."""
    if log is None:
        assert process.stdout is not None
        # Not `yield from`, whose end would close it.
        for line in process.stdout:  # noqa: UP028
            yield line
        return
    while process.poll() is None:
        yield log.read_text()
        time.sleep(0.01)


def _clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("RANKLET_")}


@pytest.fixture
def start_server() -> Iterator[StartServer]:
    """Starts a server of the test's own."""
    servers = _Servers()
    try:
        yield servers.start
    finally:
        servers.stop()


@pytest.fixture(scope="session")
def client(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a server that serves the shipped model as the shipped configuration says."""
    models_dir = tmp_path_factory.mktemp("models")
    (models_dir / "ranklet-mini").symlink_to(bundle.resolve())
    servers = _Servers()
    try:
        yield servers.start("--config", ROOT / "models/config", "--models-dir", models_dir)[1]
    finally:
        servers.stop()


@pytest.fixture(scope="session")
def tiny_client(
    tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A client of a server with a tiny model, low limits and a model that is not installed."""
    config = tmp_path_factory.mktemp("config") / "models.yaml"
    config.write_text(
        "name: absent\nbackend: rerankers\nparameters: {model: cross-encoder}\ntype: flashrank\n"
    )
    limits = {
        "--max-documents": 1000,
        "--max-queued-pairs": 1000,
        "--max-document-chars": 20_000,
        "--max-request-chars": 1_000_000,
        "--max-body-bytes": 2_000_000,
    }
    words = [str(word) for limit in limits.items() for word in limit]
    servers = _Servers()
    try:
        yield servers.start("--model", tiny_bundle, "--config", config, *words)[1]
    finally:
        servers.stop()


@pytest.fixture(scope="session")
def skincare() -> dict[str, Any]:
    """The request that LocalAI's documentation shows."""
    documents = [
        "Eco-friendly kitchenware for modern homes",
        "Biodegradable cleaning supplies for eco-conscious consumers",
        "Organic cotton baby clothes for sensitive skin",
        "Natural organic skincare range for sensitive skin",
        "Tech gadgets for smart homes: 2024 edition",
        "Sustainable gardening tools and compost solutions",
        "Sensitive skin-friendly facial cleansers and toners",
        "Organic food wraps and storage solutions",
        "All-natural pet food for dogs with allergies",
        "Yoga mats made from recycled materials",
    ]
    return {
        "model": "jina-reranker-v1-base-en",
        "query": "Organic skincare products for sensitive skin",
        "documents": documents,
        "top_n": 3,
    }


@pytest.fixture
def post(tiny_client: httpx.Client) -> Callable[[object], httpx.Response]:
    """Sends a body to /v1/rerank of the server with the tiny model, bytes as they are."""

    def send(body: object) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return tiny_client.post("/v1/rerank", content=content)

    return send


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Waits until something is so."""

    def wait(is_so: Callable[[], bool]) -> None:
        end = time.monotonic() + 30
        while not is_so():
            assert time.monotonic() < end, "it never came to be"
            time.sleep(0.01)

    return wait
