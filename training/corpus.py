"""What lists are drawn from: passages and queries as tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from .base import load_tokenizer, tokenize
from .pairs import TrainingQuery, read_pairs
from .passages import cut_passages
from .recipe import ListRecipe
from .texts import Texts

PASSAGE_TOKENS = 320
QUERY_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Queries:
    """Queries and where they come from."""

    texts: Texts
    documents: NDArray[np.int64]
    """Places of the documents they were written for or taken out of, or -1, shape (queries,)."""
    is_answered: NDArray[np.bool_]
    """Whether that document answers it; otherwise nobody said what does."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """Everything that ``prepare`` needs of the pairs."""

    passages: Texts
    document_starts: NDArray[np.int64]
    """The place of each document's first passage and, last, their number: (documents + 1,)."""
    training: Queries
    development: Queries


def read_corpus(folder: Path, recipe: ListRecipe) -> Corpus:
    """Read the pairs of a folder, cut documents into passages, and turn all into tokens."""
    pairs = read_pairs(folder, recipe)
    tokenizer = load_tokenizer()
    passages = cut_passages(pairs.documents, recipe.passage_words)
    return Corpus(
        Texts.of(tokenize(tokenizer, passages.texts, at_most=PASSAGE_TOKENS)),
        passages.starts,
        _queries(tokenizer, pairs.training),
        _queries(tokenizer, pairs.development),
    )


def _queries(tokenizer: Tokenizer, queries: Sequence[TrainingQuery]) -> Queries:
    ids = tokenize(tokenizer, [query.text for query in queries], at_most=QUERY_TOKENS)
    documents = [-1 if query.document is None else query.document for query in queries]
    answered = [query.is_answered for query in queries]
    return Queries(
        Texts.of(ids), np.array(documents, dtype=np.int64), np.array(answered, dtype=np.bool_)
    )
