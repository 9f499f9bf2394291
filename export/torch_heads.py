"""Heads in torch: what turns a transformers model into one that gives one logit a pair."""

# transformers is typed in part only.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from .head import DenseLayer, HeadLayer, ModuleHead, Pooling


class ScoringModel(nn.Module):
    """A transformers model and a head, called as a sequence classifier of one label is."""

    def __init__(self, model: PreTrainedModel, head: Callable[[Any, Tensor], Tensor]) -> None:
        """Let ``head`` turn the output of ``model`` and the mask into logits, shape (pairs, 1)."""
        super().__init__()
        self.config = model.config
        self.model = model
        self.head = head

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
    ) -> SequenceClassifierOutput:
        """Give the logits of a batch of pairs."""
        segments = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        output = self.model(input_ids=input_ids, attention_mask=attention_mask, **segments)
        logits: Any = self.head(output, attention_mask)
        return SequenceClassifierOutput(logits=logits)


class LabelDifference(nn.Module):
    """The positive label's logit less the other's, of a classifier with two labels."""

    def __init__(self, positive: int) -> None:
        super().__init__()
        self._positive = positive

    def forward(self, output: Any, _mask: Tensor) -> Tensor:  # noqa: ANN401 - one of many classes
        """Give the differences, shape (pairs, 1)."""
        return _difference(output.logits, self._positive)


class LastToken(nn.Module):
    """Logits of the last token of each text: all of its labels, or of two answers."""

    def __init__(self, weights: Tensor, positive: int | None) -> None:
        """Multiply by ``weights``, shape (1 or 2, width); ``positive`` is the row that counts."""
        super().__init__()
        self.weights = nn.Parameter(weights, requires_grad=False)
        self._positive = positive

    def forward(self, output: Any, mask: Tensor) -> Tensor:  # noqa: ANN401 - one of many classes
        """Give logits, shape (pairs, 1)."""
        # Selected before it is multiplied: the vocabulary's logits are never computed.
        last = (mask.sum(dim=1, keepdim=True) - 1).unsqueeze(-1)
        hidden: Tensor = output.last_hidden_state
        row = hidden.gather(1, last.expand(-1, 1, hidden.shape[-1])).squeeze(1)
        logits = nn.functional.linear(row, self.weights)
        return logits if self._positive is None else _difference(logits, self._positive)


def _difference(logits: Tensor, positive: int) -> Tensor:
    other = 1 - positive
    return logits[:, positive : positive + 1] - logits[:, other : other + 1]


class PooledLayers(nn.Module):
    """What sentence-transformers calls modules: pooling and the layers behind it."""

    def __init__(self, pooling: Pooling, layers: nn.Sequential) -> None:
        super().__init__()
        self._pool = _POOLINGS[pooling]
        self.layers = layers

    def forward(self, output: Any, mask: Tensor) -> Tensor:  # noqa: ANN401 - one of many classes
        """Give logits, shape (pairs, 1)."""
        logits: Tensor = self.layers(self._pool(output.last_hidden_state, mask))
        return logits


def _first(hidden: Tensor, _mask: Tensor) -> Tensor:
    return hidden[:, 0]


def _mean(hidden: Tensor, mask: Tensor) -> Tensor:
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1)


def _max(hidden: Tensor, mask: Tensor) -> Tensor:
    return hidden.masked_fill(mask.unsqueeze(-1) == 0, float("-inf")).amax(dim=1)


_POOLINGS: dict[Pooling, Callable[[Tensor, Tensor], Tensor]] = {
    "cls": _first,
    "max": _max,
    "mean": _mean,
}


def load_layers(folder: Path, head: ModuleHead) -> PooledLayers:
    """Read the weights of a head's modules.

    Raises:
        RuntimeError: a file holds other weights than its module has.
    """
    layers = nn.Sequential()
    for layer in head.layers:
        module = _make_layer(layer)
        path = folder / layer.folder / "model.safetensors"
        module.load_state_dict(safetensors.torch.load_file(path))
        layers.append(module)
    return PooledLayers(head.pooling, layers)


def _make_layer(layer: HeadLayer) -> nn.Sequential:
    """Make a module whose weights have the names that sentence-transformers gives them."""
    if not isinstance(layer, DenseLayer):
        return nn.Sequential(OrderedDict(norm=nn.LayerNorm(layer.size)))
    linear = nn.Linear(layer.inputs, layer.outputs, bias=layer.bias)
    nonlinearity: nn.Module = getattr(nn, layer.nonlinearity)()
    return nn.Sequential(OrderedDict(linear=linear, nonlinearity=nonlinearity))


def answer_weights(model: PreTrainedModel, tokens: tuple[int, int]) -> Tensor:
    """Give the rows of a language model's output that belong to its two answers."""
    embeddings: Any = model.get_output_embeddings()
    rows: Tensor = embeddings.weight.detach()[torch.tensor(tokens)].clone()
    return rows
