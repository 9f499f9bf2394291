"""Scores with one peer, in its environment, and takes the time: ``python -m peers.worker ADAPTER``.

Reads requests as JSON lines and answers each with one. Needs nothing but the standard library.
"""

import gc
import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not get between the answers
    worker = Worker(sys.argv[1], Path(sys.argv[2]).resolve())
    for line in sys.stdin:
        try:
            answer = worker.answer(json.loads(line))
        except Exception as error:  # noqa: BLE001 - a peer may fail in any way, and we go on
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}".partition("\n")[0]}
        print(json.dumps(answer), file=answers)


class Worker:
    """A peer with the models that were asked for so far."""

    def __init__(self, adapter: str, models: Path) -> None:
        self._adapter = importlib.import_module(f"peers.adapters.{adapter}")
        self._models = models
        self._open: dict[str, Any] = {}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what ``request`` asks for: give versions, or score texts some times."""
        if "versions" in request:
            return {"versions": {name: version(name) for name in request["versions"]}}
        score = self._score(request["model"])
        seconds: list[float] = []
        scores: list[Sequence[float]] = []
        gc.collect()
        for _ in range(request["repeats"]):
            started = time.perf_counter()
            scores = [score(query, texts, **request["call"]) for query, texts in request["texts"]]
            seconds.append(time.perf_counter() - started)
        return {"seconds": seconds, "scores": scores, "output": self._adapter.OUTPUT}

    def _score(self, options: dict[str, object]) -> Any:  # noqa: ANN401 - the call's options differ by peer
        key = json.dumps(options, sort_keys=True)
        if key not in self._open:
            self._open[key] = self._adapter.open_model(self._models, **options)
        return self._open[key]


if __name__ == "__main__":
    main()
