"""What is minimised: the teacher's ranking, the known answers, and probabilities that mean it."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .recipe import TrainSettings

_NEVER = -1e4
"""A logit whose probability is 0, and which has a gradient, which minus infinity has not."""


@dataclass(frozen=True, slots=True)
class Targets:
    """What a step's lists should look like, on the device of the logits."""

    teacher: Tensor
    """Scores, float32, shape (lists, documents)."""
    is_own: Tensor
    """bool, of the same shape: whether the passage is known to answer, or of a document that is."""
    cross_encoder: Tensor | None = None
    """Logits of another teacher, which has read the same pairs, of the same shape."""
    is_taught: Tensor | None = None
    """bool, shape (lists,): in which of them that teacher has a say; in all if None."""


def family_loss(logits: dict[str, Tensor], targets: Targets, settings: TrainSettings) -> Tensor:
    """Sum the losses of all models; each but the deepest also follows the deepest.

    Args:
        logits: Of each model, the deepest last, each of shape (lists, documents).
        targets: What to rank like.
        settings: Weights of the parts.

    Returns:
        The sum over the models, of means over the lists; shape ().
    """
    *shallow, deepest = logits.values()
    loss = _loss(deepest, targets, settings)
    for own in shallow:
        loss = loss + _loss(own, targets, settings)
        loss = loss + settings.follow_weight * _divergence(own, deepest.detach())
    return loss


def state_distance(found: Tensor, wanted: Tensor, mask: Tensor) -> Tensor:
    """Compare hidden states, as TinyBERT does (Jiao et al., 2020), but normalized.

    Args:
        found: Of a shallow model, shape (pairs, tokens, width).
        wanted: Of the deepest one, of the same shape.
        mask: bool, shape (pairs, tokens): which tokens are some.

    Returns:
        The sum over tokens of the squared distance of their states, when these are normalized so
        that two that have nothing in common are at 2; shape ().
    """
    width = found.shape[-1:]
    found, wanted = (functional.layer_norm(part.float(), width) for part in (found, wanted))
    return ((found - wanted).square().mean(-1) * mask).sum()


def _loss(logits: Tensor, targets: Targets, settings: TrainSettings) -> Tensor:
    loss = _divergence(logits, targets.teacher)
    if targets.cross_encoder is not None:
        taught = _divergence(logits, targets.cross_encoder, targets.is_taught)
        loss = loss + settings.teacher_weight * taught
    answer = settings.label_weight * _of_answers(logits, targets.is_own)
    return loss + answer + settings.probability_weight * _of_probabilities(logits, targets.is_own)


def _of_answers(logits: Tensor, is_own: Tensor) -> Tensor:
    """Surprise at the answering document: which of its passages answers is left to the model.

    The negative logarithm of what the softmax gives to all of them together, as Clark and Gardner
    sum over answers (Simple and Effective Multi-Paragraph Reading Comprehension, 2018).
    """
    of_own = logits.masked_fill(~is_own, _NEVER).logsumexp(1)
    return _mean(logits.logsumexp(1) - of_own, is_own.any(1))


def _of_probabilities(logits: Tensor, is_own: Tensor) -> Tensor:
    """Binary cross-entropy of the best own passage and of what is not own."""
    has_own = is_own.any(1, keepdim=True)
    best = logits.masked_fill(~is_own, _NEVER).amax(1, keepdim=True)
    values = functional.softplus(torch.cat([-best, logits], dim=1))
    return _mean(values, torch.cat([has_own, has_own & ~is_own], dim=1))


def _mean(values: Tensor, counted: Tensor) -> Tensor:
    """Give the mean of those that count, of none 0, and do not wait for the device."""
    return (values * counted).sum() / counted.sum().clamp(min=1)


def _divergence(logits: Tensor, wanted: Tensor, counted: Tensor | None = None) -> Tensor:
    """Kullback-Leibler divergence of the softmax over each list, in the mean over all lists.

    Of lists that are not ``counted`` it is 0.
    """
    given = logits.log_softmax(1), wanted.log_softmax(1)
    each = functional.kl_div(*given, log_target=True, reduction="none").sum(1)
    return (each if counted is None else each * counted).mean()
