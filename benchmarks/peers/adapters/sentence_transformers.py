"""sentence-transformers' CrossEncoder, with any of its backends; it sorts by length itself."""

from importlib import import_module
from pathlib import Path
from typing import Any

from . import Score

library: Any = import_module("sentence_transformers")
torch: Any = import_module("torch")

OUTPUT = "logit"


def open_model(  # noqa: PLR0913 - the settings of three backends
    models: Path,
    *,
    files: str,
    backend: str = "torch",
    graph: str | None = None,
    dtype: str | None = None,
    threads: int | None = None,
    precision: str | None = None,
) -> Score:
    """Open a folder.

    Args:
        models: The folder of models.
        files: Which of them.
        backend: ``torch``, ``onnx`` or ``openvino``.
        graph: The file of the graph, for the latter two.
        dtype: In which torch computes.
        threads: How many torch takes.
        precision: In which OpenVINO computes.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    options: dict[str, object] = {}
    if graph is not None:
        options["file_name"] = graph
    if dtype is not None:
        options["torch_dtype"] = dtype
    if precision is not None:
        options["ov_config"] = {"INFERENCE_PRECISION_HINT": precision}
    model = library.CrossEncoder(
        str(models / files), backend=backend, device="cpu", model_kwargs=options
    )
    identity = torch.nn.Identity()

    def score(query: str, documents: list[str], *, batch: int | None = None) -> list[float]:
        call = {} if batch is None else {"batch_size": batch}
        pairs = [(query, document) for document in documents]
        scores: list[float] = model.predict(
            pairs, activation_fn=identity, show_progress_bar=False, **call
        ).tolist()
        return scores

    return score
