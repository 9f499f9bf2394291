"""The server as a process: how it starts, what it says, how it ends."""

import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from ranklet import __version__

ROOT = Path(__file__).parent.parent.parent

StartServer = Callable[..., tuple["subprocess.Popen[str]", httpx.Client]]


def serve(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run ``ranklet serve`` where it is expected to fail."""
    command = [sys.executable, "-m", "ranklet.cli", "serve", *map(str, words)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def check_one_line(result: "subprocess.CompletedProcess[str]", *parts: str) -> None:
    assert result.returncode == 2, result.stderr
    assert result.stderr.startswith("ranklet: error: ")
    assert len(result.stderr.splitlines()) == 1
    for part in parts:
        assert part in result.stderr


def test_operator_routes(tiny_client: httpx.Client) -> None:
    assert tiny_client.get("/healthz").json() == {"status": "ok"}
    assert tiny_client.get("/readyz").json() == {"status": "ready"}
    assert tiny_client.get("/version").json() == {"name": "ranklet", "version": __version__}


@pytest.mark.parametrize("path", ["/healthz", "/v1/models", "/docs", "/absent", "/v1/rerank"])
def test_head_gives_what_get_does_without_the_body(tiny_client: httpx.Client, path: str) -> None:
    whole, head = tiny_client.get(path), tiny_client.head(path)
    assert head.status_code == whole.status_code
    assert not head.content
    for answer in (whole, head):
        del answer.headers["x-request-id"], answer.headers["date"]
    assert head.headers == whole.headers
    address = (tiny_client.base_url.host, tiny_client.base_url.port or 80)
    with socket.create_connection(address, timeout=60) as connection:
        connection.sendall(f"HEAD {path} HTTP/1.1\r\nConnection: close\r\n\r\n".encode())
        received = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert received.endswith(b"\r\n\r\n")


def test_models_lists_what_is_not_installed(tiny_client: httpx.Client) -> None:
    tiny, absent = tiny_client.get("/v1/models").json()["data"]
    assert tiny["status"] == "ready"
    assert tiny["is_default"]
    assert absent["id"] == "absent"
    assert absent["status"] == "not_installed"
    assert absent["source"]["checkpoint"] == "flashrank:ms-marco-MiniLM-L-12-v2"
    assert absent["install_command"].startswith("ranklet export flashrank:ms-marco")


def test_a_server_without_any_installed_model_starts_and_is_not_ready(
    start_server: StartServer, tmp_path: Path
) -> None:
    process, client = start_server("--config", "models/config", "--models-dir", tmp_path)
    assert "curl" not in rest_of_banner(process)
    assert client.get("/healthz").status_code == 200
    for response in (
        client.get("/readyz"),
        client.post("/v1/rerank", json={"query": "a", "documents": ["b"]}),
    ):
        assert response.status_code == 503
        assert "ranklet export models/ranklet-mini" in response.json()["message"]


def rest_of_banner(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    lines: list[str] = []
    while not (lines and lines[-1].startswith("All routes")):
        lines.append(process.stdout.readline())
    return "".join(lines)


@pytest.mark.parametrize("keys", ["", "secret,other"])
def test_the_curl_of_the_banner_works(tiny_bundle: Path, keys: str) -> None:
    command = [sys.executable, "-m", "ranklet.cli", "serve", "--port", "0"]
    command += ["--model", str(tiny_bundle)]
    environment = os.environ | {"RANKLET_API_KEYS": keys, "KEY": "other"}
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        banner = rest_of_banner(process)
        shell = banner[banner.index("  curl ") : banner.index("All routes")].replace(
            "curl ", "curl --silent --fail "
        )
        answer = subprocess.run(  # as a person would
            ["bash", "-c", shell], capture_output=True, check=False, env=environment
        )
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
    assert [result["index"] for result in json.loads(answer.stdout)["results"]] == [1, 0]
    assert "variant int8" in banner
    assert ("KEY" in banner) == bool(keys)
    assert "other" not in banner


def test_variables_set_what_flags_do(start_server: StartServer, tiny_bundle: Path) -> None:
    environment = {
        "RANKLET_MODEL": str(tiny_bundle),
        "RANKLET_VARIANT": "fp32",
        "RANKLET_MAX_DOCUMENTS": "1",
    }
    _, client = start_server(environment=environment)
    assert client.get("/v1/models").json()["data"][0]["variant"] == "fp32"
    response = client.post("/v1/rerank", json={"query": "a", "documents": ["b", "c"]})
    assert response.status_code == 413


def test_sigterm_finishes_what_is_in_flight_and_ends_with_0(
    start_server: StartServer, tiny_bundle: Path
) -> None:
    process, client = start_server("--model", tiny_bundle)
    documents = [f"{number} " + "skin care " * 200 for number in range(1000)]
    answers: list[httpx.Response] = []

    def ask() -> None:
        body = {"query": "skin", "documents": documents, "return_documents": False}
        answers.append(client.post("/v1/rerank", json=body))

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.2)  # the request is on its way or being scored
    process.send_signal(signal.SIGTERM)
    asking.join()
    assert process.wait(timeout=30) == 0
    [answer] = answers
    assert answer.status_code == 200
    assert len(answer.json()["results"]) == 1000


SHORT_GRACE = """
import sys
import ranklet.service.server
from ranklet.cli import main
ranklet.service.server._GRACE_SECONDS = 1
sys.exit(main(sys.argv[1:]))
"""


@contextmanager
def serving(
    code: str, *words: str | Path, log: Path
) -> Generator[tuple["subprocess.Popen[str]", httpx.Client]]:
    """Run ``code``, which serves; it is not left running."""
    command = [sys.executable, "-c", code, "serve", "--port", "0", *map(str, words)]
    with (
        log.open("w") as stderr,
        subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=stderr, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = next(line for line in process.stdout if "listens on" in line)
            url = line.split(" listens on ")[1].split()[0]
            with httpx.Client(base_url=url, timeout=60) as client:
                yield process, client
        finally:
            process.kill()


def test_what_is_not_done_in_time_is_told_that_the_server_shuts_down(
    bundle: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    document = "skin care " * 90_000
    asked = {
        "/v1/rerank": {"query": "a", "documents": [document], "max_chunks_per_doc": 10_000},
        "/rerank": {"query": "a", "texts": [f"{number} skin care" * 80 for number in range(900)]},
    }
    answers: dict[str, httpx.Response] = {}
    with serving(SHORT_GRACE, "--model", bundle, log=log) as (process, client):
        host, port = client.base_url.host, client.base_url.port

        def ask(path: str) -> None:
            answers[path] = client.post(path, json=asked[path])

        asking = [threading.Thread(target=ask, args=[path]) for path in asked]
        with socket.create_connection((host, port or 80)) as slow:
            slow.settimeout(60)
            slow.sendall(b"POST /v2/rerank HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
            for thread in asking:
                thread.start()
            time.sleep(0.5)  # the requests are being scored
            process.send_signal(signal.SIGTERM)
            answer = b"".join(iter(lambda: slow.recv(65_536), b""))
        for thread in asking:
            thread.join()
        assert process.wait(timeout=30) == 0
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"the server shut down" in answer
    assert answers["/v1/rerank"].json()["error"]["code"] == "shutting_down"
    assert answers["/rerank"].json()["error_type"] == "Unhealthy"
    for response in answers.values():
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
    assert log.read_text().count("status=503") == 3
    assert "status=0" not in log.read_text()
    assert "Traceback" not in log.read_text()


HANGUPS = """
import logging
import os
import signal
import sys
from ranklet.cli import main

def hang_up(*_):
    os.kill(os.getpid(), signal.SIGHUP)

class Importing:
    def find_spec(self, name, *_):
        if name in ("ranklet.service.app", "uvicorn"):
            hang_up()

class Closing(logging.Filter):
    def filter(self, record):
        if record.msg.startswith("unloaded"):
            hang_up()
        return True

signal.signal(signal.SIGHUP, signal.SIG_DFL)
sys.meta_path.insert(0, Importing())
logging.getLogger("ranklet.service.model_pool").addFilter(Closing())
sys.exit(main(sys.argv[1:]))
"""


def test_a_signal_to_reload_never_ends_the_server(tiny_bundle: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    words = ("--model", tiny_bundle, "--log-level", "debug")
    with serving(HANGUPS, *words, log=log) as (process, client):
        assert client.get("/healthz").status_code == 200
        process.send_signal(signal.SIGTERM)
        while process.poll() is None:
            process.send_signal(signal.SIGHUP)
            time.sleep(0.001)
        assert process.returncode == 0
    assert "unloaded" in log.read_text()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells what is ignored")
def test_what_nohup_ignores_stays_ignored(start_server: StartServer, tiny_bundle: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    process, _ = start_server("--model", tiny_bundle)
    signal.signal(signal.SIGHUP, before)
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    ignored = next(line.split()[1] for line in lines if line.startswith("SigIgn"))
    assert int(ignored, base=16) & 1 << (signal.SIGHUP - 1)


def test_a_busy_port_is_one_clear_line(tiny_bundle: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        result = serve("--model", tiny_bundle, "--port", str(port))
    check_one_line(result, f"127.0.0.1:{port}", "in use", "--port")


def test_an_unknown_host_is_one_clear_line(tiny_bundle: Path) -> None:
    for host in ("192.0.2.1", "a..b", "a" * 100):
        check_one_line(serve("--model", tiny_bundle, "--host", host), f"{host}:8080")


def test_a_missing_bundle_is_one_clear_line(tmp_path: Path) -> None:
    result = serve("--model", tmp_path / "absent")
    check_one_line(result, "absent/manifest.json does not exist", "ranklet export")


def test_a_damaged_bundle_ends_the_server(tiny_bundle: Path, tmp_path: Path) -> None:
    for file in tiny_bundle.iterdir():
        content = file.read_bytes()
        damaged = content[:-1] + b"x" if file.suffix == ".onnx" else content
        (tmp_path / file.name).write_bytes(damaged)
    check_one_line(serve("--model", tmp_path, "--port", "0"), ".onnx is damaged", "sha256")


def test_an_unknown_variant_ends_the_server(tiny_bundle: Path) -> None:
    result = serve("--model", tiny_bundle, "--port", "0", "--variant", "int3")
    check_one_line(result, "'int3'", "fp32")


def test_wrong_settings_are_listed(tiny_bundle: Path) -> None:
    result = serve("--model", tiny_bundle, "--port", "high", "--workers", "0")
    assert result.returncode == 2
    assert "--port is 'high'" in result.stderr
    assert "--workers is '0'" in result.stderr


def test_a_broken_configuration_ends_the_server(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("nmae: a\n")
    result = serve("--config", tmp_path)
    assert result.returncode == 2
    assert "did you mean 'name'?" in result.stderr


@pytest.mark.parametrize("package", ["litestar", "prometheus_client", "uvicorn", "yaml"])
def test_a_package_that_is_not_installed_is_named_with_its_extra(
    package: str, tiny_bundle: Path
) -> None:
    blocked = f"import sys; sys.modules[{package!r}] = None\n"
    program = blocked + "from ranklet.cli import main; raise SystemExit(main())"
    command = [sys.executable, "-c", program, "serve", "--model", str(tiny_bundle), "--port", "0"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    check_one_line(result, f"needs {package}", "pip install 'ranklet[service]'")
    command.append("--debug")
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" in result.stderr


def test_settings_do_not_wait_for_the_web_framework() -> None:
    code = "import sys, ranklet.service.settings, ranklet.service.command; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"litestar", "uvicorn", "onnxruntime", "numpy"} & set(modules)


def test_the_service_never_imports_what_exports(tiny_bundle: Path) -> None:
    code = """
import asyncio, sys
from pathlib import Path
from ranklet.service.app import create_app
from ranklet.service.catalog import build_catalog
from ranklet.service.settings import Settings
import ranklet.service.server
settings = Settings(models=(Path(sys.argv[1]),))
create_app(settings)
async def load() -> None:
    catalog = build_catalog(settings)
    await catalog.load()
    assert catalog.is_ready
    await catalog.close()
asyncio.run(load())
print(*sys.modules)
"""
    command = [sys.executable, "-W", "error", "-c", code, str(tiny_bundle)]
    modules = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "optimum", "onnx", "flashrank"} & set(modules)


def test_a_slow_body_does_not_hold_up_others(tiny_client: httpx.Client) -> None:
    address = (tiny_client.base_url.host, tiny_client.base_url.port or 80)
    head = b"POST /v1/rerank HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
    with socket.create_connection(address) as connection:
        connection.sendall(head)
        assert tiny_client.get("/healthz").status_code == 200


def test_connections_stay_open(tiny_client: httpx.Client) -> None:
    connection = http.client.HTTPConnection(tiny_client.base_url.host, tiny_client.base_url.port)
    body: Any = json.dumps({"query": "a", "documents": ["b"]})
    for content in (body, "{", body):
        connection.request("POST", "/v1/rerank", content)
        response = connection.getresponse()
        response.read()
        assert not response.will_close
    connection.close()


def test_health_is_answered_while_every_worker_is_busy(
    start_server: StartServer, bundle: Path
) -> None:
    """How soon is for ``benchmarks/event_loop.py`` to say: a busy machine proves nothing."""
    _, client = start_server("--model", bundle)
    documents = [f"{number} " + "skin care " * 500 for number in range(1000)]
    body = json.dumps({"query": "skin", "documents": documents})
    connection = http.client.HTTPConnection(client.base_url.host, client.base_url.port)
    with closing(connection):
        connection.request("POST", "/v1/rerank", body)
        for _ in range(50):
            assert client.get("/healthz").status_code == 200
        is_answered = select.select([connection.sock], [], [], 0)[0]
        assert not is_answered, "health had to wait for the ranking"
