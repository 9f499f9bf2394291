"""Compare models on the graded queries that no run trains on, kind by kind.

``python -m training.held_out MODEL ...``: a model that learnt from queries that a language model
wrote is better and better at such queries, and not at those of people; and one that finds the only
answer may not tell the better of several, which pages of results ask for. With ``--data`` it tells,
too, what a model that learnt from graded queries alone has forgotten of the sets.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import numpy as np

from .base import load_tokenizer
from .bi_encoders import BiEncoders
from .development import rank_quality, score
from .graded import CLUSTERS, RESULTS, Cluster, read_clusters
from .lists import NONE, RankingLists, grade_own
from .model import load_model
from .pairs import Row, is_held_out, read_set
from .passages import cut_passages
from .pool import WORDS, offer_passages
from .prepare_graded import gather
from .texts import Texts

_KNOWN_QUERIES = 18
"""Of each set, one a document, at most."""

_KNOWN_DOCUMENTS = 220
"""Of each set, at most; the others are there to be found instead."""


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
        sets = _read_sets(arguments.data) if arguments.data else []
    except (OSError, EOFError, ValueError) as error:
        raise SystemExit(str(error)) from None
    kinds = {
        kind: held_out_lists([one for one in clusters if _kind(one) == kind])
        for kind in ("asked", "written", "results")
    }
    slices = {
        kind: lists.rows(slice(None, None, arguments.every if kind == "written" else 1))
        for kind, lists in kinds.items()
        if len(lists.queries)
    }
    if sets:
        slices["known"] = known_lists(sets, device=arguments.device)
    for folder, model in zip(arguments.models, models, strict=True):
        row: dict[str, object] = {"model": str(folder)}
        for kind, lists in slices.items():
            scores = score(model, lists, device=arguments.device)["it"]
            row[kind] = {"queries": len(lists.queries), **rank_quality(scores, lists)}
        print(json.dumps(row), flush=True)


def _kind(cluster: Cluster) -> str:
    if cluster.source == RESULTS:
        return RESULTS
    return "asked" if cluster.is_asked else "written"


def held_out_lists(clusters: Sequence[Cluster]) -> RankingLists:
    """Make lists of those queries of clusters that are held out: what was graded, and no others."""
    held_out = [cluster for cluster in clusters if cluster.is_held_out]
    passages, queries = gather(held_out, Texts.of([]), load_tokenizer())
    documents = queries.passages.astype(np.int32)
    nothing = np.zeros(documents.shape, dtype=np.float32)
    return RankingLists(queries.texts, passages, documents, nothing, queries.grades, own=0)


def known_lists(sets: Sequence[Sequence[Row]], *, device: str) -> RankingLists:
    """Make lists of held-out queries of sets, of which the answering document is known.

    Its passages have grade 3 and, but for the first columns, are no candidates; the others, out of
    held-out documents of all sets, are what BM25 and the base as a bi-encoder find.
    """
    chosen: list[Row] = []
    others: list[str] = []
    for rows in sets:
        held_out = sorted(filter(is_held_out, rows), key=lambda row: crc32(row.query.encode(), 1))
        one_each = {row.positive: row for row in held_out}
        chosen += list(one_each.values())[:_KNOWN_QUERIES]
        others += list(one_each)[:_KNOWN_DOCUMENTS]
    texts = list(dict.fromkeys([*(row.positive for row in chosen), *others]))
    cut = cut_passages(texts, WORDS)
    bi_encoder = BiEncoders({"all-MiniLM-L6-v2": 1.0}, device=device)
    lists = offer_passages([row.query for row in chosen], cut, bi_encoder)
    documents, place_of = lists.documents.copy(), {text: at for at, text in enumerate(texts)}
    for row, places in zip(chosen, documents, strict=True):
        own = range(*cut.starts[place_of[row.positive] :][:2].tolist())
        seen: set[bytes] = set()
        for column, place in enumerate(places.tolist()):
            text = b"" if place == NONE else lists.passages[place].tobytes()
            if text in seen or (column >= lists.own and place in own):
                places[column] = NONE
            seen.add(text)
    return replace(lists, documents=documents, grades=grade_own(documents, lists.own))


def _read_sets(folder: Path) -> list[list[Row]]:
    names = sorted(path.name.removesuffix(".jsonl.gz") for path in folder.glob("*.jsonl.gz"))
    if not names:
        message = f"{folder} holds no SET.jsonl.gz"
        raise FileNotFoundError(message)
    return [read_set(folder, name) for name in names]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.held_out", description=__doc__)
    add = parser.add_argument
    add("models", type=Path, nargs="+", metavar="MODEL", help="a checkpoint")
    add("--every", type=int, default=1, help="of written queries, take one in so many (1)")
    add("--graded", type=Path, default=CLUSTERS, help="clusters of graded queries (the recipe's)")
    add("--data", type=Path, help="folder of SET.jsonl.gz: measure their held-out queries, too")
    add("--device", choices=("cpu", "cuda"), default="cpu")
    return parser


if __name__ == "__main__":
    main()
