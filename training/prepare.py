"""Make ranking lists out of pairs: ``python -m training.prepare --data DIR --output DIR``."""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from ranklet.evaluation.progress import progress_bars

from .base import Ids, Vectors, embed, load_tokenizer, tokenize
from .candidates import CandidateFinder
from .list_maker import ListMaker
from .lists import RankingLists
from .pairs import read_pairs
from .passages import cut_passages
from .recipe import read_list_recipe

_T = TypeVar("_T")

_DOCUMENT_TOKENS = 320
_QUERY_TOKENS = 64
_DEVELOPMENT_DOCUMENTS = 24


def main() -> None:
    """Read, embed, find candidates, write the lists."""
    arguments = _parser().parse_args()
    recipe = read_list_recipe(arguments.recipe)
    pairs = read_pairs(arguments.data, recipe)
    arguments.output.mkdir(parents=True, exist_ok=True)
    tokenizer = load_tokenizer()
    passages = cut_passages(pairs.documents, recipe.passage_words)
    ids = tokenize(tokenizer, passages.texts, at_most=_DOCUMENT_TOKENS)
    vectors = _embed(ids, "documents", arguments.device)
    finder = CandidateFinder(passages.texts, vectors, depth=recipe.lists.depth)
    for name, queries, size in (
        ("development", pairs.development, _DEVELOPMENT_DOCUMENTS),
        ("training", pairs.training, recipe.lists.documents),
    ):
        texts = [query.text for query in queries]
        query_ids = tokenize(tokenizer, texts, at_most=_QUERY_TOKENS)
        found = finder.find(texts, _embed(query_ids, f"{name} queries", arguments.device))
        maker = ListMaker(passages, vectors, recipe.lists, size=size, seed=recipe.seed)
        rows = [
            maker.make(*row) for row in _shown(zip(queries, found, strict=True), name, len(texts))
        ]
        documents, teacher = (np.stack(column) for column in zip(*rows, strict=True))
        has_positive = np.array([query.is_answered for query in queries])
        lists = RankingLists(query_ids, ids, documents, teacher, has_positive)
        lists.save(arguments.output / f"{name}.npz")
        print(f"{name}: {len(texts)} lists of {size} out of {len(ids)} documents")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.prepare", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of SET.jsonl.gz files")
    parser.add_argument("--output", type=Path, required=True, help="folder to write lists to")
    parser.add_argument("--recipe", type=Path, required=True, help="settings of the run")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser


def _embed(texts: Sequence[Ids], what: str, device: str) -> Vectors:
    with progress_bars() as start:
        return embed(texts, device=device, advance=start(f"embed {what}", len(texts)))


def _shown(rows: Iterable[_T], name: str, count: int) -> Iterator[_T]:
    with progress_bars() as start:
        advance = start(f"{name} lists", count)
        for row in rows:
            yield row
            advance(1)


if __name__ == "__main__":
    main()
