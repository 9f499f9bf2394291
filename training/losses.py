"""What is minimised: the teacher's ranking, the known answers, and probabilities that mean it."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .recipe import TrainSettings


@dataclass(frozen=True, slots=True)
class Targets:
    """What a step's lists should look like, on the device of the logits."""

    teacher: Tensor
    """Scores, shape (lists, documents)."""
    is_own: Tensor
    """bool, of the same shape: whether the passage is of the document that is known to answer."""


def family_loss(logits: dict[str, Tensor], targets: Targets, settings: TrainSettings) -> Tensor:
    """Sum the losses of all exits; each but the deepest also follows the deepest.

    Args:
        logits: Of each exit, the deepest last, each of shape (lists, documents).
        targets: What to rank like.
        settings: Weights of the parts.
    """
    *shallow, deepest = logits.values()
    loss = _loss(deepest, targets, settings)
    for exit_logits in shallow:
        loss = loss + _loss(exit_logits, targets, settings)
        loss = loss + _divergence(exit_logits, deepest.detach())
    return loss


def _loss(logits: Tensor, targets: Targets, settings: TrainSettings) -> Tensor:
    loss = _divergence(logits, targets.teacher / settings.temperature)
    answer = settings.label_weight * _of_answers(logits, targets.is_own)
    return loss + answer + settings.probability_weight * _of_probabilities(logits, targets.is_own)


def _of_answers(logits: Tensor, is_own: Tensor) -> Tensor:
    """Surprise at the answering document: which of its passages answers is left to the model.

    The negative logarithm of what the softmax gives to all of them together, as Clark and Gardner
    sum over answers (Simple and Effective Multi-Paragraph Reading Comprehension, 2018).
    """
    has_own = is_own.any(1)
    of_own = logits.masked_fill(~is_own, -torch.inf)[has_own].logsumexp(1)
    return _mean(logits[has_own].logsumexp(1) - of_own)


def _of_probabilities(logits: Tensor, is_own: Tensor) -> Tensor:
    """Binary cross-entropy of the best own passage and of what is not own."""
    has_own = is_own.any(1)
    logits, is_own = logits[has_own], is_own[has_own]
    best = logits.masked_fill(~is_own, -torch.inf).amax(1)
    others = functional.softplus(logits[~is_own])
    return _mean(torch.cat([functional.softplus(-best), others]))


def _mean(values: Tensor) -> Tensor:
    """Give the mean; of nothing, 0."""
    return values.sum() / max(1, len(values))


def _divergence(logits: Tensor, wanted: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the softmax over each list, in the mean over the lists."""
    return functional.kl_div(
        logits.log_softmax(1), wanted.log_softmax(1), log_target=True, reduction="batchmean"
    )
