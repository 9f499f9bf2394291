"""What lists are drawn from: passages and queries as tokens, read from the pairs once."""

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
from .texts import Texts, starts_of

_PASSAGE_TOKENS = 320
_QUERY_TOKENS = 64


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

    def save(self, path: Path) -> None:
        """Write the file as a whole or not at all."""
        arrays = _arrays("passages", self.passages) | {"document_starts": self.document_starts}
        for name, queries in (("training", self.training), ("development", self.development)):
            arrays |= _arrays(name, queries.texts)
            arrays[f"{name}_documents"] = queries.documents
            arrays[f"{name}_is_answered"] = queries.is_answered
        new = path.with_suffix(".new.npz")
        np.savez_compressed(new, allow_pickle=False, **arrays)
        new.replace(path)


def load_corpus(path: Path) -> Corpus:
    """Read what ``Corpus.save`` wrote."""
    with np.load(path) as arrays:

        def texts(name: str) -> Texts:
            return Texts(arrays[f"{name}_ids"], starts_of(arrays[f"{name}_lengths"]))

        def queries(name: str) -> Queries:
            answered = arrays[f"{name}_is_answered"]
            return Queries(texts(name), arrays[f"{name}_documents"], answered)

        starts = arrays["document_starts"]
        return Corpus(texts("passages"), starts, queries("training"), queries("development"))


def read_corpus(folder: Path, recipe: ListRecipe) -> Corpus:
    """Read the pairs of a folder, cut documents into passages, and turn all into tokens."""
    pairs = read_pairs(folder, recipe)
    tokenizer = load_tokenizer()
    passages = cut_passages(pairs.documents, recipe.passage_words)
    return Corpus(
        Texts.of(tokenize(tokenizer, passages.texts, at_most=_PASSAGE_TOKENS)),
        passages.starts,
        _queries(tokenizer, pairs.training),
        _queries(tokenizer, pairs.development),
    )


def _queries(tokenizer: Tokenizer, queries: Sequence[TrainingQuery]) -> Queries:
    ids = tokenize(tokenizer, [query.text for query in queries], at_most=_QUERY_TOKENS)
    documents = [-1 if query.document is None else query.document for query in queries]
    answered = [query.is_answered for query in queries]
    return Queries(Texts.of(ids), np.array(documents), np.array(answered))


def _arrays(name: str, texts: Texts) -> dict[str, NDArray[np.generic]]:
    return {f"{name}_ids": texts.ids, f"{name}_lengths": texts.lengths.astype(np.uint16)}
