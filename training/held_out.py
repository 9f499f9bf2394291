"""Compare models on the graded queries that no run trains on: those that people asked, and others.

``python -m training.held_out MODEL ...``: a model that learnt from queries that a language model
wrote is better and better at such queries, and not at those of people.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .base import load_tokenizer
from .development import rank_quality, score
from .graded import CLUSTERS, Cluster, read_clusters
from .lists import RankingLists
from .model import load_model
from .prepare_graded import gather
from .texts import Texts


def main() -> None:
    """Measure models, one line of JSON for each.

    Passages are ranked by their grades among the eight of the query's cluster.
    """
    parser = _parser()
    arguments = parser.parse_args()
    if arguments.every < 1:
        parser.error(f"--every is at least 1, not {arguments.every}")
    try:
        clusters = read_clusters(arguments.graded)
        models = [load_model(folder, "it") for folder in arguments.models]
    except (OSError, EOFError, ValueError) as error:
        raise SystemExit(str(error)) from None
    kinds = {
        "asked": held_out_lists([one for one in clusters if one.is_asked]),
        "written": held_out_lists([one for one in clusters if not one.is_asked]),
    }
    slices = {
        kind: lists.rows(slice(None, None, arguments.every if kind == "written" else 1))
        for kind, lists in kinds.items()
        if len(lists.queries)
    }
    for folder, model in zip(arguments.models, models, strict=True):
        row: dict[str, object] = {"model": str(folder)}
        for kind, lists in slices.items():
            scores = score(model, lists, device=arguments.device)["it"]
            row[kind] = {"queries": len(lists.queries), **rank_quality(scores, lists)}
        print(json.dumps(row), flush=True)


def held_out_lists(clusters: Sequence[Cluster]) -> RankingLists:
    """Make lists of those queries of clusters that are held out: what was graded, and no others."""
    held_out = [cluster for cluster in clusters if cluster.is_held_out]
    passages, queries = gather(held_out, Texts.of([]), load_tokenizer())
    documents = queries.passages.astype(np.int32)
    nothing = np.zeros(documents.shape, dtype=np.float32)
    return RankingLists(queries.texts, passages, documents, nothing, queries.grades, own=0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.held_out", description=__doc__)
    add = parser.add_argument
    add("models", type=Path, nargs="+", metavar="MODEL", help="a checkpoint")
    add("--every", type=int, default=1, help="of written queries, take one in so many (1)")
    add("--graded", type=Path, default=CLUSTERS, help="clusters of graded queries (the recipe's)")
    add("--device", choices=("cpu", "cuda"), default="cpu")
    return parser


if __name__ == "__main__":
    main()
