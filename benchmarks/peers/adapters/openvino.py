"""Bare OpenVINO: a graph, tokenizers and as little around them as possible."""

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from . import Score, longest_first

numpy: Any = import_module("numpy")
openvino: Any = import_module("openvino")
tokenizers: Any = import_module("tokenizers")

OUTPUT = "logit"
WINDOW_TOKENS = 512


def open_model(
    models: Path,
    *,
    graph: str,
    tokenizer: str,
    precision: str | None = None,
    streams: int | None = None,
) -> Score:
    """Compile a graph.

    Args:
        models: The folder of models.
        graph: The graph's path, from the folder of models.
        tokenizer: The same of ``tokenizer.json``.
        precision: In which OpenVINO computes.
        streams: Requests to run at the same time; one, with all threads, where None.
    """
    configuration: dict[str, object] = {}
    if precision is not None:
        configuration["INFERENCE_PRECISION_HINT"] = precision
    if streams is not None:
        configuration |= {"NUM_STREAMS": str(streams), "INFERENCE_NUM_THREADS": str(streams)}
    compiled = openvino.Core().compile_model(str(models / graph), "CPU", configuration)
    encoder = tokenizers.Tokenizer.from_file(str(models / tokenizer))
    encoder.enable_truncation(WINDOW_TOKENS, strategy="only_second")
    encoder.enable_padding()
    names = [port.any_name for port in compiled.inputs]

    def encode(query: str, documents: Sequence[str]) -> dict[str, Any]:
        return feed(encoder.encode_batch([(query, document) for document in documents]), names)

    def score_single(query: str, documents: list[str], batch: int) -> list[float]:
        scores: list[float] = []
        for start in range(0, len(documents), batch):
            inputs = encode(query, documents[start : start + batch])
            scores += compiled(inputs)[0].ravel().tolist()
        return scores

    score_parallel = make_parallel(compiled, encode, streams or 1)

    def score(query: str, documents: list[str], *, batch: int | None = None) -> list[float]:
        """Score in one batch, or sorted by length and in batches."""
        if batch is None:
            return score_single(query, documents, len(documents))
        run = score_single if streams is None else score_parallel
        return longest_first(lambda part: run(query, part, batch), documents)

    return score


def feed(encodings: Sequence[Any], names: Sequence[str]) -> dict[str, Any]:
    """Give the graph's inputs."""
    columns = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
    return {
        name: numpy.array([getattr(encoding, columns[name]) for encoding in encodings], numpy.int64)
        for name in names
    }


def make_parallel(
    compiled: Any,  # noqa: ANN401 - OpenVINO's types are not known here
    encode: Callable[[str, Sequence[str]], dict[str, Any]],
    streams: int,
) -> Callable[[str, list[str], int], list[float]]:
    """Give a function that scores several batches at the same time."""
    queue = openvino.AsyncInferQueue(compiled, streams)
    results: dict[int, list[float]] = {}

    def keep(request: Any, start: int) -> None:  # noqa: ANN401 - as above
        results[start] = request.get_output_tensor(0).data.ravel().tolist()

    queue.set_callback(keep)

    def score(query: str, documents: list[str], batch: int) -> list[float]:
        results.clear()
        starts = range(0, len(documents), batch)
        for start in starts:
            queue.start_async(encode(query, documents[start : start + batch]), start)
        queue.wait_all()
        return [value for start in starts for value in results[start]]

    return score
