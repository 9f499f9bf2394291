"""Graphs on disk: one file, or a file and its external data."""

from pathlib import Path

import onnx

_LARGEST_FILE_BYTES = 2_000_000_000
"""Protobuf stops at 2 GiB; some room is left for what is not weights."""

DATA_SUFFIX = ".data"


def load_graph(path: Path) -> onnx.ModelProto:
    """Load a graph with all its weights, those from external data included."""
    return onnx.load(path)


def save_graph(
    model: onnx.ModelProto, path: Path, *, mapped_weights: bool = False
) -> tuple[Path, ...]:
    """Save a graph to ``path``, its weights to ``path`` + ".data" where they are too large.

    Args:
        model: The graph; its weights are no longer usable where they are saved apart.
        path: The ``.onnx`` file.
        mapped_weights: Save the weights apart whatever their size: onnxruntime maps such a file
            into memory instead of copying it.

    Returns:
        The files, the graph first.
    """
    weight_bytes = sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    if not mapped_weights and weight_bytes < _LARGEST_FILE_BYTES:
        onnx.save(model, path)
        return (path,)
    data = path.with_name(path.name + DATA_SUFFIX)
    data.unlink(missing_ok=True)  # onnx would append to it
    onnx.save(
        model, path, save_as_external_data=True, all_tensors_to_one_file=True, location=data.name
    )
    if not data.exists():  # no weight is large enough to be saved apart
        return (path,)
    data.chmod(path.stat().st_mode)  # onnx lets nobody else read it
    return path, data
