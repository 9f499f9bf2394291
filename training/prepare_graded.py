"""Make ranking lists out of graded queries, beside some of a run's that nobody graded.

``python -m training.prepare_graded --recipe FILE --lists DIR --output DIR``: candidates are the
passages of the lists in ``--lists``, which ``prepare`` wrote, unless the recipe takes none of them,
and those of other clusters.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from .base import load_tokenizer, tokenize
from .bi_encoders import BiEncoders
from .candidates import CandidateFinder, Candidates
from .corpus import PASSAGE_TOKENS, QUERY_TOKENS
from .graded import CLUSTERS, LEAST_ANSWERING, Cluster, read_clusters
from .lists import NONE, RankingLists, join, load_lists
from .prepare import embed, shown
from .recipe import GradedRecipe, read_graded_recipe
from .texts import Texts


@dataclass(frozen=True, slots=True)
class GradedQueries:
    """Queries, and the passages that were graded for them."""

    texts: Texts
    passages: NDArray[np.int64]
    """Places of those of the query's cluster, shape (queries, passages of a cluster)."""
    grades: NDArray[np.int8]
    """Of these, 0 to 3, of the same shape."""
    is_held_out: NDArray[np.bool_]
    """Whether no run trains on the query, shape (queries,)."""


def main() -> None:
    """Read, embed, find candidates, write the lists."""
    arguments = _parser().parse_args()
    recipe = read_graded_recipe(arguments.recipe)
    arguments.output.mkdir(parents=True, exist_ok=True)
    try:  # before anything slow
        others = _others(recipe, arguments.lists)
        clusters = _clusters(recipe, arguments.graded)
        bi_encoders = BiEncoders(recipe.lists.bi_encoders, device=arguments.device)
    except (OSError, EOFError, ValueError) as error:
        sys.exit(str(error))
    if others.own != recipe.lists.own:
        sys.exit(f"the lists in {arguments.lists} have `own` {others.own}, not {recipe.lists.own}")
    if len({cluster.is_held_out for cluster in clusters}) < 2:  # noqa: PLR2004 - both kinds
        sys.exit(f"{arguments.graded}: some clusters are held out and some are not, of these none")
    tokenizer = load_tokenizer()
    passages, queries = gather(clusters, others.passages, tokenizer)
    if len(passages) < recipe.lists.depth:
        sys.exit(f"{len(passages)} passages are fewer than the {recipe.lists.depth} of `depth`")
    vectors = embed(passages, "passages", bi_encoders)
    query_vectors = embed(queries.texts, "queries", bi_encoders)
    finder = CandidateFinder(
        passages, vectors, vocabulary=tokenizer.get_vocab_size(), depth=recipe.lists.depth
    )
    found = shown(finder.find(queries.texts, query_vectors), "graded", len(queries.texts))
    graded = GradedListMaker(vectors.cpu().numpy(), recipe).make(queries, found, passages)
    random = np.random.default_rng((recipe.seed, 1))
    # Kinds of queries take turns, and calibration fits its line on every other list.
    held_out = random.permutation(np.flatnonzero(queries.is_held_out))
    graded.rows(held_out).save(arguments.output / "development.npz")
    kept = np.flatnonzero(~queries.is_held_out)
    count = min(len(others.queries), round(recipe.graded.others * len(kept)))
    chosen = random.permutation(len(others.queries))[:count]
    new = replace(graded, is_taught=np.full(len(queries.texts), recipe.graded.is_taught))
    join(new.rows(kept), others.rows(chosen)).save(arguments.output / "training.npz")
    print(f"{len(kept)} graded lists and {count} others; {len(held_out)} held out")


def _clusters(recipe: GradedRecipe, path: Path) -> Sequence[Cluster]:
    """Read what the recipe takes of the graded queries; of those held out, all of a cluster."""
    settings = recipe.graded
    clusters = [
        *read_clusters(path, count=settings.again),
        *read_clusters(path, skipped=settings.skipped, count=settings.clusters),
    ]
    if settings.queries_each is None:
        return clusters
    random = np.random.default_rng((recipe.seed, 2))
    return [
        cluster if cluster.is_held_out else cluster.draw(settings.queries_each, random)
        for cluster in clusters
    ]


def _others(recipe: GradedRecipe, folder: Path) -> RankingLists:
    """Load the lists that nobody graded, unless the run takes none of them."""
    if recipe.graded.others:
        return load_lists(folder / "training.npz")
    return RankingLists.none(own=recipe.lists.own)


def gather(
    clusters: Sequence[Cluster], corpus: Texts, tokenizer: Tokenizer
) -> tuple[Texts, GradedQueries]:
    """Put the passages of clusters behind those of a corpus, unless they are among them."""
    passages = [corpus[place] for place in range(len(corpus))]
    places = {ids.tobytes(): place for place, ids in enumerate(passages)}
    rows: list[list[int]] = []
    for cluster in clusters:
        row: list[int] = []
        for ids in tokenize(tokenizer, cluster.passages, at_most=PASSAGE_TOKENS):
            row.append(places.setdefault(ids.tobytes(), len(passages)))
            if row[-1] == len(passages):
                passages.append(ids)
        rows += [row] * len(cluster.queries)
    asked = [(query, cluster.is_held_out) for cluster in clusters for query in cluster.queries]
    texts = tokenize(tokenizer, [query.text for query, _ in asked], at_most=QUERY_TOKENS)
    return Texts.of(passages), GradedQueries(
        Texts.of(texts),
        np.array(rows, dtype=np.int64),
        np.array([query.grades for query, _ in asked], dtype=np.int8),
        np.array([is_held_out for _, is_held_out in asked], dtype=np.bool_),
    )


class GradedListMaker:
    """Chooses candidates beside the graded passages and scores all."""

    def __init__(self, vectors: NDArray[np.float32], recipe: GradedRecipe) -> None:
        self._vectors = vectors
        self._settings = recipe.lists
        self._scores = np.array(recipe.graded.scores, dtype=np.float32)
        self._random = np.random.default_rng(recipe.seed)

    def make(
        self, queries: GradedQueries, found: Iterator[Candidates], passages: Texts
    ) -> RankingLists:
        """Make the lists of queries.

        First come, ``own`` of them at most, the passages that answer, the best in front; then the
        other graded ones (among them what answers beyond ``own``), and candidates out of the
        bi-encoders' best, BM25's, and all passages. What only a held-out query was asked about is
        no candidate of a query to train on.
        """
        shape = (len(queries.texts), self._settings.documents)
        documents = np.full(shape, NONE, dtype=np.int32)
        teacher, grades = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.int8)
        is_known = np.ones(len(passages), dtype=np.bool_)
        is_known[queries.passages[queries.is_held_out]] = False
        is_known[queries.passages[~queries.is_held_out]] = True
        for block in found:
            scores = self._settings.cosine_scale * block.cosine.cpu().numpy()
            scores += self._settings.bm25_scale * block.bm25.cpu().numpy()
            pools = np.stack([block.by_cosine.cpu().numpy(), block.by_bm25.cpu().numpy()], axis=1)
            rows = range(block.queries.start, block.queries.stop)
            for row, taught, pool in zip(rows, scores, pools, strict=True):
                order = np.lexsort((-taught[queries.passages[row]], -queries.grades[row]))
                graded, given = queries.passages[row, order], queries.grades[row, order]
                is_allowed = is_known | queries.is_held_out[row]
                columns, chosen = self._choose(graded, given, pool, is_allowed)
                documents[row, columns] = chosen
                grades[row, columns[: len(given)]] = given
                teacher[row, columns] = taught[chosen]
                teacher[row, columns[: len(given)]] += self._scores[given]
        return RankingLists(queries.texts, passages, documents, teacher, grades, self._settings.own)

    def _choose(
        self,
        graded: NDArray[np.int64],
        grades: NDArray[np.int8],
        pools: NDArray[np.int64],
        is_allowed: NDArray[np.bool_],
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Give columns of a list and the passages in them, the graded ones in front."""
        settings = self._settings
        answers = min(int((grades >= LEAST_ANSWERING).sum()), settings.own)
        size = settings.documents - settings.own + answers
        chosen = graded
        everything = self._random.integers(len(self._vectors), size=4 * settings.documents)
        for pool, count in (
            (pools[0], settings.bi_encoder),
            (pools[1], settings.bm25),
            (everything, size),
        ):
            likeness = self._vectors[pool] @ self._vectors[graded[:answers]].T
            is_new = is_allowed[pool] & ~np.isin(pool, chosen)
            is_new &= likeness.max(axis=1) <= settings.same_above
            drawn = self._random.permutation(np.unique(pool[is_new]))[:count]
            chosen = np.concatenate([chosen, drawn])[:size]
        behind = settings.own + np.arange(len(chosen) - answers)
        return np.concatenate([np.arange(answers), behind]), chosen


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.prepare_graded", description=__doc__)
    parser.add_argument("--recipe", type=Path, required=True, help="settings of the run")
    parser.add_argument("--lists", type=Path, required=True, help="what prepare wrote")
    parser.add_argument("--output", type=Path, required=True, help="folder to write lists to")
    parser.add_argument(
        "--graded", type=Path, default=CLUSTERS, help="clusters of graded queries (the recipe's)"
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=("cpu", "cuda"), default=device)
    return parser


if __name__ == "__main__":
    main()
