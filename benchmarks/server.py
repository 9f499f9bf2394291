"""A real server in a process of its own, and what it takes from the machine."""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers."""

    port: int
    process_id: int

    def connect(self) -> "closing[http.client.HTTPConnection]":
        """Open a connection, to be closed by ``with``."""
        return closing(http.client.HTTPConnection("127.0.0.1", self.port))

    def cpu_seconds(self) -> float:
        """Give the processor time that it has taken since it was started."""
        stat = Path(f"/proc/{self.process_id}/stat").read_text().rpartition(")")[2].split()
        return sum(int(ticks) for ticks in stat[11:15]) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self) -> int:
        """Give the memory that it holds."""
        statm = Path(f"/proc/{self.process_id}/statm").read_text().split()
        return int(statm[1]) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def serve(*words: str | Path) -> Generator[Server, None, None]:
    """Run ``ranklet serve`` on a free port; ready when the model is warm."""
    command = [sys.executable, "-m", "ranklet.cli", "serve", "--port", "0"]
    command += ["--log-level", "warning", *map(str, words)]  # a line a request is for operators
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Server(int(_address(process).rpartition(":")[2]), process.pid)
        finally:
            process.terminate()


def rerank(
    connection: http.client.HTTPConnection, query: str, documents: Sequence[str]
) -> list[dict[str, Any]]:
    """Ask for a ranking over a connection that stays open."""
    body = {"query": query, "documents": documents, "return_documents": False}
    connection.request("POST", "/v1/rerank", json.dumps(body))
    response = connection.getresponse()
    content = response.read()
    assert response.status == 200, content
    results: list[dict[str, Any]] = json.loads(content)["results"]
    return results


def _address(process: "subprocess.Popen[str]") -> str:
    """Give the address in the banner, which comes when the model is warm."""
    assert process.stdout is not None
    for line in process.stdout:
        if "listens on" in line:
            return line.partition("http://")[2].split()[0]
    sys.exit("the server did not start")
