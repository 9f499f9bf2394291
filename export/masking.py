"""Leaves the mask of padding out of graphs that only ever see whole pairs.

On the CPU a pair runs alone, so its mask is all ones, and adding the zeros that the model makes of
it to every attention score changes nothing but the time. Nothing here knows what attention is: an
operand that hangs on the mask alone and is neutral at every length leaves its operator without
effect.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, NodeProto, helper

from ranklet.runtime.sessions import cpu_session

from .graph_file import save_graph
from .graph_writer import GraphWriter, captured_names

_MASK = "attention_mask"

_NEUTRAL = {"Add": 0.0, "Mul": 1.0}

_MAX_TOKENS = 2048
"""A mask of every token against every other is looked at; in longer windows it is too large."""

_SHORT_PAIRS = (1, 2, 7, 64)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """An operator that the mask may leave without effect."""

    node: NodeProto
    place: int
    """Of the operand that hangs on the mask alone."""

    @property
    def operand(self) -> str:
        return str(self.node.input[self.place])

    @property
    def tensors(self) -> list[str]:
        """What comes in and what goes out."""
        return [*self.node.input, *self.node.output]

    def kept(self, values: list[NDArray[Any]]) -> str | None:
        """Give the operand that passes unchanged for all these values of the other one."""
        if self.node.op_type == "Where":
            for chosen, condition in ((1, True), (2, False)):
                if all((value == condition).all() for value in values):
                    return str(self.node.input[chosen])
            return None
        is_neutral = all((value == _NEUTRAL[self.node.op_type]).all() for value in values)
        return str(self.node.input[1 - self.place]) if is_neutral else None


def drop_padding_mask(model: onnx.ModelProto, *, window_tokens: int) -> int:
    """Take out of ``model``, in place, what has no effect where nothing is padded.

    Args:
        model: A plain fp32 graph with its weights, pruned or not. It keeps its inputs.
        window_tokens: The longest pair that it is made for.

    Returns:
        How many operators were taken out: 0 where the graph does more with its mask, or where its
        window is so long that this is not tried.
    """
    candidates = list(_candidates(model.graph))
    if not candidates or window_tokens > _MAX_TOKENS:
        return 0
    lengths = [length for length in _SHORT_PAIRS if length < window_tokens] + [window_tokens]
    tensors = {candidate.operand for candidate in candidates}
    measured = {name for candidate in candidates for name in candidate.tensors}
    values, shapes = _observe(model, tensors, measured, lengths)
    fixed = {value.name for value in model.graph.output}
    fixed.update(name for node in model.graph.node for name in captured_names(node))
    passed: dict[str, str] = {}
    for candidate in candidates:
        kept = candidate.kept(values[candidate.operand])
        output = candidate.node.output[0]
        if kept is not None and output not in fixed and shapes[kept] == shapes[output]:
            passed[output] = passed.get(kept, kept)
    _bypass(model, passed)
    return len(passed)


def _candidates(graph: GraphProto) -> Iterator[_Candidate]:
    """Give operators with one operand made of the mask alone and another that is not."""
    sources: dict[str, set[str]] = {value.name: {value.name} for value in graph.input}
    for node in graph.node:
        found: set[str] = set()
        # A shape tells how many tokens there are, not which of them are padding.
        if node.op_type != "Shape":
            for name in [*node.input, *captured_names(node)]:
                found |= sources.get(name, set())
        for name in node.output:
            sources[name] = found
        places = {"Where": (0,), "Add": (0, 1), "Mul": (0, 1)}.get(node.op_type, ())
        if found != {_MASK}:
            for place in places:
                if sources.get(node.input[place]) == {_MASK}:
                    yield _Candidate(node, place)


def _observe(
    model: onnx.ModelProto, tensors: set[str], measured: set[str], lengths: list[int]
) -> tuple[dict[str, list[NDArray[Any]]], dict[str, list[list[int]]]]:
    """Run a graph on whole pairs of several lengths.

    Returns:
        Values of ``tensors`` and shapes of those that are ``measured``, by name, for each length.
    """
    observed = copy.deepcopy(model)
    shapes = {name: f"shape of {name}" for name in measured}
    observed.graph.node.extend(
        helper.make_node("Shape", [name], [shape]) for name, shape in shapes.items()
    )
    outputs = [*tensors, *shapes.values()]
    del observed.graph.output[:]
    observed.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in outputs)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "observed.onnx"
        save_graph(observed, path)
        session = cpu_session(path)
        names = [value.name for value in session.get_inputs()]
        runs = [
            dict(zip(outputs, session.run(outputs, feed), strict=True))
            for feed in (
                {name: np.ones((1, length), np.int64) for name in names} for length in lengths
            )
        ]
    return (
        {name: [run[name] for run in runs] for name in tensors},
        {name: [run[shape].tolist() for run in runs] for name, shape in shapes.items()},
    )


def _bypass(model: onnx.ModelProto, passed: dict[str, str]) -> None:
    """Let the readers of an output read what passes unchanged to it."""
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = passed.get(name, name)
    writer = GraphWriter(model, prefix="mask")
    writer.nodes.extend(model.graph.node)
    writer.finish()
