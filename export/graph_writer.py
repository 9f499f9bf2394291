"""Writes a graph's nodes anew, with additions that are made once however many need them."""

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import ArrayLike, DTypeLike
from onnx import AttributeProto, GraphProto, NodeProto, helper, numpy_helper

MICROSOFT = "com.microsoft"
"""The domain of onnxruntime's own operators."""


class GraphWriter:
    """Nodes in the making. What is added has names that begin with a prefix."""

    def __init__(self, model: onnx.ModelProto, *, prefix: str) -> None:
        """Begin with no nodes; constants are added to ``model`` at once."""
        self.nodes: list[NodeProto] = []
        self._model = model
        self._prefix = prefix
        self._added = set[str]()

    def node(
        self,
        operator: str,
        inputs: Sequence[str],
        name: str,
        *,
        domain: str = "",
        **attributes: int | Sequence[int] | onnx.TensorProto,
    ) -> str:
        """Add a node unless there is one of that name, and give its output."""
        output = f"{self._prefix}/{name}"
        if output not in self._added:
            self._added.add(output)
            node = helper.make_node(operator, inputs, [output], output, domain=domain)
            node.attribute.extend(helper.make_attribute(*item) for item in attributes.items())
            self.nodes.append(node)
        return output

    def constant(self, values: ArrayLike, dtype: DTypeLike, name: str) -> str:
        """Add a constant unless there is one of that name, and give its name."""
        output = f"{self._prefix}/{name}"
        if output not in self._added:
            self._added.add(output)
            tensor = numpy_helper.from_array(np.asarray(values, dtype), output)
            self._model.graph.initializer.append(tensor)
        return output

    def indices(self, values: Sequence[int]) -> str:
        """Add a constant vector of int64, as shapes, axes and bounds are."""
        return self.constant(values, np.int64, "indices_" + "_".join(map(str, values)))

    def finish(self) -> None:
        """Put the nodes that something reads into the graph, in place of those that it had."""
        graph = self._model.graph
        kept = _without_unread(self.nodes, graph)
        domains = {opset.domain for opset in self._model.opset_import}
        if MICROSOFT not in domains and any(node.domain == MICROSOFT for node in kept):
            self._model.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
        del graph.node[:]
        graph.node.extend(kept)
        read = {name for node in kept for name in [*node.input, *captured_names(node)]}
        initializers = [tensor for tensor in graph.initializer if tensor.name in read]
        del graph.initializer[:]
        graph.initializer.extend(initializers)
        del graph.value_info[:]  # shapes and types from before


def captured_names(node: NodeProto) -> list[str]:
    """Give the names that branches and bodies of ``node`` read, those from outside included."""
    names = list[str]()
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            names += [value.name for value in attribute.g.output]
            for inner in attribute.g.node:
                names += [*inner.input, *captured_names(inner)]
    return names


def _without_unread(nodes: Sequence[NodeProto], graph: GraphProto) -> list[NodeProto]:
    """Leave out the nodes that nothing reads any more, as the arithmetic of old shapes."""
    read = {value.name for value in graph.output}
    kept: list[NodeProto] = []
    for node in reversed(nodes):
        if not read.isdisjoint(node.output):
            read.update([*node.input, *captured_names(node)])
            kept.append(node)
    return kept[::-1]
