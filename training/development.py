"""The development slice: what chooses between checkpoints, in place of the test collections."""

import numpy as np
import torch
from numpy.typing import NDArray

from ranklet.evaluation.metrics import measure_run, parse_metrics

from .batches import PairBatcher
from .lists import RankingLists
from .model import FamilyEncoder
from .precision import reduced_precision

_WINDOW = 256
_METRICS = "nDCG@10,RR"


@torch.inference_mode()
def score(
    encoder: FamilyEncoder, lists: RankingLists, *, device: str
) -> dict[str, NDArray[np.float32]]:
    """Score all lists.

    Returns:
        Logits by exit, float32, each of shape (lists, documents).
    """
    scores = {name: np.empty(lists.documents.size, dtype=np.float32) for name in encoder.exits}
    pairs = PairBatcher(lists, device)
    for batch in pairs.encode(np.arange(len(lists.queries)), lists.documents, window=_WINDOW):
        with reduced_precision(device):
            logits = encoder(batch.ids, batch.types)
        for name, values in logits.items():
            scores[name][batch.places] = values.cpu().numpy()
    return {name: values.reshape(lists.documents.shape) for name, values in scores.items()}


def rank_quality(scores: NDArray[np.float32]) -> dict[str, float]:
    """Measure scores of shape (lists, documents), where the first document is what answers."""
    rows = range(len(scores))
    documents = [str(place) for place in range(scores.shape[1])]
    qrels = {str(row): {documents[0]: 1} for row in rows}
    run = {str(row): dict(zip(documents, map(float, scores[row]), strict=True)) for row in rows}
    found = measure_run(parse_metrics(_METRICS), qrels, run)
    return {name: round(quality.mean, 4) for name, quality in found.items()}
