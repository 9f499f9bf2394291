"""Activations as 8-bit integers, with a scale for each token's row."""

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from .graph_shapes import GraphShapes
from .graph_writer import GraphWriter

_TOKEN_AXES = {2: 0, 3: 1}
"""The axis of tokens by rank: (pairs, width) after the head's selection, (pairs, tokens, width)."""

_MIDDLE = 128
"""The integer that stands for 0 where activations have both signs."""

_LOWEST_GELU = 0.1701
"""GELU, exact or by tanh, is never below minus this, however large its results are."""

_LOW = 48
"""The integer that stands for 0 after GELU: 207 steps are left for what is above 0, where with
``_MIDDLE`` there are 127, and small rows still have finer steps than they need."""


@dataclass(frozen=True, slots=True)
class QuantizedTokens:
    """The names of tensors that together stand for activations."""

    integers: str
    """uint8, of the activations' shape."""
    zero: str
    """uint8, one number: the integer that stands for 0."""
    scales: str
    """float32, shape (tokens, 1): what one step is."""


class TokenActivations:
    """Adds to a graph what quantizes its activations, once for each tensor."""

    def __init__(self, model: onnx.ModelProto, shapes: GraphShapes, writer: GraphWriter) -> None:
        """Read from ``model`` and write with ``writer``."""
        self._producers = {name: node for node in model.graph.node for name in node.output}
        self._shapes = shapes
        self._writer = writer
        (self._opset,) = (o.version for o in model.opset_import if o.domain in {"", "ai.onnx"})

    def can_quantize(self, tensor: str) -> bool:
        """Whether the tensor's rows are known to be tokens."""
        return self._shapes.rank(tensor) in _TOKEN_AXES

    def is_single_row(self, tensor: str) -> bool:
        """Whether a pair has one row in the tensor, that of its first token."""
        shape = self._shapes.shapes[tensor]
        return len(shape) == 2 or shape[1] == 1  # noqa: PLR2004 - (pairs, width)

    def quantize(self, tensor: str) -> QuantizedTokens:
        """Add the operators that quantize ``tensor`` and give the names of their results."""
        write = self._writer
        axis = _TOKEN_AXES[len(self._shapes.shapes[tensor])]
        zero = _LOW if self._is_gelu(tensor) else _MIDDLE
        scales = self._scales(tensor, axis, zero)
        inputs = [tensor, scales, self._zeros(tensor, axis, zero, scales)]
        return QuantizedTokens(
            integers=write.node("QuantizeLinear", inputs, f"{tensor}/integers", axis=axis),
            zero=write.constant(zero, np.uint8, f"zero_{zero}"),
            scales=write.node("Unsqueeze", [scales, write.indices([1])], f"{tensor}/scales"),
        )

    def _scales(self, tensor: str, axis: int, zero: int) -> str:
        """Give the step of each token, shape (tokens,), the largest among pairs in one batch.

        The step of a row of zeros is 0. What its integers are is of no matter then: they are
        finite, and the product is multiplied by the step.
        """
        write = self._writer
        is_signed = zero == _MIDDLE
        values = write.node("Abs", [tensor], f"{tensor}/absolute") if is_signed else tensor
        reduced = [index for index in range(axis + 2) if index != axis]
        largest = self._reduce_max(values, reduced, f"{tensor}/largest")
        step = write.constant(1 / (255 - zero), np.float32, f"step_{zero}")
        scales = write.node("Mul", [largest, step], f"{tensor}/row_scales")
        if is_signed:
            return scales
        least = write.constant(_LOWEST_GELU / zero, np.float32, f"smallest_scale_{zero}")
        return write.node("Max", [scales, least], f"{tensor}/least_scales")

    def _reduce_max(self, tensor: str, axes: list[int], name: str) -> str:
        if self._opset < 18:  # noqa: PLR2004 - the operator set in which axes became an input
            return self._writer.node("ReduceMax", [tensor], name, axes=axes, keepdims=0)
        inputs = [tensor, self._writer.indices(axes)]
        return self._writer.node("ReduceMax", inputs, name, keepdims=0)

    def _zeros(self, tensor: str, axis: int, zero: int, scales: str) -> str:
        """Give a vector of ``zero`` as long as the scales, which QuantizeLinear asks for."""
        tokens = self._shapes.shapes[tensor][axis]
        name = f"zeros_{zero}_{tokens}" if self._shapes.can_build((tokens,)) else f"{tensor}/zeros"
        shape = self._writer.node("Shape", [scales], f"{name}_shape")
        value = helper.make_tensor("value", TensorProto.UINT8, [1], [zero])
        return self._writer.node("ConstantOfShape", [shape], name, value=value)

    def _is_gelu(self, tensor: str) -> bool:
        """Whether ``tensor`` is x * (1 + erf(...)) * 0.5, or with tanh, in any order."""
        node = self._producers.get(tensor)
        if node is not None and node.op_type == "Gelu":
            return True
        factors = [name for factor in self._factors(tensor) for name in self._factors(factor)]
        halves = [name for name in factors if self._is_constant(name, 0.5)]
        sums = [name for name in factors if self._is_one_plus_sigmoidal(name)]
        return len(factors) == 3 and bool(halves and sums)  # noqa: PLR2004 - x and these two

    def _factors(self, tensor: str) -> list[str]:
        node = self._producers.get(tensor)
        return list(node.input) if node is not None and node.op_type == "Mul" else [tensor]

    def _is_one_plus_sigmoidal(self, tensor: str) -> bool:
        node = self._producers.get(tensor)
        if node is None or node.op_type != "Add":
            return False
        terms = [self._producers.get(name) for name in node.input]
        has_one = any(self._is_constant(name, 1.0) for name in node.input)
        return has_one and any(term.op_type in {"Erf", "Tanh"} for term in terms if term)

    def _is_constant(self, tensor: str, value: float) -> bool:
        values = self._shapes.constants.get(tensor)
        return values is not None and values.size == 1 and float(values.item()) == value
