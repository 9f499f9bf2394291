"""Keep of each list what a model gets wrong, for another round.

``python -m training.mine --lists FILE --model DIR --output FILE``
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from ranklet.evaluation.progress import progress_bars

from .development import NEVER, best_scale, score
from .lists import RankingLists, load_lists
from .model import CrossEncoder, load_model

_LISTS_IN_BLOCK = 256


def main() -> None:
    """Score the lists, choose of each, write what is left."""
    parser = _parser()
    arguments = parser.parse_args()
    if arguments.count is not None and arguments.count < 1:
        parser.error("--count is at least 1")
    try:
        lists = load_lists(arguments.lists).rows(slice(arguments.count))
        model = load_model(arguments.model, "it").to(arguments.device)
    except FileNotFoundError as error:
        parser.error(str(error))
    most = lists.documents.shape[1] - lists.own
    if min(arguments.hardest, arguments.others) < 0 or arguments.hardest + arguments.others > most:
        parser.error(f"--hardest and --others are together at most {most}, as these lists are long")
    scores = _score(model, lists, arguments.device)
    mined = keep_hardest(lists, scores, hardest=arguments.hardest, others=arguments.others)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    mined.save(arguments.output)
    print(f"{arguments.output}: {mined.documents.shape} lists")


def keep_hardest(
    lists: RankingLists, scores: NDArray[np.float32], *, hardest: int, others: int
) -> RankingLists:
    """Keep own passages, those of the others that a model gets most wrong, and some at random.

    What it gets wrong is the difference of its probability in the list to the teacher's, at the
    scale of its logits where the two agree best: the gradient of the Kullback-Leibler divergence
    with respect to the logit. What the teacher likes as well is none of them, so that passages
    that answer though nobody said so are not taught away.

    Args:
        lists: What the scores are of.
        scores: The model's logits, shape (lists, passages in a list).
        hardest: How many of those that it gets wrong.
        others: How many of the rest.

    Returns:
        Lists of so many passages beside own ones, which stay in front.
    """
    missing = lists.documents < 0
    found, teacher = (np.where(missing, NEVER, one) for one in (scores, lists.teacher))
    found = softmax(found * best_scale(found, teacher), axis=1)
    wrong = np.abs(found - softmax(teacher, axis=1))[:, lists.own :]
    order = np.argsort(-wrong, axis=1, kind="stable")
    rest = np.random.default_rng(len(order)).permuted(order[:, hardest:], axis=1)
    is_gone = np.take_along_axis(missing[:, lists.own :], rest, 1)
    rest = np.take_along_axis(rest, np.argsort(is_gone, axis=1, kind="stable"), 1)
    kept = np.concatenate([order[:, :hardest], rest[:, :others]], axis=1) + lists.own
    own = np.broadcast_to(np.arange(lists.own), (len(kept), lists.own))
    columns = np.concatenate([own, kept], axis=1)
    return lists.columns(columns)


def _score(model: CrossEncoder, lists: RankingLists, device: str) -> NDArray[np.float32]:
    blocks: list[NDArray[np.float32]] = []
    rows = np.arange(len(lists.queries))
    with progress_bars() as start:
        advance = start("score lists", len(rows))
        for first in range(0, len(rows), _LISTS_IN_BLOCK):
            block = lists.rows(rows[first : first + _LISTS_IN_BLOCK])
            blocks.append(score(model, block, device=device)["it"])
            advance(len(block.queries))
    return np.concatenate(blocks)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.mine", description=__doc__)
    parser.add_argument("--lists", type=Path, required=True, help="training.npz of prepare")
    parser.add_argument("--model", type=Path, required=True, help="a checkpoint")
    parser.add_argument("--output", type=Path, required=True, help="file to write lists to")
    parser.add_argument("--count", type=int, help="look through so many lists (all)")
    parser.add_argument("--hardest", type=int, default=8, help="passages it gets most wrong (8)")
    parser.add_argument("--others", type=int, default=4, help="passages of the rest (4)")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=("cpu", "cuda"), default=device)
    return parser


if __name__ == "__main__":
    main()
