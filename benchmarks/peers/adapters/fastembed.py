"""fastembed, with the checkpoint as a custom model."""

from importlib import import_module
from pathlib import Path
from typing import Any

from . import Score, longest_first

cross_encoder: Any = import_module("fastembed.rerank.cross_encoder")
descriptions: Any = import_module("fastembed.common.model_description")

OUTPUT = "logit"


def open_model(
    models: Path, *, files: str, threads: int | None = None, window: int | None = None
) -> Score:
    """Open a folder.

    Args:
        models: The folder of models.
        files: Which of them.
        threads: Threads of the session.
        window: Tokens of a pair, where it shall not be the smaller of the tokenizer's settings.
    """
    name = f"custom/{files}"
    if name not in {model["model"] for model in _list_models()}:
        cross_encoder.TextCrossEncoder.add_custom_model(
            model=name, sources=descriptions.ModelSource(hf=name), model_file="model.onnx"
        )
    model = cross_encoder.TextCrossEncoder(
        name, threads=threads, specific_model_path=str(models / files)
    )
    if window is not None:
        model.model.tokenizer.enable_truncation(window)

    def score(
        query: str, documents: list[str], *, batch: int | None = None, by_length: bool = False
    ) -> list[float]:
        options = {} if batch is None else {"batch_size": batch}
        if by_length:
            return longest_first(lambda part: list(model.rerank(query, part, **options)), documents)
        return list(model.rerank(query, documents, **options))

    return score


def _list_models() -> list[dict[str, Any]]:
    models: list[dict[str, Any]] = cross_encoder.TextCrossEncoder.list_supported_models()
    return models
