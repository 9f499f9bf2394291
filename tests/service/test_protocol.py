"""The bytes of HTTP/1.1, where httptools and uvicorn alone would take them wrong."""

import json
import shutil
import socket
import subprocess
from collections.abc import Iterable
from pathlib import Path

import httpx
import pytest

from ranklet.service.protocol import MAX_HEAD_BYTES

BODY = json.dumps({"query": "a", "documents": ["b", "a"]}).encode()
LENGTH = b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n3\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (
    BODY[:3],
    len(BODY) - 3,
    BODY[3:],
)
OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQC\r\n"
POST = b"POST /v1/rerank HTTP/1.1\r\nHost: x\r\n"
LAST = b"GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
GET = b"GET /version HTTP/1.1\r\nHost: x\r\n"

JAVA = """
import java.net.URI;
import java.net.http.*;
class Ask {
    public static void main(String[] words) throws Exception {
        var request = HttpRequest.newBuilder(URI.create(words[0]));
        request.POST(HttpRequest.BodyPublishers.ofString(words[1]));
        var client = HttpClient.newHttpClient();
        var answer = client.send(request.build(), HttpResponse.BodyHandlers.ofString());
        System.out.print(answer.body());
    }
}
"""


def connect(client: httpx.Client) -> socket.socket:
    connection = socket.create_connection((client.base_url.host, client.base_url.port or 80))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.settimeout(60)
    return connection


def talk(client: httpx.Client, parts: Iterable[bytes]) -> bytes:
    """Send, and give all that comes until the server closes, as it shall after the last request."""
    with connect(client) as connection:
        for part in parts:
            connection.sendall(part)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def one_by_one(content: bytes) -> Iterable[bytes]:
    return (content[place : place + 1] for place in range(len(content)))


@pytest.mark.parametrize("body", [LENGTH, CHUNKED], ids=["length", "chunked"])
def test_an_offer_to_upgrade_is_ignored(tiny_client: httpx.Client, body: bytes) -> None:
    request = POST + OFFER + body
    for parts in ([request + LAST], [request, LAST], one_by_one(request + LAST)):
        answers = talk(tiny_client, parts)
        assert answers.count(b"HTTP/1.1 200 OK") == 2, answers
        assert b'"index":1' in answers


@pytest.mark.parametrize(
    "head",
    [
        POST + b"Connection: close, Upgrade\r\nUpgrade: h2c\r\n",
        b"POST /v1/rerank HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: h2c\r\n",
        POST + b"Upgrade: websocket\r\nConnection: upgrade\r\nConnection: close\r\n",
    ],
)
def test_an_offer_to_upgrade_of_the_last_request_is_ignored(
    tiny_client: httpx.Client, head: bytes
) -> None:
    answer = talk(tiny_client, [head + LENGTH])
    assert answer.count(b"HTTP/1.1 200 OK") == 1
    assert b'"index":1' in answer


def test_many_offers_at_once(tiny_client: httpx.Client) -> None:
    offers = (GET + OFFER + b"\r\n") * 1500
    assert talk(tiny_client, [offers + LAST]).count(b"HTTP/1.1 200 OK") == 1501


def test_connect_is_no_offer_that_could_be_ignored(tiny_client: httpx.Client) -> None:
    for offer in (b"", OFFER):
        answer = talk(tiny_client, [b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n" + offer + b"\r\n"])
        assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_may_offer_http2(tiny_client: httpx.Client) -> None:
    url = f"{tiny_client.base_url}/v1/rerank"
    command = ["curl", "--silent", "--fail", "--http2", url, "--data-binary", BODY.decode()]
    answer = subprocess.run(command, capture_output=True, check=True)
    assert json.loads(answer.stdout)["results"][0]["index"] == 1


@pytest.mark.skipif(shutil.which("java") is None, reason="Java is not installed")
def test_javas_client_offers_http2(tiny_client: httpx.Client, tmp_path: Path) -> None:
    program = tmp_path / "Ask.java"
    program.write_text(JAVA)
    url = f"{tiny_client.base_url}/v1/rerank"
    answer = subprocess.run(
        ["java", program, url, BODY.decode()], capture_output=True, check=True, timeout=300
    )
    assert json.loads(answer.stdout)["results"][0]["index"] == 1


def fields(size: int) -> bytes:
    """Give header lines of so many bytes together."""
    line = b"X-Field: " + b"a" * 89 + b"\r\n"
    return line * (size // len(line)) + b"X: " + b"a" * (size % len(line) + len(line) - 5) + b"\r\n"


@pytest.mark.parametrize(
    "head",
    [
        GET + fields(MAX_HEAD_BYTES) + b"\r\n",
        GET + b"X: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n",
        b"GET /version?" + b"a" * MAX_HEAD_BYTES + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        GET + OFFER + fields(MAX_HEAD_BYTES) + b"\r\n",
    ],
    ids=["lines", "line", "url", "offer"],
)
def test_a_large_head_is_refused(tiny_client: httpx.Client, head: bytes) -> None:
    answer = talk(tiny_client, [head])
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (GET, b"X-Field: a\r\n" * 1000),
        (GET + b"X-Field: ", b"a" * 10_000),
        (b"GET /version?", b"a" * 10_000),
        (b"", b"\r\n" * 5000),
        (POST + OFFER + b"Content-Length: 1\r\n\r\na" + GET, b"X-Field: a\r\n" * 1000),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n", b"X-Field: a\r\n" * 1000),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1;x=", b"a" * 10_000),
    ],
    ids=["lines", "line", "url", "blanks", "next", "trailer", "extension"],
)
def test_what_never_ends_is_not_read_on(
    tiny_client: httpx.Client, begin: bytes, more: bytes
) -> None:
    parts = (begin, *[more] * 10_000)  # 100 MB, more than all buffers on the way
    with pytest.raises(ConnectionError):
        talk(tiny_client, parts)


def test_heads_are_counted_one_by_one_and_bodies_not_at_all(tiny_client: httpx.Client) -> None:
    long_head = GET + fields(MAX_HEAD_BYTES * 9 // 10) + b"\r\n"
    with_body = POST + b"Content-Length: %d\r\n\r\n" % (len(BODY) + 1_000_000)
    in_chunks = POST + b"Transfer-Encoding: chunked\r\n\r\n"
    requests = [
        *[long_head] * 5,
        with_body + BODY + b" " * 1_000_000,
        long_head,
        in_chunks + b"10000\r\n%b\r\n" % (b" " * 65_536) * 20 + b"0\r\n\r\n",
        in_chunks + b"1\r\n \r\n" * 50_000 + b"0\r\n\r\n",
        long_head,
        LAST,
    ]
    for parts in (requests, [b"".join(requests)]):
        answers = talk(tiny_client, parts)
        assert answers.count(b"HTTP/1.1 200 OK") == 9
        assert answers.count(b"HTTP/1.1 400 ") == 2  # all blanks
        assert answers.count(b"HTTP/1.1") == 11
