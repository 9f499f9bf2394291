"""Make ranking lists out of pairs.

``python -m training.prepare --recipe FILE --data DIR --output DIR``
"""

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch

from ranklet.evaluation.progress import progress_bars

from .base import load_tokenizer
from .bi_encoders import BiEncoders
from .candidates import CandidateFinder, Candidates
from .corpus import Queries, read_corpus
from .list_maker import ListMaker, ListShape
from .lists import RankingLists, grade_own
from .recipe import ListSettings, read_list_recipe
from .texts import Texts

_DEVELOPMENT_DOCUMENTS = 24


def main() -> None:
    """Read, embed, find candidates, write the lists."""
    arguments = _parser().parse_args()
    recipe = read_list_recipe(arguments.recipe)
    arguments.output.mkdir(parents=True, exist_ok=True)
    try:  # before anything slow
        bi_encoders = BiEncoders(recipe.lists.bi_encoders, device=arguments.device)
        print("reading pairs")
        corpus = read_corpus(arguments.data, recipe)
    except (OSError, EOFError, ValueError) as error:
        sys.exit(str(error))
    if len(corpus.passages) < recipe.lists.depth:
        sys.exit(
            f"{arguments.data} gives {len(corpus.passages)} passages, fewer than the "
            f"{recipe.lists.depth} candidates that {arguments.recipe} wants of each query: take "
            "more pairs or a smaller `depth`"
        )
    if not len(corpus.development.texts):
        sys.exit(f"{arguments.data} gives no query to hold out: take more pairs")
    vectors = embed(corpus.passages, "passages", bi_encoders)
    finder = CandidateFinder(
        corpus.passages,
        vectors,
        vocabulary=load_tokenizer().get_vocab_size(),
        depth=recipe.lists.depth,
    )
    for name, queries, shape in (
        ("development", corpus.development, _development_shape(recipe.lists)),
        ("training", corpus.training, _shape(recipe.lists)),
    ):
        maker = ListMaker(
            corpus.document_starts, vectors, recipe.lists, shape=shape, seed=recipe.seed
        )
        query_vectors = embed(queries.texts, f"{name} queries", bi_encoders)
        found = shown(finder.find(queries.texts, query_vectors), name, len(queries.texts))
        lists = _make(maker, queries, found, corpus.passages, shape.own)
        lists.save(arguments.output / f"{name}.npz")
        print(f"{name}: {lists.documents.shape} lists out of {len(corpus.passages)} passages")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.prepare", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of SET.jsonl.gz files")
    parser.add_argument("--output", type=Path, required=True, help="folder to write lists to")
    parser.add_argument("--recipe", type=Path, required=True, help="settings of the run")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=("cpu", "cuda"), default=device)
    return parser


def _shape(settings: ListSettings) -> ListShape:
    return ListShape(settings.documents, settings.own, settings.bm25, settings.bi_encoder)


def _development_shape(settings: ListSettings) -> ListShape:
    """Share candidates out as in training; the answering document's best passage is one."""
    bm25, bi_encoder = (
        min(count * _DEVELOPMENT_DOCUMENTS // settings.documents, settings.depth)
        for count in (settings.bm25, settings.bi_encoder)
    )
    return ListShape(_DEVELOPMENT_DOCUMENTS, 1, bm25, bi_encoder)


def _make(
    maker: ListMaker, queries: Queries, found: Iterable[Candidates], passages: Texts, own: int
) -> RankingLists:
    rows = [[part.cpu().numpy() for part in maker.make(queries, block)] for block in found]
    documents, teacher = (np.concatenate(column) for column in zip(*rows, strict=True))
    documents = documents.astype(np.int32)
    grades = grade_own(documents, own)
    return RankingLists(queries.texts, passages, documents, teacher, grades, own)


def embed(texts: Texts, what: str, bi_encoders: BiEncoders) -> torch.Tensor:
    """Embed texts with a bar that says what they are; of shape (texts, sum of widths)."""
    with progress_bars() as start:
        advance = start(f"embed {what}", len(texts) * len(bi_encoders.members))
        return bi_encoders.embed(texts, advance=advance)


def shown(blocks: Iterator[Candidates], name: str, count: int) -> Iterator[Candidates]:
    """Yield candidates with a bar over so many queries."""
    with progress_bars() as start:
        advance = start(f"{name} lists", count)
        for block in blocks:
            yield block
            advance(len(block.cosine))


if __name__ == "__main__":
    main()
