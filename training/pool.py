"""Find candidates for questions that people asked, so that somebody can grade them.

``python -m training.pool --data DIR --sets NAME ... --model DIR --output FILE`` writes a line of
JSON for each question: the set it is out of and eight passages, in no order. They are what BM25,
the base as a bi-encoder and the model rank highest, in turns, beside the best one of the document
that is known to answer. With grades, a line makes a cluster of ``graded.jsonl.gz``.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from itertools import chain, islice, zip_longest
from pathlib import Path
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray

from .base import load_tokenizer, tokenize
from .bi_encoders import BiEncoders
from .candidates import CandidateFinder
from .corpus import PASSAGE_TOKENS, QUERY_TOKENS
from .development import score
from .graded import PASSAGES
from .lists import NONE, RankingLists
from .model import load_model
from .pairs import Row, is_held_out, read_set
from .passages import Passages, cut_passages
from .prepare import embed
from .texts import Texts

WORDS = [[20, 20, 40, 80, 160]]
"""How long passages may be, see ``cut_passages``: sentences and paragraphs, as people search."""

_DEPTH = 9
"""Passages that BM25 and the bi-encoder each offer to the model."""

_OWN = 3
"""Passages of the answering document that are offered, too."""


def main() -> None:
    """Choose questions, find candidates, write them."""
    arguments = _parser().parse_args()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)  # before anything slow
    try:
        model = load_model(arguments.model, "it")
        bi_encoder = BiEncoders({"all-MiniLM-L6-v2": 1.0}, device=arguments.device)
        sets = {name: _known(read_set(arguments.data, name)) for name in arguments.sets}
    except (OSError, EOFError, ValueError) as error:
        sys.exit(str(error))
    end = arguments.skip + arguments.count
    chosen = [(name, row) for name, rows in sets.items() for row in rows[arguments.skip : end]]
    rest = (row.positive for row in chain.from_iterable(sets.values()))
    documents = list(dict.fromkeys(chain((row.positive for _, row in chosen), rest)))
    cut = cut_passages(documents[: max(len(chosen), arguments.documents)], WORDS)
    if len(cut.texts) < _DEPTH or not chosen:
        sys.exit(f"{len(chosen)} questions and {len(cut.texts)} passages are too few")
    pool = offer_passages([row.query for _, row in chosen], cut, bi_encoder)
    picked = _pick(pool, score(model.to(arguments.device), pool, device=arguments.device)["it"])
    with arguments.output.open("w") as lines:
        for (name, row), places in zip(chosen, picked, strict=True):
            passages = [cut.texts[place] for place in _shuffled(places, row.query)]
            line = {"source": name, "query": row.query, "passages": passages}
            lines.write(json.dumps(line, ensure_ascii=False) + "\n")
    print(f"{arguments.output}: {len(chosen)} questions")


def _known(rows: Sequence[Row]) -> list[Row]:
    """Give one row of each document that has no held-out query, by a checksum of the query."""
    held_out = {row.positive for row in rows if is_held_out(row)}
    first: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: crc32(row.query.encode(), 1)):
        if row.positive not in held_out:
            first.setdefault(row.positive, row)
    return list(first.values())


def offer_passages(questions: Sequence[str], cut: Passages, bi_encoder: BiEncoders) -> RankingLists:
    """Make lists of what is offered to the model: own passages, the bi-encoder's, BM25's.

    The answering documents are the first ones of the passages, in the order of the questions.
    """
    tokenizer = load_tokenizer()
    passages = Texts.of(tokenize(tokenizer, cut.texts, at_most=PASSAGE_TOKENS))
    queries = Texts.of(tokenize(tokenizer, questions, at_most=QUERY_TOKENS))
    vectors = embed(passages, "passages", bi_encoder)
    asked = embed(queries, "questions", bi_encoder)
    size = tokenizer.get_vocab_size()
    shape = (len(questions), _OWN + 2 * _DEPTH)
    documents = np.full(shape, NONE, dtype=np.int32)
    for block in CandidateFinder(passages, vectors, vocabulary=size, depth=_DEPTH).find(
        queries, asked
    ):
        cosine, by_bm25, by_cosine = (
            values.cpu().numpy() for values in (block.cosine, block.by_bm25, block.by_cosine)
        )
        for place, row in enumerate(range(block.queries.start, block.queries.stop)):
            start, end = cut.starts[row : row + 2].tolist()
            own = start + np.argsort(-cosine[place, start:end], kind="stable")[:_OWN]
            documents[row, : len(own)] = own
            documents[row, _OWN : _OWN + _DEPTH] = by_cosine[place]
            documents[row, _OWN + _DEPTH :] = by_bm25[place]
    nothing = np.zeros(shape, dtype=np.float32)
    return RankingLists(queries, passages, documents, nothing, nothing.astype(np.int8), _OWN)


def _pick(pool: RankingLists, scores: NDArray[np.float32]) -> list[list[int]]:
    """Pick from each list the best own passage, then what each ranking has highest, in turns."""
    scores = np.where(pool.documents == NONE, -np.inf, scores)
    by_model = np.take_along_axis(pool.documents, np.argsort(-scores, axis=1, kind="stable"), 1)
    picked: list[list[int]] = []
    for row, ranked in zip(pool.documents, by_model, strict=True):
        turns = zip_longest(row[_OWN + _DEPTH :], row[_OWN : _OWN + _DEPTH], ranked, fillvalue=NONE)
        unique: dict[bytes, int] = {}  # of equal passages of several documents the first
        for place in map(int, chain(row[:1], chain.from_iterable(turns))):
            if place != NONE:
                unique.setdefault(pool.passages[place].tobytes(), place)
        picked.append(list(islice(unique.values(), PASSAGES)))
    return picked


def _shuffled(places: Sequence[int], query: str) -> list[int]:
    order: list[int] = np.random.default_rng(crc32(query.encode())).permutation(places).tolist()
    return order


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.pool", description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of SET.jsonl.gz")
    add("--sets", nargs="+", required=True, help="sets whose questions to take")
    add("--model", type=Path, required=True, help="a checkpoint, whose mistakes are looked for")
    add("--output", type=Path, required=True, help="file to write questions to")
    add("--count", type=int, default=500, help="questions of each set, one a document (500)")
    add("--skip", type=int, default=0, help="questions of each set before these (0)")
    add("--documents", type=int, default=10_000, help="documents in all, at most (10000)")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    add("--device", choices=("cpu", "cuda"), default=device)
    return parser


if __name__ == "__main__":
    main()
