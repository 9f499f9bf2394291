"""Servers for other projects' clients to talk to, and what the runtime alone says they must answer.

The clients live in an environment of their own, which tests/packaging/test_clients.py makes; where
they are not installed, only the tests that send recorded requests run.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from ranklet.runtime.reranker import Reranker

ROOT = Path(__file__).parent.parent.parent
HAS_CLIENTS = find_spec("cohere") is not None

collect_ignore_glob = [] if HAS_CLIENTS else ["test_sdk_*.py"]

# Before any client is imported: none may ask the network for prices or report its use.
os.environ |= {
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "LANGSMITH_TRACING": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "NO_PROXY": "127.0.0.1",
}

_calls_out: list[str] = []


def _refuse_calls_out(event: str, arguments: tuple[Any, ...]) -> None:
    """Stop what would leave this machine; some clients call home from threads of their own."""
    if event == "socket.connect" and not isinstance(arguments[1], str | bytes):
        host = str(arguments[1][0])
    elif event == "socket.getaddrinfo":
        host = str(arguments[0])
    else:
        return
    if host not in {"127.0.0.1", "::1", "localhost"}:
        _calls_out.append(host)
        message = f"a client tried to reach {host}"
        raise OSError(message)


if HAS_CLIENTS:  # an audit hook stays for good, and other tests have their own rules
    sys.addaudithook(_refuse_calls_out)


def pytest_configure(config: pytest.Config) -> None:
    """Warnings are errors here too, but for those that only the clients' authors can end."""
    if HAS_CLIENTS:
        for allowed in (
            "ignore:`langchain-community` is being sunset:DeprecationWarning",
            "ignore:Item '.*' on TypedDict class:UserWarning",  # LiteLLM's types
            "ignore:unclosed:ResourceWarning",  # many have no way to close their connections
        ):
            config.addinivalue_line("filterwarnings", allowed)


@pytest.fixture(scope="session", autouse=True)
def _no_calls_out() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction] - pytest calls it
    yield
    # LiteLLM looks there for the window of what it calls huggingface/..., and does without.
    assert set(_calls_out) <= {"huggingface.co"}, "clients tried to reach other machines"


@contextmanager
def _running_server(*words: object, **variables: str) -> Generator[str]:
    """Run ``ranklet serve`` on a free port and give its address."""
    command = [sys.executable, "-m", "ranklet.cli", "serve", "--port", "0", *map(str, words)]
    others = {name: text for name, text in os.environ.items() if not name.startswith("RANKLET_")}
    with subprocess.Popen(
        command, cwd=ROOT, env=others | variables, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if " listens on " in line:
                yield line.split(" listens on ")[1].split()[0]
                break
        else:
            pytest.fail(f"the server ended with {process.wait()} before it was ready")
        process.terminate()


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[..., str]]:
    """Starts servers that live as long as the tests: ``serve(*options, **variables)``."""
    with ExitStack() as servers:
        yield lambda *words, **variables: servers.enter_context(
            _running_server(*words, **variables)
        )


@pytest.fixture(scope="session")
def address(
    bundle: Path, serve: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> str:
    """The address of a server with what `make run` serves: one model under two names."""
    models_dir = tmp_path_factory.mktemp("models")
    (models_dir / "ranklet-mini").symlink_to(bundle.resolve())
    return serve("--model", bundle, "--config", "models/config", "--models-dir", models_dir)


@pytest.fixture(scope="session")
def keyed_address(bundle: Path, serve: Callable[..., str]) -> str:
    """The address of a server that only the key "secret" opens."""
    return serve("--model", bundle, RANKLET_API_KEYS="secret")


@pytest.fixture(scope="session")
def query() -> str:
    return "Organic skincare products for sensitive skin"


@pytest.fixture(scope="session")
def documents() -> list[str]:
    return [
        "Eco-friendly kitchenware for modern homes",
        "Organic cotton baby clothes for sensitive skin",
        "Natural organic skincare range for sensitive skin",
        "Tech gadgets for smart homes: 2024 edition",
        "Yoga mats made from recycled materials",
    ]


@pytest.fixture(scope="session")
def ranking(bundle: Path, query: str, documents: list[str]) -> list[tuple[int, float]]:
    """Index and score of every document, best first, without any server.

    A score is the same to the bit whatever scored it, so the tests compare for equality.
    """
    with Reranker.open(bundle) as reranker:
        ranked = [(result.index, result.score) for result in reranker.rerank(query, documents)]
    assert ranked[0][0] == 2, "the example's answer is known, whatever the scores"
    return ranked
