"""API keys: who may call, and that no key ever shows."""

import http.client
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from ranklet.service.errors import SettingsError
from ranklet.service.keys import OPEN_PATHS, is_open_to_others, read_api_keys
from ranklet.service.settings import Settings

StartServer = Callable[..., tuple[Any, httpx.Client]]

KEYS = ("sesame-1", "sesame-2", "sesame-3")
BODY = {"query": "secret question", "documents": ["secret answer"]}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "server.log"


@pytest.fixture
def closed(start_server: StartServer, tiny_bundle: Path, tmp_path: Path, log: Path) -> httpx.Client:
    """A client of a server with two keys in the variable, one in a file, and a talkative log."""
    file = tmp_path / "keys"
    file.write_text(f"# for the tests\n\n  {KEYS[2]}  \n")
    words = ("--model", tiny_bundle, "--api-keys-file", file, "--log-level", "debug")
    environment = {"RANKLET_API_KEYS": f"{KEYS[0]}, {KEYS[1]}"}
    return start_server(*words, environment=environment, log=log)[1]


def rerank(client: httpx.Client, *headers: tuple[str, str]) -> httpx.Response:
    return client.post("/v1/rerank", json=BODY, headers=list(headers))


def wait_for_text(log: Path, words: str) -> str:
    deadline = time.monotonic() + 10
    while words not in (text := log.read_text()):
        assert time.monotonic() < deadline, text
        time.sleep(0.01)
    return text


def test_every_key_opens_in_every_header(closed: httpx.Client) -> None:
    for key in KEYS:
        for header in (
            ("Authorization", f"Bearer {key}"),
            ("authorization", f"bearer  {key}"),
            ("Authorization", key),  # as llama-index sends it
            ("x-api-key", key),
            ("xi-api-key", key),
        ):
            assert rerank(closed, header).status_code == 200, header
    both = (("Authorization", "Bearer other"), ("x-api-key", KEYS[0]))
    assert rerank(closed, *both).status_code == 200


def test_everything_else_is_401_and_shows_no_key(closed: httpx.Client, log: Path) -> None:
    wrong = [
        "",
        "sesame",
        "sesame-1x",
        "sesame-1,sesame-2",
        "SESAME-1",
        "# for the tests",
        "tr\xe9sor",
    ]
    for text in wrong:
        for name, value in (("Authorization", f"Bearer {text}"), ("x-api-key", text)):
            header = (name.encode(), value.strip().encode("latin-1"))  # httpx refuses the space
            response = closed.post("/v1/rerank", json=BODY, headers=[header])
            assert response.status_code == 401, header
            assert response.headers["www-authenticate"] == "Bearer"
            body = response.json()
            assert body["error"]["type"] == "authentication_error"
            assert body["error"]["message"] == body["detail"] == body["message"]
            assert not text or text not in response.text
    rerank(closed, ("x-api-key", KEYS[0]))
    text = wait_for_text(log, "status=200")  # it is written when the answer has been sent
    assert "status=401" in text
    for secret in ("sesame", "tr\xe9sor", "secret"):
        assert secret not in text


def test_all_routes_but_the_open_ones_are_closed(closed: httpx.Client) -> None:
    paths = closed.get("/openapi.json", headers={"x-api-key": KEYS[0]}).json()["paths"]
    for path, methods in paths.items():
        for method in methods:
            status = closed.request(method, path).status_code
            assert (status == 401) is (path not in OPEN_PATHS), (method, path, status)
    for path in ("/openapi.json", "/docs", "/docs/page.js", "/metrics", "/v1/models/"):
        assert closed.get(path).status_code == 401, path
    for path in ("/healthz", "/readyz", "/version", "/healthz/"):
        assert closed.get(path).status_code == 200, path


def test_without_keys_any_header_is_fine(tiny_client: httpx.Client) -> None:
    address = (tiny_client.base_url.host, tiny_client.base_url.port)
    for name, value in (("Authorization", "Bearer "), ("Authorization", "x"), ("x-api-key", "")):
        connection = http.client.HTTPConnection(*address)
        connection.request("POST", "/v1/rerank", json.dumps(BODY), {name: value})
        assert connection.getresponse().status == 200, (name, value)
        connection.close()


@pytest.mark.parametrize(
    ("environment", "is_warned"),
    [
        ({}, False),
        ({"RANKLET_HOST": "0.0.0.0"}, True),
        ({"RANKLET_HOST": "0.0.0.0", "RANKLET_API_KEYS": "sesame"}, False),
    ],
)
def test_an_open_server_says_so(
    start_server: StartServer,
    tiny_bundle: Path,
    log: Path,
    environment: dict[str, str],
    is_warned: bool,
) -> None:
    start_server("--model", tiny_bundle, environment=environment, log=log)
    assert ("RANKLET_API_KEYS" in log.read_text()) is is_warned


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", False),
        ("127.1.2.3", False),
        ("::1", False),
        ("localhost", False),
        ("0.0.0.0", True),
        ("::", True),
        ("192.168.0.7", True),
        ("ranklet.lan", True),
    ],
)
def test_hosts_that_others_reach(host: str, expected: bool) -> None:
    assert is_open_to_others(host) is expected


def test_a_file_without_keys_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    for content, words in ((None, "No such file"), (b"# a\n\n", "no key"), (b"\xff", "UTF-8")):
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(SettingsError, match=words) as caught:
            read_api_keys(Settings(api_keys_file=file))
        assert str(file) in str(caught.value)


def test_keys_that_no_header_carries_are_named_but_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("good\nwith space\n")
    settings = Settings(api_keys=("good", "schlüssel"), api_keys_file=file)
    with pytest.raises(SettingsError) as caught:
        read_api_keys(settings)
    message = str(caught.value)
    assert "key 2 of RANKLET_API_KEYS" in message
    assert f"{file}:2" in message
    assert "schl" not in message
    assert "with space" not in message
    assert "schl" not in repr(settings)


def test_the_keys_are_not_kept() -> None:
    keys = read_api_keys(Settings(api_keys=("sesame",)))
    assert "sesame" not in repr(keys)
    assert keys.admit(["x", "sesame"])
    assert not keys.admit(["sesam", ""])
    assert not keys.admit([])
