"""What the server tells when it is ready and when it stops."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from ranklet import __version__

StartServer = Callable[..., tuple["subprocess.Popen[str]", httpx.Client]]


@contextmanager
def serving(
    *words: str | Path, stdout: Path, log: Path, **variables: str
) -> Generator["subprocess.Popen[bytes]"]:
    """Serve on a free port; it is not left running."""
    command = [sys.executable, "-m", "ranklet.cli", "serve", "--port", "0", *map(str, words)]
    with (
        stdout.open("wb") as output,
        log.open("wb") as errors,
        subprocess.Popen(
            command, stdout=output, stderr=errors, env=os.environ | variables
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def wait_for(text: str, file: Path) -> str:
    """Give what the file has once ``text`` is in it."""
    deadline = time.monotonic() + 60
    while text not in (content := file.read_text()):
        assert time.monotonic() < deadline, content
        time.sleep(0.01)
    return content


def test_a_log_of_json_tells_start_and_stop(tiny_bundle: Path, tmp_path: Path) -> None:
    output, log = tmp_path / "output", tmp_path / "log"
    words = ("--model", tiny_bundle, "--log-format", "json")
    with serving(*words, stdout=output, log=log) as process:
        started = json.loads(wait_for("listens on", log).splitlines()[0])
        assert httpx.get(f"{started['url']}/readyz").status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    assert started["version"] == __version__
    assert started["models"]["tiny"].startswith("is tiny, variant int8")
    stopped = json.loads(log.read_text().splitlines()[-1])
    assert stopped["signal"] == "SIGTERM"
    assert stopped["requests"] == 0
    assert output.read_text() == ""


STOPS_BEHIND_ITS_ANSWER = """
import logging, os, signal, socket
from litestar import Litestar, get
from ranklet.service.server import Server

@get("/", after_response=lambda _: os.kill(os.getpid(), signal.SIGTERM), sync_to_thread=False)
def answer() -> str:
    return "answered"

logging.basicConfig(level=logging.INFO, format="%(message)s")
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    Server(Litestar([answer]), log_level="info").run(listener)
"""
"""The signal comes when the answer is on its way and its task has not ended."""


def test_an_answered_request_is_not_in_flight() -> None:
    command = [sys.executable, "-c", STOPS_BEHIND_ITS_ANSWER]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stdout is not None
            url = f"http://127.0.0.1:{int(process.stdout.readline())}/"
            assert httpx.get(url).text == "answered"
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert "SIGTERM: stopping, 0 requests in flight" in errors
    assert process.returncode == 0


@pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="a disk that is full is Linux' /dev/full"
)
def test_a_server_whose_banner_nobody_can_read_serves(tiny_bundle: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with serving("--model", tiny_bundle, stdout=Path("/dev/full"), log=log) as process:
        url = wait_for("cannot say so", log).split("listens on ")[1].split(",")[0]
        assert httpx.get(f"{url}/readyz").status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    assert "Traceback" not in log.read_text()


def test_names_that_stdout_has_no_letters_for(tiny_bundle: Path, tmp_path: Path) -> None:
    output, config = tmp_path / "output", tmp_path / "a.yaml"
    config.write_text(
        f"name: modèle\nbackend: rerankers\nparameters: {{model: {tiny_bundle}}}\n", "utf-8"
    )
    variables = {"PYTHONIOENCODING": "ascii"}
    with serving("--config", config, stdout=output, log=tmp_path / "log", **variables):
        assert "mod\\xe8le" in wait_for("All routes", output)


@pytest.mark.parametrize("name", ["notify", "user@1000"])
def test_systemd_is_told_when_requests_are_answered(
    name: str, tiny_bundle: Path, tmp_path: Path
) -> None:
    channel, output = tmp_path / name, tmp_path / "output"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(channel))
        supervisor.settimeout(60)
        variables = {"NOTIFY_SOCKET": str(channel)}
        log = tmp_path / "log"
        with serving("--model", tiny_bundle, stdout=output, log=log, **variables) as process:
            assert supervisor.recv(100) == b"READY=1"
            assert "listens on" in output.read_text()
            process.send_signal(signal.SIGTERM)
            assert supervisor.recv(100) == b"STOPPING=1"


def test_a_supervisor_that_is_gone_is_a_warning(tiny_bundle: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    variables = {"NOTIFY_SOCKET": str(tmp_path / "gone")}
    with serving("--model", tiny_bundle, stdout=tmp_path / "output", log=log, **variables):
        assert "cannot tell the supervisor READY=1" in wait_for("supervisor", log)


def test_a_second_ctrl_c_ends_it_without_a_traceback(
    start_server: StartServer, bundle: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    process, client = start_server("--model", bundle, log=log)
    documents = [f"{number} " + "skin care " * 400 for number in range(900)]
    answers: list[httpx.Response] = []

    def ask() -> None:
        answers.append(client.post("/v1/rerank", json={"query": "a", "documents": documents}))

    asking = threading.Thread(target=ask)
    asking.start()
    deadline = time.monotonic() + 60
    while "ranklet_queued_pairs 0.0" in client.get("/metrics").text:
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGINT)
    wait_for("SIGINT: stopping, 1 requests in flight", log)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    asking.join()
    assert answers[0].status_code == 503
    assert "Traceback" not in log.read_text()


def test_variables_without_a_meaning_are_told(tiny_bundle: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    variables = {"RANKLET_THREADS": "4"}
    with serving("--model", tiny_bundle, stdout=tmp_path / "output", log=log, **variables):
        assert "no setting is called RANKLET_THREADS;" in wait_for("RANKLET", log)
