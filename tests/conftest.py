"""What the tests share: the bundles that they open, the data that they measure on, the header."""

import hashlib
import importlib.util
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import tokenizers

from ranklet.runtime.errors import BundleError
from ranklet.runtime.manifest import read_manifest
from ranklet.runtime.processor import detect_processor, usable_cores

ROOT = Path(__file__).parent.parent
CHECKPOINT = ROOT / "models/ranklet-mini"
BUILT = ROOT / "models/built/ranklet-mini"
RANKLET = (sys.executable, "-m", "ranklet.cli")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let an environment without torch test a bundle that another one has built."""
    parser.addoption(
        "--bundle", type=Path, help="--bundle=DIR: a bundle of models/ranklet-mini to test with"
    )


def pytest_configure() -> None:
    """Let programs under test hear SIGINT, which jobs in a shell's background inherit ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> list[str]:
    """Tell what scores depend on."""
    libraries = ", ".join(
        f"{library.__name__} {library.__version__}" for library in (onnxruntime, np, tokenizers)
    )
    cores = f"{usable_cores()} usable cores"
    return [libraries, f"CPU: {_processor_name()}, {detect_processor().description}, {cores}"]


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs torch where it is not installed."""
    if _can_export():
        return
    for item in items:
        if item.get_closest_marker("torch"):
            item.add_marker(pytest.mark.skip(reason="torch and optimum are not installed"))


def _can_export() -> bool:
    return all(importlib.util.find_spec(name) for name in ("torch", "optimum"))


@pytest.fixture(scope="session")
def tiny_bundle() -> Path:
    """The bundle that ``tests/tiny/generate.py`` wrote: read it, do not write to it.

    A document with more of the query's words ranks higher; see there.
    """
    return ROOT / "tests/tiny/bundle"


@pytest.fixture(scope="session")
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the shipped model: the one that is built already, or one built now."""
    given: Path | None = request.config.getoption("--bundle")
    if given is not None:
        return given
    if _is_built_from_checkpoint(BUILT):
        return BUILT
    if not _can_export():
        pytest.skip("no bundle of models/ranklet-mini is built, and torch is not installed")
    output = tmp_path_factory.mktemp("built") / "ranklet-mini"
    command = [sys.executable, "-m", "ranklet.cli", "export", str(CHECKPOINT)]
    subprocess.run([*command, "--output", str(output)], check=True, cwd=ROOT)
    return output


def _is_built_from_checkpoint(bundle: Path) -> bool:
    """Whether the bundle holds the weights that the checkpoint has now, and their window."""
    try:
        manifest = read_manifest(bundle)
    except BundleError:
        return False
    weights = (CHECKPOINT / "model.safetensors").read_bytes()
    tokenizer = json.loads((CHECKPOINT / "tokenizer_config.json").read_bytes())
    digest = hashlib.sha256(weights).hexdigest()
    return (manifest.source.revision or "").endswith(digest) and (
        manifest.window_tokens == tokenizer["model_max_length"]
    )


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of test collections, which are not part of the project."""
    folder = os.environ.get("RANKLET_DATA")
    if not folder:
        pytest.skip("RANKLET_DATA does not name a folder of test collections")
    return Path(folder)


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Start real servers, each on a port of its own; they end with the test.

    ``start_server("--model", bundle)`` gives the address once the server is ready; ``command`` is
    what to call instead of this environment's ``ranklet``.
    """
    processes: list[subprocess.Popen[bytes]] = []

    def start(*words: str, command: Sequence[str] = RANKLET, cwd: Path = ROOT) -> str:
        port = _free_port()
        log = tmp_path / f"server-{port}.log"
        with log.open("wb") as output:
            arguments = [*command, "serve", *words, "--port", str(port)]
            process = subprocess.Popen(arguments, cwd=cwd, stdout=output, stderr=output)
        processes.append(process)
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while not _is_ready(address):
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the server did not start:\n{log.read_text()}")
            time.sleep(0.05)
        return address

    yield start
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait(30)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _is_ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/readyz", timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
