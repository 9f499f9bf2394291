"""A cross-encoder that ends after several layers, so that one run trains several models.

Each exit has a pooler and a classifier of its own and reads the first token, as
``BertForSequenceClassification`` does; cut off at an exit, the model is one of those.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertForSequenceClassification, BertModel
from transformers.models.bert.modeling_bert import BertLayer, BertPooler

from .base import load_base
from .recipe import EncoderSettings


class _Head(nn.Module):
    """What reads the first token: the base's pooler and a classifier, new unless given."""

    def __init__(self, base: BertModel, classifier: nn.Linear | None) -> None:
        super().__init__()
        self.pooler = BertPooler(base.config)
        self.pooler.load_state_dict(cast("BertPooler", base.pooler).state_dict())
        self.classifier = nn.Linear(base.config.hidden_size, 1)
        nn.init.normal_(self.classifier.weight, std=base.config.initializer_range)
        nn.init.zeros_(self.classifier.bias)
        if classifier is not None:
            self.classifier.load_state_dict(classifier.state_dict())

    def forward(self, hidden: Tensor) -> Tensor:
        """Give logits, float32, shape (pairs,), of states of shape (pairs, tokens, width).

        In fp32 always: of a logit between 4 and 8, bf16 knows steps of 1/32.
        """
        with torch.autocast(hidden.device.type, enabled=False):
            logits: Tensor = self.classifier(self.pooler(hidden.float())).squeeze(-1)
        return logits


_ApplyLayer = Callable[[BertLayer, Tensor, Tensor, Tensor], Tensor]


class NoStartError(Exception):
    """A recipe goes on from a run that nobody named."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the recipe begins with {name} of the run before: say with --start where that wrote it"
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """What an encoder makes of pairs."""

    logits: dict[str, Tensor]
    """By the name of the exit, float32, each of shape (pairs,)."""
    states: Tensor
    """What goes into the last layer, as precise as it is computed, shape (pairs, tokens, width)."""


class CrossEncoder(nn.Module):
    """Scores pairs at every exit."""

    def __init__(
        self, base: BertModel, settings: EncoderSettings, classifier: nn.Linear | None = None
    ) -> None:
        super().__init__()
        self.exits = settings.exits
        self.apply_layer: _ApplyLayer = _apply
        self.config: BertConfig = base.config
        self.embeddings = base.embeddings
        if settings.layers > len(base.encoder.layer):
            message = (
                f"a recipe keeps {settings.layers} layers of a model that has "
                f"{len(base.encoder.layer)}"
            )
            raise ValueError(message)
        self.layers = base.encoder.layer[: settings.layers]
        if settings.units is not None:
            for layer in self.layers:
                _narrow(cast("BertLayer", layer), settings.units)
            self.config.intermediate_size = settings.units
        self.heads = nn.ModuleDict({name: _Head(base, classifier) for name in settings.exits})
        # They are half of the weights and more, and the data shows only a part of the words.
        self.embeddings.word_embeddings.weight.requires_grad = False
        # What is fine-tuned for a few thousand steps only loses by it.
        self.eval()

    def forward(self, ids: Tensor, types: Tensor) -> Reading:
        """Score padded pairs.

        Args:
            ids: Token ids, shape (pairs, tokens), padded with 0.
            types: Segment of each token, of the same shape.
        """
        mask = (ids != 0)[:, None, None, :]
        states = hidden = self.embeddings(input_ids=ids, token_type_ids=types)
        logits: dict[str, Tensor] = {}
        ends = {after: name for name, after in self.exits.items()}
        for number, layer in enumerate(self.layers, 1):
            query_states = hidden
            if number == len(self.layers):  # behind which nothing reads the other tokens
                states, query_states = hidden, hidden[:, :1]
            hidden = self.apply_layer(cast("BertLayer", layer), query_states, hidden, mask)
            if number in ends:
                logits[ends[number]] = self.heads[ends[number]](hidden)
        return Reading(logits, states)

    def compile_layers(self) -> None:
        """Have torch fuse what a layer does: half a minute, then steps of two thirds the time."""
        self.apply_layer = _compile_once()

    def member(self, name: str) -> BertForSequenceClassification:
        """Give the model that ends at an exit."""
        depth = self.exits[name]
        config = BertConfig.from_dict(
            self.config.to_dict()
            | {
                "architectures": ["BertForSequenceClassification"],
                "id2label": {0: "LABEL_0"},
                "label2id": {"LABEL_0": 0},
                "num_hidden_layers": depth,
            }
        )
        model: BertForSequenceClassification = BertForSequenceClassification(config).eval()
        head = cast("_Head", self.heads[name])
        model.bert.embeddings.load_state_dict(self.embeddings.state_dict())
        model.bert.encoder.layer.load_state_dict(self.layers[:depth].state_dict())
        cast("BertPooler", model.bert.pooler).load_state_dict(head.pooler.state_dict())
        model.classifier.load_state_dict(head.classifier.state_dict())
        return model


def load_encoder(settings: EncoderSettings, folder: Path | None) -> CrossEncoder:
    """Begin with the base, or with a model out of the folder of the run before.

    Raises:
        NoStartError: the encoder begins with a model, and no folder is given.
        FileNotFoundError: the model is not in that folder.
    """
    if settings.start is None:
        return CrossEncoder(load_base(), settings)
    if folder is None:
        raise NoStartError(settings.start)
    model = _load(folder / settings.start)
    return CrossEncoder(model.bert, settings, model.classifier)


def load_model(folder: Path, name: str) -> CrossEncoder:
    """Load a model that ``save_member`` wrote, as an encoder that ends behind its last layer.

    Raises:
        FileNotFoundError: the folder holds no model.
    """
    model = _load(folder)
    depth = model.config.num_hidden_layers
    settings = EncoderSettings(layers=depth, exits={name: depth})
    return CrossEncoder(model.bert, settings, model.classifier)


def _load(folder: Path) -> BertForSequenceClassification:
    if not (folder / "config.json").is_file():  # transformers would take the path for a hub id
        message = f"{folder} holds no model: there is no config.json"
        raise FileNotFoundError(message)
    model: BertForSequenceClassification = BertForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True
    )
    return model


@torch.no_grad()
def _narrow(layer: BertLayer, units: int) -> None:
    """Keep the units of a feed-forward network whose weights are largest."""
    inner, outer = layer.intermediate.dense, layer.output.dense
    sizes = inner.weight.square().sum(1) * outer.weight.square().sum(0)
    kept = sizes.topk(units).indices.sort().values
    inner.weight, inner.bias = nn.Parameter(inner.weight[kept]), nn.Parameter(inner.bias[kept])
    outer.weight = nn.Parameter(outer.weight[:, kept])
    inner.out_features = outer.in_features = units


def save_member(model: BertForSequenceClassification, folder: Path) -> None:
    """Write configuration and weights, these as fp16 safetensors; the tokenizer is the base's."""
    model.half().save_pretrained(folder)


@cache
def _compile_once() -> _ApplyLayer:
    return cast("_ApplyLayer", torch.compile(_apply, dynamic=True))


def _apply(layer: BertLayer, query_states: Tensor, hidden: Tensor, mask: Tensor) -> Tensor:
    """Compute a layer for some tokens, which attend to all.

    Args:
        layer: What to compute.
        query_states: Of the tokens to compute it for, shape (pairs, these tokens, width).
        hidden: Of all tokens, shape (pairs, tokens, width).
        mask: bool, shape (pairs, 1, 1, tokens): which tokens are some.

    Returns:
        Of the shape of ``query_states``.
    """
    attention = layer.attention.self
    heads = (-1, attention.attention_head_size)
    query, key, value = (
        linear(states).unflatten(-1, heads).transpose(1, 2)
        for linear, states in (
            (attention.query, query_states),
            (attention.key, hidden),
            (attention.value, hidden),
        )
    )
    attend = _attend_fused if query.is_cuda else _attend
    context = attend(query, key, value, mask)
    attended = layer.attention.output(context.transpose(1, 2).flatten(-2), query_states)
    after: Tensor = layer.output(layer.intermediate(attended), attended)
    return after


def _attend_fused(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    return nn.functional.scaled_dot_product_attention(query, key, value, mask)


def _attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """Do the same, as two cores like it: with torch's own a step takes 1.4 times as long."""
    weights = query * query.shape[-1] ** -0.5 @ key.transpose(-1, -2)
    context: Tensor = weights.masked_fill(~mask, -torch.inf).softmax(-1).to(value.dtype) @ value
    return context
