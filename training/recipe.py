"""The settings of a run, read from ``first.yaml`` or ``second.yaml``."""

from pathlib import Path

import msgspec


class ListSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a query's list of documents is put together and scored by the teacher."""

    documents: int
    bm25: int
    bi_encoder: int
    depth: int
    same_above: float
    cosine_scale: float
    bm25_scale: float


class ModelSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept of the base, and after which layer each model of the family ends."""

    layers: int
    exits: dict[str, int]


class TrainSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The optimisation; ``first.yaml`` explains each."""

    steps: int
    lists_in_step: int
    learning_rate: float
    warmup: float
    window: int
    late_window: int
    late_share: float
    temperature: float
    label_weight: float
    probability_weight: float
    averaging: float


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that a run depends on, beside the data."""

    seed: int
    pairs: dict[str, int]
    sentences: dict[str, int]
    keyword_share: float
    unlabelled_share: float
    passage_words: list[int]
    lists: ListSettings
    model: ModelSettings
    train: TrainSettings


def read_recipe(path: Path) -> Recipe:
    """Read the settings.

    Raises:
        msgspec.ValidationError: one is missing, unknown or of the wrong type.
    """
    return msgspec.yaml.decode(path.read_bytes(), type=Recipe)
