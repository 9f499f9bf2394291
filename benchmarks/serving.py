"""Hold the service against the reranker that it serves.

    python benchmarks/serving.py --output results.json

Throughput: 8 clients, each with requests of 50 documents one after the other, over HTTP and by
calls in a process without a server. Latency: one client with 10 documents. Both in turns; the
clients share the machine's cores with the server, and the processor time that they take is told.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from environment import ROOT, describe_environment
from quantiles import quantiles
from server import Server, rerank, serve

from ranklet import Reranker
from ranklet.runtime.workloads import QUERY, mixed_documents

_CLIENTS = 8
_DOCUMENTS = 50
_REQUESTS_OF_A_CLIENT = 3
_LATENCY_DOCUMENTS = 10
_SEED = 20261123

_in_process: list[Reranker] = []


def main() -> None:
    arguments = _parse_arguments()
    context = get_context("spawn")
    with (
        serve("--model", arguments.model) as server,
        ProcessPoolExecutor(1, context, _open, (arguments.model,)) as pool,
    ):
        http: list[float] = []
        local: list[float] = []
        client_share: list[float] = []
        for round_number in range(arguments.rounds + 1):
            requests = _requests(round_number)
            if round_number % 2:  # whoever comes second finds the machine in another state
                local.append(pool.submit(_throughput_in_process, requests).result())
            before = time.process_time()
            http.append(_throughput_over_http(server, requests))
            client_share.append((time.process_time() - before) * http[-1] / _pairs(requests))
            if not round_number % 2:
                local.append(pool.submit(_throughput_in_process, requests).result())
        added = _added_latency(server, pool, rounds=20 * arguments.rounds)
    ratios = [one / other for one, other in zip(http[1:], local[1:], strict=True)]
    report = {
        "environment": describe_environment(("litestar", "msgspec", "onnxruntime", "uvicorn")),
        "model": arguments.model.name,
        "clients": _CLIENTS,
        "documents": _DOCUMENTS,
        "pairs_per_s_over_http": quantiles(http[1:]),
        "pairs_per_s_in_process": quantiles(local[1:]),
        "http_against_in_process": quantiles(ratios, digits=3),
        "client_cores_busy": quantiles(client_share[1:], digits=3),
        "latency_documents": _LATENCY_DOCUMENTS,
        "added_latency_ms": quantiles(added),
    }
    print(json.dumps(report, indent=1))
    if arguments.output:
        arguments.output.write_text(json.dumps(report, indent=1) + "\n")


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", type=Path, default=ROOT / "models/built/ranklet-mini")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, metavar="FILE")
    return parser.parse_args()


def _requests(round_number: int) -> list[list[list[str]]]:
    """Make each client's requests; no two documents of a round are equal."""
    count = _CLIENTS * _REQUESTS_OF_A_CLIENT * _DOCUMENTS
    documents = mixed_documents(count, seed=_SEED + round_number)
    requests = [documents[start : start + _DOCUMENTS] for start in range(0, count, _DOCUMENTS)]
    return [requests[client::_CLIENTS] for client in range(_CLIENTS)]


def _pairs(requests: Sequence[Sequence[Sequence[str]]]) -> int:
    return sum(len(documents) for of_client in requests for documents in of_client)


def _open(model: Path) -> None:
    _in_process.append(Reranker.open(model))


def _throughput_over_http(server: Server, requests: Sequence[Sequence[Sequence[str]]]) -> float:
    def work(of_client: Sequence[Sequence[str]]) -> None:
        with server.connect() as connection:
            for documents in of_client:
                rerank(connection, QUERY, documents)

    return _throughput(work, requests)


def _throughput_in_process(requests: Sequence[Sequence[Sequence[str]]]) -> float:
    def work(of_client: Sequence[Sequence[str]]) -> None:
        for documents in of_client:
            _in_process[0].rerank(QUERY, documents)

    return _throughput(work, requests)


def _throughput(
    work: Callable[[Sequence[Sequence[str]]], None], requests: Sequence[Sequence[Sequence[str]]]
) -> float:
    start = time.perf_counter()
    with ThreadPoolExecutor(_CLIENTS) as clients:
        list(clients.map(work, requests))
    return _pairs(requests) / (time.perf_counter() - start)


def _added_latency(server: Server, pool: ProcessPoolExecutor, *, rounds: int) -> list[float]:
    """Give milliseconds that HTTP adds, by neighbours in time."""
    added: list[float] = []
    with server.connect() as connection:
        for round_number in range(rounds):
            documents = mixed_documents(_LATENCY_DOCUMENTS, seed=_SEED - round_number)
            local = pool.submit(_latency, documents).result() if round_number % 2 else None
            start = time.perf_counter()
            rerank(connection, QUERY, documents)
            over_http = time.perf_counter() - start
            if local is None:
                local = pool.submit(_latency, documents).result()
            added.append(1e3 * (over_http - local))
    return added


def _latency(documents: Sequence[str]) -> float:
    start = time.perf_counter()
    _in_process[0].rerank(QUERY, documents)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
