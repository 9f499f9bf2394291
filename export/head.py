"""How a checkpoint's model comes to one logit a pair."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Pooling = Literal["cls", "max", "mean"]

Nonlinearity = Literal["GELU", "Identity", "ReLU", "SiLU", "Sigmoid", "Tanh"]
"""Classes of ``torch.nn``."""


@dataclass(frozen=True, slots=True)
class ClassifierHead:
    """The head of a sequence classifier, as transformers computes it."""

    positive: int | None = None
    """Of two labels the one that says relevant; None where one logit is all there is."""
    labels: tuple[str, ...] = ()
    """Names of the two labels."""

    @property
    def description(self) -> str:
        """Say what the logit is."""
        if self.positive is None:
            return "the classifier's logit"
        positive, negative = self.labels[self.positive], self.labels[1 - self.positive]
        return (
            f"the logit of label {self.positive} ({positive}) less that of label "
            f"{1 - self.positive} ({negative}): the sigmoid of it is the softmax over the two"
        )


@dataclass(frozen=True, slots=True)
class DenseLayer:
    """A linear layer that sentence-transformers keeps in a folder of its own."""

    folder: str
    inputs: int
    outputs: int
    bias: bool
    nonlinearity: Nonlinearity


@dataclass(frozen=True, slots=True)
class NormLayer:
    """A layer normalization, kept in the same way."""

    folder: str
    size: int


HeadLayer: TypeAlias = DenseLayer | NormLayer


@dataclass(frozen=True, slots=True)
class ModuleHead:
    """A head that sentence-transformers builds of modules, on top of a bare encoder."""

    pooling: Pooling
    layers: tuple[HeadLayer, ...]
    """From the pooled row to one number."""

    @property
    def description(self) -> str:
        """Say what the logit is."""
        return f"pooling by {self.pooling}, then the {len(self.layers)} layers of modules.json"


@dataclass(frozen=True, slots=True)
class AnswerHead:
    """A language model that answers with one of two words after the last token."""

    positive: str
    negative: str

    @property
    def description(self) -> str:
        """Say what the logit is."""
        return (
            f"the logit of {self.positive!r} as the next token less that of {self.negative!r}: the "
            "sigmoid of it is the softmax over the two"
        )


Head: TypeAlias = ClassifierHead | ModuleHead | AnswerHead
