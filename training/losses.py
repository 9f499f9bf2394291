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
    has_positive: Tensor
    """bool, shape (lists,): whether the first document is known to answer."""


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
    labelled = logits[targets.has_positive]
    if len(labelled):
        answer = torch.zeros(len(labelled), dtype=torch.long, device=logits.device)
        loss = loss + settings.label_weight * functional.cross_entropy(labelled, answer)
        relevant = functional.one_hot(answer, logits.shape[1]).float()
        probability = functional.binary_cross_entropy_with_logits(labelled, relevant)
        loss = loss + settings.probability_weight * probability
    return loss


def _divergence(logits: Tensor, wanted: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the softmax over each list, in the mean over the lists."""
    return functional.kl_div(
        logits.log_softmax(1), wanted.log_softmax(1), log_target=True, reduction="batchmean"
    )
