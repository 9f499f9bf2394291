"""Graphs on disk: one file, or a file and its external data where protobuf's 2 GB end."""

from pathlib import Path

import onnx

_LARGEST_FILE_BYTES = 2_000_000_000
"""Protobuf stops at 2 GiB; some room is left for what is not weights."""

DATA_SUFFIX = ".data"


def load_graph(path: Path) -> onnx.ModelProto:
    """Load a graph with all its weights, those from external data included."""
    return onnx.load(path)


def save_graph(model: onnx.ModelProto, path: Path) -> tuple[Path, ...]:
    """Save a graph to ``path``, its weights to ``path`` + ".data" where they are too large.

    Returns:
        The files, the graph first.
    """
    if sum(len(tensor.raw_data) for tensor in model.graph.initializer) < _LARGEST_FILE_BYTES:
        onnx.save(model, path)
        return (path,)
    data = path.with_name(path.name + DATA_SUFFIX)
    onnx.save(
        model, path, save_as_external_data=True, all_tensors_to_one_file=True, location=data.name
    )
    return path, data


def graph_inputs(model: onnx.ModelProto) -> tuple[str, ...]:
    """Give the names of the graph's inputs, in its order."""
    return tuple(value.name for value in model.graph.input)
