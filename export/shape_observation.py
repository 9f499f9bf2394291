"""Shapes as they are when a graph runs, to check those that were inferred.

Inference is not always right: where a condition decides between two branches, onnxruntime's takes
the shape of the first (DeBERTa has such conditions). So the graph runs on small inputs of two
sizes, and what was inferred has to hold in both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import GraphProto, ValueInfoProto, helper

from .errors import ExportError, first_line

_PAIRS_AND_TOKENS = ((2, 7), (3, 11))
"""Primes, so that one product of sizes is not taken for another."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What one run of a graph showed."""

    sizes: dict[str, int]
    """The sizes that stood for the symbols of the graph's inputs."""
    shapes: dict[str, tuple[int, ...]]
    """Of all tensors, by name."""


def observe_shapes(skeleton: onnx.ModelProto, symbol_axes: Mapping[str, int]) -> list[Observation]:
    """Run a graph on zeros of different sizes.

    Args:
        skeleton: The graph, with large weights as inputs: shapes do not depend on their values.
        symbol_axes: The symbols in the shapes of its inputs: 0 for the axis of pairs, 1 for tokens.

    Raises:
        ExportError: onnxruntime cannot load or run the graph.
    """
    names = [name for node in skeleton.graph.node for name in node.output if name]
    observed = onnx.ModelProto()
    observed.CopyFrom(skeleton)
    del observed.graph.output[:]
    observed.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4  # failures are raised, which is enough
    runs = [
        {name: sizes[axis] for name, axis in symbol_axes.items()} for sizes in _PAIRS_AND_TOKENS
    ]
    try:
        session = ort.InferenceSession(
            observed.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return [_observe(session, observed.graph, sizes) for sizes in runs]
    except Exception as error:  # onnxruntime raises many kinds, all from its own C++ module
        message = f"onnxruntime {ort.__version__} cannot run the graph: {first_line(error)}"
        raise ExportError(message) from error


def _observe(
    session: ort.InferenceSession, graph: GraphProto, sizes: dict[str, int]
) -> Observation:
    names = [value.name for value in graph.output]
    outputs = session.run(names, {value.name: _zeros(value, sizes) for value in graph.input})
    shapes = {name: np.shape(output) for name, output in zip(names, outputs, strict=True)}
    return Observation(sizes, shapes)


def _zeros(value: ValueInfoProto, sizes: Mapping[str, int]) -> NDArray[Any]:
    tensor = value.type.tensor_type
    shape = [dim.dim_value or sizes[dim.dim_param] for dim in tensor.shape.dim]
    return np.zeros(shape, helper.tensor_dtype_to_np_dtype(tensor.elem_type))
