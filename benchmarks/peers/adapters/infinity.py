"""infinity, its engine in this process; it sorts and batches what waits by itself."""

import asyncio
import os
import threading
from importlib import import_module
from pathlib import Path
from typing import Any

from . import Score

library: Any = import_module("infinity_emb")

OUTPUT = "logit"


def open_model(
    models: Path, *, files: str, engine: str, batch: int | None = None, dtype: str | None = None
) -> Score:
    """Open a folder; the engine lives in a thread of its own, as in infinity's server.

    From inside the folder: with a longer path, the ONNX engine does not find its file.
    """
    os.chdir(models / files)
    options: dict[str, object] = {} if batch is None else {"batch_size": batch}
    if dtype is not None:
        options["dtype"] = dtype
    arguments = library.EngineArgs(model_name_or_path=".", engine=engine, device="cpu", **options)
    running: Any = library.AsyncEmbeddingEngine.from_args(arguments)
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    asyncio.run_coroutine_threadsafe(running.astart(), loop).result()

    def score(query: str, documents: list[str]) -> list[float]:
        answer = running.rerank(query=query, docs=documents, raw_scores=True)
        results, _ = asyncio.run_coroutine_threadsafe(answer, loop).result()
        scores = [0.0] * len(documents)
        for result in results:
            scores[result.index] = float(result.relevance_score)
        return scores

    return score
