"""The server as a process: how it starts, what it says, how it ends."""

import http.client
import json
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

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
    _, client = start_server("--config", "models/config", "--models-dir", tmp_path)
    assert client.get("/healthz").status_code == 200
    for response in (
        client.get("/readyz"),
        client.post("/v1/rerank", json={"query": "a", "documents": ["b"]}),
    ):
        assert response.status_code == 503
        assert "ranklet export models/ranklet-mini" in response.json()["message"]


def test_the_curl_of_the_banner_works(tiny_bundle: Path) -> None:
    command = [sys.executable, "-m", "ranklet.cli", "serve", "--port", "0"]
    command += ["--model", str(tiny_bundle)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines: list[str] = []
        while not (lines and lines[-1].startswith("All routes")):
            lines.append(process.stdout.readline())
        banner = "".join(lines)
        shell = banner[banner.index("  curl ") : banner.index("All routes")].replace(
            "curl ", "curl --silent --fail "
        )
        answer = subprocess.run(shell, shell=True, capture_output=True, check=True)  # noqa: S602 - as a person would
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
    assert [result["index"] for result in json.loads(answer.stdout)["results"]] == [1, 0]
    assert "variant int8" in banner


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


def test_a_busy_port_is_one_clear_line(tiny_bundle: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        result = serve("--model", tiny_bundle, "--port", str(port))
    check_one_line(result, f"127.0.0.1:{port}", "in use", "--port")


def test_an_unknown_host_is_one_clear_line(tiny_bundle: Path) -> None:
    check_one_line(serve("--model", tiny_bundle, "--host", "192.0.2.1"), "192.0.2.1:8080")


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
