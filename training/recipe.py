"""The settings of a run, read from one of the YAML files beside."""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta


class ListSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a query's list of documents is put together and scored by the teacher."""

    documents: int
    own: int
    bm25: int
    bi_encoder: int
    depth: int
    same_above: float
    cosine_scale: float
    bm25_scale: float


class EncoderSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept of the model that an encoder begins with, and which models it becomes."""

    layers: int
    """The first ones, which are kept."""
    exits: dict[str, int]
    """After how many of these each model ends, the deepest last."""
    start: str | None = None
    """Which model of the run before it begins with; without one, the base."""
    units: int | None = None
    """How many of a feed-forward network's units are kept; without a number, all."""


class TrainSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The optimisation; ``first.yaml`` explains each."""

    steps: int
    lists_in_step: int
    documents: int
    own: Annotated[list[Annotated[int, Meta(ge=1)]], Meta(min_length=1)]
    learning_rate: float
    warmup: float
    window: int
    late_window: int
    late_share: float
    temperature: float
    label_weight: float
    probability_weight: float
    follow_weight: float
    state_weight: float
    averaging: float


class ListRecipe(msgspec.Struct, frozen=True):
    """Everything that the lists depend on, beside the data."""

    seed: int
    pairs: dict[str, int]
    sentences: dict[str, int]
    sentences_each: int
    keyword_share: float
    sentence_keyword_share: float
    unlabelled_share: float
    passage_words: list[list[int]]
    lists: ListSettings


class ModelRecipe(msgspec.Struct, frozen=True):
    """Everything that the models depend on, beside the lists."""

    seed: int
    encoders: Annotated[list[EncoderSettings], Meta(min_length=1)]
    """Of one family, trained on the same pairs at the same time; the deepest last."""
    train: TrainSettings


def read_list_recipe(path: Path) -> ListRecipe:
    """Read how lists are made.

    Raises:
        msgspec.ValidationError: a setting is missing or of the wrong type.
    """
    return msgspec.yaml.decode(path.read_bytes(), type=ListRecipe)


def read_model_recipe(path: Path) -> ModelRecipe:
    """Read how models are trained on lists.

    Raises:
        msgspec.ValidationError: a setting is missing or of the wrong type.
    """
    return msgspec.yaml.decode(path.read_bytes(), type=ModelRecipe)
