"""Measure how long small requests take while another client sends large ones without pause.

python benchmarks/fairness.py --output results.json
"""

import argparse
import json
import time
from collections.abc import Generator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from pathlib import Path

from environment import ROOT, describe_environment
from quantiles import quantiles
from server import Server, rerank, serve

from ranklet.runtime.workloads import QUERY, mixed_documents

_SMALL, _LARGE = 10, 1000
_SEED = 20261123


def main() -> None:
    arguments = _parse_arguments()
    with serve("--model", arguments.model) as server:
        _latencies(server, 10)  # warm
        idle = _latencies(server, arguments.requests)
        with _large_requests(server):
            busy = _latencies(server, arguments.requests)
    numbers = {"idle": quantiles(idle), "busy": quantiles(busy)}
    report = {
        "environment": describe_environment(("litestar", "msgspec", "onnxruntime", "uvicorn")),
        "model": arguments.model.name,
        "documents": {"small": _SMALL, "large": _LARGE},
        "requests": arguments.requests,
        "latency_ms": numbers,
        "p95_against_idle": round(numbers["busy"]["p95"] / numbers["idle"]["p95"], 2),
    }
    print(json.dumps(report, indent=1))
    if arguments.output:
        arguments.output.write_text(json.dumps(report, indent=1) + "\n")


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", type=Path, default=ROOT / "models/built/ranklet-mini")
    parser.add_argument("--requests", type=int, default=150)
    parser.add_argument("--output", type=Path, metavar="FILE")
    return parser.parse_args()


def _latencies(server: Server, requests: int) -> list[float]:
    """Give the milliseconds of small requests, one after the other."""
    found: list[float] = []
    with server.connect() as connection:
        for number in range(requests):
            documents = mixed_documents(_SMALL, seed=_SEED + number)
            start = time.perf_counter()
            rerank(connection, QUERY, documents)
            found.append(1e3 * (time.perf_counter() - start))
    return found


@contextmanager
def _large_requests(server: Server) -> Generator[None, None, None]:
    """Send large requests, one after the other, from a process of their own."""
    context = get_context("spawn")
    started, ended = context.Event(), context.Event()
    sender = context.Process(target=_send, args=(server, started, ended))
    sender.start()
    started.wait()
    try:
        yield
    finally:
        ended.set()
        sender.join()
    assert sender.exitcode == 0


def _send(server: Server, started: Event, ended: Event) -> None:
    with server.connect() as connection:
        rerank(connection, QUERY, mixed_documents(_LARGE, seed=1))
        started.set()  # from here on there is no pause longer than between two requests
        number = 2
        while not ended.is_set():
            rerank(connection, QUERY, mixed_documents(_LARGE, seed=number))
            number += 1


if __name__ == "__main__":
    main()
