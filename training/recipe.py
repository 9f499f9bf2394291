"""The settings of a run, read from one of the files in `recipes`."""

import math
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from .graded import PASSAGES

BiEncoderName = Literal["all-MiniLM-L6-v2", "all-mpnet-base-v2"]

TEACHER = "teacher"
"""The exit of a cross-encoder that teaches, a name that no model has."""

Shares = dict[BiEncoderName, Annotated[float, Meta(gt=0, le=1)]]


class ListSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a query's list of documents is put together and scored by the teacher."""

    documents: int
    """Passages in a list; those that no other number asks for are drawn at random."""
    own: int
    """The most passages of the answering document, the bi-encoder's best ones."""
    bm25: int
    """Passages drawn out of BM25's best ``depth``."""
    bi_encoder: int
    """Passages drawn out of the bi-encoder's best ``depth``."""
    depth: int
    """How many candidates BM25 and the bi-encoder each give."""
    same_above: float
    """Cosine to an own passage, from -1 to 1, above which a candidate is left out as the same."""
    bi_encoders: Shares
    """Shares of the bi-encoders in the cosine, by name, which add up to 1."""
    cosine_scale: float
    """Weight of the cosine in the teacher's score, a logit."""
    bm25_scale: float
    """Weight of BM25, as a share of the query's best score, in the teacher's score."""

    def __post_init__(self) -> None:
        """Refuse lists that cannot be made, before anything slow is done."""
        total = sum(self.bi_encoders.values())
        named = self.own + self.bm25 + self.bi_encoder
        if not math.isclose(total, 1):
            message = f"shares of bi_encoders add up to 1, not {total:g}"
        elif max(self.bm25, self.bi_encoder) > self.depth:
            message = f"a list takes more candidates than the {self.depth} of `depth`"
        elif named > self.documents or min(self.own, self.bm25, self.bi_encoder) < 1:
            message = (
                f"a list of {self.documents} documents holds at least one own passage and one "
                f"candidate of each kind, and no more than fit, not {named}"
            )
        else:
            return
        raise ValueError(message)


class GradedSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which graded queries a run takes, and what grades say to it."""

    clusters: Annotated[int, Meta(ge=1)]
    """How many of the file, in its order."""
    others: Annotated[float, Meta(ge=0)]
    """Lists that nobody graded, for each graded one."""
    scores: Annotated[list[float], Meta(min_length=4, max_length=4)]
    """What grades 0 to 3 add to the teacher's score, a logit."""
    skipped: Annotated[int, Meta(ge=0)] = 0
    """Clusters before these, from which a run before has learnt."""
    again: Annotated[int, Meta(ge=0)] = 0
    """Of these, the first, from which this run learns once more."""
    queries_each: Annotated[int, Meta(ge=1)] | None = None
    """The most queries of a cluster to train on, drawn at random; without a number, all."""
    is_taught: bool = True
    """Whether a cross-encoder that teaches (``--teacher``) has a say in these, too."""

    def __post_init__(self) -> None:
        """Refuse clusters that would be read twice in one run."""
        if self.again > self.skipped:
            message = f"again is at most skipped, {self.skipped}, not {self.again}"
            raise ValueError(message)


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

    def __post_init__(self) -> None:
        """Refuse exits that would be no models, or the same."""
        ends = list(self.exits.values())
        if not ends or ends != sorted({*ends}) or ends[0] < 1 or ends[-1] != self.layers:
            message = f"exits end after rising numbers of layers, the last after all {self.layers}"
            raise ValueError(message)


class TrainSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The optimisation."""

    steps: int
    lists_in_step: int
    """Lists of one query each that a step takes."""
    documents: int
    """Passages of each of these lists that a step takes."""
    own: Annotated[list[Annotated[int, Meta(ge=1)]], Meta(min_length=1)]
    """How many of these may be of the answering document: step by step in turn."""
    learning_rate: float
    """AdamW's at its highest."""
    warmup: float
    """Share of the steps, 0 to 1, in which the learning rate rises; then it falls in a line."""
    window: int
    """Tokens of a pair at most."""
    long_window: int
    """Tokens of a pair at most in every fourth step."""
    label_weight: float
    """Of the cross-entropy of the known answers; that of the teacher's divergence is 1."""
    probability_weight: float
    """Of the binary cross-entropy, which makes probabilities of the logits."""
    follow_weight: float
    """Of the shallow models' divergence from the deepest."""
    state_weight: float
    """Of the distance of the shallow models' hidden states from the deepest's."""
    averaging: Annotated[float, Meta(ge=0, lt=1)]
    """Decay of the average of the weights in a step, from 0 to less than 1."""
    start_share: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    """Of the weights that the run began with, in what it writes: between the two a model keeps what
    it knew and most of what it learnt (Wortsman et al., Robust Fine-Tuning, 2022)."""
    mix_in_share: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    """Of the weights of an earlier run (``--mix-in``), in what comes of that."""
    teacher_weight: Annotated[float, Meta(ge=0)] = 0.0
    """Of the divergence from a cross-encoder (``--teacher``) that ranks the same passages."""

    def __post_init__(self) -> None:
        """Refuse a longer window that is shorter."""
        if self.long_window < self.window:
            message = f"long_window is at least window, {self.window}, not {self.long_window}"
            raise ValueError(message)


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


class GradedRecipe(msgspec.Struct, frozen=True):
    """Everything that lists of graded queries depend on, beside the lists before."""

    seed: int
    lists: ListSettings
    graded: GradedSettings

    def __post_init__(self) -> None:
        """Refuse lists that do not hold a cluster and its candidates, where one passage answers."""
        least = self.lists.own - 1 + PASSAGES + self.lists.bm25 + self.lists.bi_encoder
        if self.lists.documents < least:
            message = (
                f"with {PASSAGES} graded passages, {self.lists.own} places for what answers, and "
                f"candidates, a list has at least {least} documents, not {self.lists.documents}"
            )
            raise ValueError(message)


class ModelRecipe(msgspec.Struct, frozen=True):
    """Everything that the models depend on, beside the lists."""

    seed: int
    encoders: Annotated[list[EncoderSettings], Meta(min_length=1)]
    """Of one family, trained on the same pairs at the same time; the deepest last."""
    train: TrainSettings

    def __post_init__(self) -> None:
        """Refuse names that would be written over one another, and a family in another order."""
        names = [TEACHER, *(name for encoder in self.encoders for name in encoder.exits)]
        if len(names) != len({*names}):
            message = f"two models have one name: {', '.join(names)}"
            raise ValueError(message)
        is_mixed = self.train.start_share or self.train.mix_in_share
        if is_mixed and any(one.start is None or one.units for one in self.encoders):
            message = (
                "start_share and mix_in_share are of models that an encoder begins with, whole "
                "(start, no units)"
            )
            raise ValueError(message)
        layers = [encoder.layers for encoder in self.encoders]
        if layers != sorted(layers):
            message = f"encoders come in the order of their layers, the deepest last, not {layers}"
            raise ValueError(message)


def read_list_recipe(path: Path) -> ListRecipe:
    """Read how lists are made.

    Raises:
        msgspec.ValidationError: a setting is missing or of the wrong type.
    """
    return msgspec.yaml.decode(path.read_bytes(), type=ListRecipe)


def read_graded_recipe(path: Path) -> GradedRecipe:
    """Read how lists of graded queries are made.

    Raises:
        msgspec.ValidationError: a setting is missing or of the wrong type.
    """
    return msgspec.yaml.decode(path.read_bytes(), type=GradedRecipe)


def read_model_recipe(path: Path) -> ModelRecipe:
    """Read how models are trained on lists.

    Raises:
        msgspec.ValidationError: a setting is missing or of the wrong type.
    """
    return msgspec.yaml.decode(path.read_bytes(), type=ModelRecipe)
