"""Compare ASGI servers under the application: latency, throughput, memory, time to start.

    python benchmarks/asgi_servers.py --model models/built/ranklet-mini --output results.json

Each server runs the same application alone in a process. The client sends over one connection that
stays open, then over eight at once. Rounds alternate between the servers, so that a noisy moment of
the machine hits all of them. Needs the packages of the servers that are to be compared.
"""

import argparse
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
from environment import describe_environment
from litestar import Litestar

HOST = "127.0.0.1"
WORDS = "organic cotton skin care range natural home device garden tool".split()
BODY = json.dumps(
    {
        "query": "organic skin care",
        "documents": [" ".join(WORDS[i:] + WORDS[:i]) for i in range(10)],
    }
).encode()
ROUTES = {"healthz": ("GET", "/healthz", None), "rerank": ("POST", "/v1/rerank", BODY)}
CONNECTIONS = 8


def serve_uvicorn(port: int, *, loop: str, protocol: str) -> None:
    import uvicorn

    uvicorn.run(
        create_app(), host=HOST, port=port, loop=loop, http=protocol, ws="none", log_level="error"
    )


def serve_granian(port: int) -> None:
    """Become granian, by its command: it is no dependency of ours."""
    words = ["--interface", "asgi", "--factory", "--host", HOST, "--port", str(port)]
    os.chdir(Path(__file__).parent)
    os.execvp("granian", ["granian", "--log-level", "error", *words, "asgi_servers:create_app"])  # noqa: S606 - the command is ours


def create_app() -> Litestar:
    """Make the application; settings come from the environment, as granian calls it by name."""
    from ranklet.service.app import create_app as create
    from ranklet.service.settings import Settings

    return create(Settings(models=(Path(os.environ["BENCH_MODEL"]),)))


SERVERS: dict[str, Callable[[int], None]] = {
    "uvicorn h11": lambda port: serve_uvicorn(port, loop="asyncio", protocol="h11"),
    "uvicorn httptools": lambda port: serve_uvicorn(port, loop="asyncio", protocol="httptools"),
    "uvicorn httptools uvloop": lambda port: serve_uvicorn(
        port, loop="uvloop", protocol="httptools"
    ),
    "granian": serve_granian,
}


def main() -> None:
    arguments = parse_arguments()
    if arguments.serve:
        SERVERS[arguments.serve](arguments.port)
        return
    load = os.getloadavg()[0]  # what else ran on the machine
    runs: list[dict[str, object]] = [
        {"server": name, "round": number, **measure(name, arguments.model, arguments.requests)}
        for number in range(arguments.rounds)
        for name in SERVERS
    ]
    summary = {name: summarize([run for run in runs if run["server"] == name]) for name in SERVERS}
    for name, numbers in summary.items():
        print(f"{name:<26}", "  ".join(f"{key} {value:g}" for key, value in numbers.items()))
    if arguments.output:
        environment = describe_environment(
            ("uvicorn", "granian", "httptools", "uvloop", "litestar")
        )
        result = {
            "environment": environment,
            "load_average_before": load,
            "model": str(arguments.model),
            "requests": arguments.requests,
            "connections": CONNECTIONS,
            "summary": summary,
            "runs": runs,
        }
        arguments.output.write_text(json.dumps(result, indent=2) + "\n")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", type=Path, metavar="DIR", help="a bundle")
    parser.add_argument("--requests", type=int, default=500, help="requests of each kind and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, metavar="FILE")
    parser.add_argument("--serve", choices=list(SERVERS), help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def measure(name: str, model: Path, requests: int) -> dict[str, float]:
    """Start a server, send to it and stop it."""
    with closing(socket.create_server((HOST, 0))) as probe:
        port = probe.getsockname()[1]
    started = time.perf_counter()
    command = [sys.executable, __file__, "--serve", name, "--port", str(port)]
    environment = {**os.environ, "BENCH_MODEL": str(model.resolve())}
    with subprocess.Popen(command, env=environment) as process:
        try:
            numbers = {"first_answer_s": round(wait_for(port, "/healthz") - started, 3)}
            numbers["ready_s"] = round(wait_for(port, "/readyz") - started, 3)
            for kind in ROUTES:
                request(port, kind, 50)  # warm
                latencies = request(port, kind, requests)
                numbers[f"{kind}_p50_ms"] = round(float(np.quantile(latencies, 0.5)), 3)
                numbers[f"{kind}_p99_ms"] = round(float(np.quantile(latencies, 0.99)), 3)
                numbers[f"{kind}_rps"] = round(throughput(port, kind, requests), 1)
            numbers["rss_mib"] = round(resident_bytes(process.pid) / 2**20, 1)
        finally:
            process.terminate()
    return numbers


def wait_for(port: int, path: str) -> float:
    while True:
        try:
            with closing(http.client.HTTPConnection(HOST, port)) as connection:
                connection.request("GET", path)
                if connection.getresponse().status == 200:
                    return time.perf_counter()
        except OSError:
            pass
        time.sleep(0.005)


def request(port: int, kind: str, count: int) -> list[float]:
    """Send requests one after the other over one connection; gives milliseconds of each."""
    method, path, body = ROUTES[kind]
    latencies: list[float] = []
    with closing(http.client.HTTPConnection(HOST, port)) as connection:
        for _ in range(count):
            started = time.perf_counter()
            connection.request(method, path, body)
            connection.getresponse().read()
            latencies.append((time.perf_counter() - started) * 1e3)
    return latencies


def throughput(port: int, kind: str, count: int) -> float:
    """Give requests a second over several connections at once."""
    share = count // CONNECTIONS
    threads = [
        threading.Thread(target=request, args=(port, kind, share)) for _ in range(CONNECTIONS)
    ]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return share * CONNECTIONS / (time.perf_counter() - started)


def resident_bytes(pid: int) -> int:
    """Give the memory of a process and its children; granian serves from a child."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    own = pages * os.sysconf("SC_PAGE_SIZE")
    return own + sum(resident_bytes(int(child)) for child in children)


def summarize(runs: list[dict[str, object]]) -> dict[str, float]:
    """Give the median of each number over the rounds."""
    keys = [key for key in runs[0] if key not in {"server", "round"}]
    return {key: float(np.median([float(str(run[key])) for run in runs])) for key in keys}


if __name__ == "__main__":
    main()
