"""The development slice: what chooses between checkpoints, in place of the test collections.

``python -m training.development --lists FILE MODEL ...`` compares models on it.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from ranklet.evaluation.metrics import measure_run, parse_metrics

from .batches import PairBatcher
from .graded import LEAST_ANSWERING
from .lists import RankingLists, load_lists
from .model import CrossEncoder, load_model
from .precision import reduced_precision

_WINDOW = 256

NEVER = np.float32(-1e4)
"""A logit whose probability is 0."""

_METRICS = {"nDCG@10": "nDCG@10", f"RR(rel={LEAST_ANSWERING})": "RR"}
"""As ir-measures calls them, and as they are told."""


@torch.inference_mode()
def score(
    encoder: CrossEncoder, lists: RankingLists, *, device: str
) -> dict[str, NDArray[np.float32]]:
    """Score all lists.

    Returns:
        Logits by exit, float32, each of shape (lists, documents).
    """
    scores = {name: np.empty(lists.documents.size, dtype=np.float32) for name in encoder.exits}
    pairs = PairBatcher(lists, device)
    for batch in pairs.encode(np.arange(len(lists.queries)), lists.documents, window=_WINDOW):
        with reduced_precision(device):
            logits = encoder(batch.ids, batch.types).logits
        for name, values in logits.items():
            scores[name][batch.places] = values.cpu().numpy()
    return {name: values.reshape(lists.documents.shape) for name, values in scores.items()}


def rank_quality(scores: NDArray[np.float32], lists: RankingLists) -> dict[str, float]:
    """Measure scores of the lists' passages, of shape (lists, passages), by their grades.

    Returns:
        Means over the lists by the metric's name, 0 to 1, with four digits.
    """
    qrels: dict[str, dict[str, int]] = {}
    run: dict[str, dict[str, float]] = {}
    for row, there in enumerate(lists.documents >= 0):
        columns = np.flatnonzero(there)
        names = columns.astype(str).tolist()
        qrels[str(row)] = dict(zip(names, lists.grades[row, columns].tolist(), strict=True))
        run[str(row)] = dict(zip(names, scores[row, columns].tolist(), strict=True))
    found = measure_run(parse_metrics(",".join(_METRICS)), qrels, run)
    return {_METRICS[name]: round(quality.mean, 4) for name, quality in found.items()}


def divergence(scores: NDArray[np.float32], teacher: NDArray[np.float32]) -> float:
    """Tell how far scores are from the teacher's, whatever their scale.

    Args:
        scores: Logits, shape (lists, documents).
        teacher: The lists' own scores, of the same shape.

    Returns:
        The Kullback-Leibler divergence of the softmax over a list from the teacher's, in the mean
        over the lists and at the scale where it is least; nats, with four digits.
    """
    return round(_divergence_at(best_scale(scores, teacher), scores, teacher), 4)


def best_scale(scores: NDArray[np.float32], teacher: NDArray[np.float32]) -> float:
    """Give the factor of ``scores``, from 0.1 to 10, where ``divergence`` is least."""
    found = minimize_scalar(
        lambda exponent: _divergence_at(10.0**exponent, scores, teacher),
        bounds=(-1, 1),
        method="bounded",
    )
    scale: float = 10.0 ** float(found.x)
    return scale


def _divergence_at(
    scale: float, scores: NDArray[np.float32], teacher: NDArray[np.float32]
) -> float:
    wanted = log_softmax(teacher, axis=1)
    found = log_softmax(scores * scale, axis=1)
    return float((np.exp(wanted) * (wanted - found)).sum(axis=1).mean())


def main() -> None:
    """Tell how well models rank the slice and how far they are from the lists' own scores.

    One line of JSON for these scores, then one for each model.
    """
    parser = argparse.ArgumentParser(prog="python -m training.development", description=__doc__)
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL", help="a checkpoint")
    parser.add_argument("--lists", type=Path, required=True, help="development.npz of prepare")
    arguments = parser.parse_args()
    try:
        lists = load_lists(arguments.lists)
        models = [load_model(folder, "it") for folder in arguments.models]
    except FileNotFoundError as error:
        parser.error(str(error))
    print(json.dumps({"model": "the lists' own scores", **rank_quality(lists.teacher, lists)}))
    for folder, model in zip(arguments.models, models, strict=True):
        scores = score(model, lists, device="cpu")["it"]
        there = lists.documents >= 0
        distance = divergence(*(np.where(there, one, NEVER) for one in (scores, lists.teacher)))
        row = {"model": str(folder), **rank_quality(scores, lists), "divergence": distance}
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
