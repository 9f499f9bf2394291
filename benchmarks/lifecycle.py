"""Measure what a server takes: to start, while it serves, and while nobody asks.

python benchmarks/lifecycle.py --output results.json
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from environment import ROOT, describe_environment
from quantiles import quantiles
from server import Server, rerank, serve

from ranklet.runtime.workloads import QUERY, mixed_documents

_SEED = 20261123
_MOST_DOCUMENTS = 8
_IDLE_SECONDS = 10.0
_FIRST_LOOK = 1000


def main() -> None:
    arguments = _parse_arguments()
    starts = [_cold_start(arguments.model) for _ in range(arguments.starts)]
    with serve("--model", arguments.model) as server:
        memory = _serve_requests(server, arguments.requests)
        idle = _idle_cores(server)
    first, last = memory[_FIRST_LOOK], memory[arguments.requests]
    report = {
        "environment": describe_environment(("litestar", "msgspec", "onnxruntime", "uvicorn")),
        "model": arguments.model.name,
        "starts": arguments.starts,
        "start_cpu_s": quantiles([cpu for _, cpu in starts]),
        "start_wall_s": quantiles([wall for wall, _ in starts]),
        "resident_mb": {str(count): round(size / 1e6, 1) for count, size in memory.items()},
        "resident_growth": round(last / first - 1, 4),
        "idle_cores_busy": idle,
    }
    print(json.dumps(report, indent=1))
    if arguments.output:
        arguments.output.write_text(json.dumps(report, indent=1) + "\n")


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", type=Path, default=ROOT / "models/built/ranklet-mini")
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("--requests", type=int, default=5000, help="a multiple of 1000")
    parser.add_argument("--output", type=Path, metavar="FILE")
    return parser.parse_args()


def _cold_start(model: Path) -> tuple[float, float]:
    """Give wall and processor seconds from the start of the process to the first ranked answer.

    The files are in the system's cache, as they are when a server is started again.
    """
    start = time.perf_counter()
    with serve("--model", model) as server, server.connect() as connection:
        rerank(connection, QUERY, ["a small house", "high water"])
        return time.perf_counter() - start, server.cpu_seconds()


def _serve_requests(server: Server, count: int) -> dict[int, int]:
    """Send requests of one to eight documents; give resident bytes after every thousand."""
    random = np.random.default_rng(_SEED)
    sizes = random.integers(1, _MOST_DOCUMENTS + 1, size=count)
    memory = {0: server.resident_bytes()}
    with server.connect() as connection:
        for number, size in enumerate(sizes, 1):
            rerank(connection, QUERY, mixed_documents(int(size), seed=_SEED + number))
            if number % _FIRST_LOOK == 0:
                memory[number] = server.resident_bytes()
    return memory


def _idle_cores(server: Server) -> float:
    """Give how many cores a server keeps busy that has just answered and has nothing to do."""
    before = server.cpu_seconds()
    time.sleep(_IDLE_SECONDS)
    return round((server.cpu_seconds() - before) / _IDLE_SECONDS, 4)


if __name__ == "__main__":
    main()
