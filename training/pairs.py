"""Queries and their documents, from the training sets, and the queries made out of them."""

import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import msgspec

from .recipe import ListRecipe

_HELD_OUT_SHARE = 20
"""One query in so many is kept from training, chosen by a checksum of its text."""

_DEVELOPMENT_QUERIES = 12
"""At most so many of each set."""

_QUESTION = re.compile(
    r"^(who|whom|whose|what|which|when|where|why|how|is|are|was|were|do|does|did|can|could|in)\b",
    re.IGNORECASE,
)
_STOP_WORDS = frozenset(
    "a an the of in on at to for from by with and or is are was were be been being do does did"
    " has have had can could will would should what which who whom whose when where why how that"
    " this these those it its there about".split()
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_SENTENCE_WORDS = range(7, 31)
_SEARCH_WORDS = range(2, 7)


class Row(msgspec.Struct, frozen=True):
    """A line of a set."""

    query: str
    positive: str
    """The document that answers it."""


@dataclass(frozen=True, slots=True)
class TrainingQuery:
    """A query and where it comes from."""

    text: str
    set: str
    document: int | None
    """The place of the document that answers it or that it was taken out of."""
    is_answered: bool = True
    """Otherwise the document is no candidate: nobody said what answers."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """What to train on, what to choose between checkpoints with, and the documents of both."""

    documents: list[str]
    training: list[TrainingQuery]
    development: list[TrainingQuery]


def read_pairs(folder: Path, recipe: ListRecipe) -> Pairs:
    """Read ``SET.jsonl.gz`` of each set that the recipe names.

    Equal texts are one document. A query is held out by its checksum, and with it every other
    query of the same document. Rows to train on are taken document by document, so that few
    documents have to be embedded for many queries; those of the development slice one by one, so
    that it is of many documents. Which ones depends on their text and the seed alone.
    """
    places: dict[str, int] = {}
    training: list[TrainingQuery] = []
    development: list[TrainingQuery] = []
    for name, most in recipe.pairs.items():
        rows = read_set(folder, name)
        held_out = {row.positive for row in rows if is_held_out(row)}
        rows.sort(key=lambda row: _order(row.query, recipe.seed))
        chosen = [row for row in rows if is_held_out(row)][:_DEVELOPMENT_QUERIES]
        rows.sort(key=lambda row: (_order(row.positive, recipe.seed), row.positive))
        kept = [row for row in rows if row.positive not in held_out][:most]
        for row in (*kept, *chosen):
            places.setdefault(row.positive, len(places))
        training += [_training_query(row, name, places, recipe) for row in kept]
        development += [TrainingQuery(row.query, name, places[row.positive]) for row in chosen]
        sources = list(dict.fromkeys(row.positive for row in kept))
        training += _sentences(sources, places, name, recipe)
    training.sort(key=lambda query: _order(query.text, recipe.seed + 1))
    return Pairs(list(places), training, development)


def read_set(folder: Path, name: str) -> list[Row]:
    """Read ``NAME.jsonl.gz``, of equal queries the first."""
    return list(_distinct(_read(folder / f"{name}.jsonl.gz")))


def _read(path: Path) -> Iterator[Row]:
    with gzip.open(path) as lines:
        for line in lines:
            yield msgspec.json.decode(line, type=Row)


def _distinct(rows: Iterator[Row]) -> Iterator[Row]:
    seen: set[str] = set()
    for row in rows:
        key = " ".join(re.findall(r"\w+", row.query.lower()))
        if key not in seen:
            seen.add(key)
            yield row


def is_held_out(row: Row) -> bool:
    """Whether no run trains on it."""
    return crc32(row.query.encode()) % _HELD_OUT_SHARE == 0


def _order(text: str, seed: int) -> int:
    return crc32(text.encode(), seed)


def _training_query(
    row: Row, name: str, places: dict[str, int], recipe: ListRecipe
) -> TrainingQuery:
    text = _as_typed(row.query, recipe)
    if _order(row.query, recipe.seed + 2) % 1000 < recipe.unlabelled_share * 1000:
        return TrainingQuery(text, name, None, is_answered=False)
    return TrainingQuery(text, name, places[row.positive])


def _as_typed(query: str, recipe: ListRecipe) -> str:
    """Turn some questions into the keywords that a person would type instead."""
    if not _QUESTION.match(query) or _order(query, 0) % 1000 >= recipe.keyword_share * 1000:
        return query
    keywords = _keywords(query)
    return " ".join(keywords) if len(keywords) > 1 else query


def _sentences(
    sources: list[str], places: dict[str, int], name: str, recipe: ListRecipe
) -> Iterator[TrainingQuery]:
    for text in sources[: recipe.sentences.get(name, 0)]:
        sentences = [
            sentence.rstrip(".")
            for sentence in _SENTENCE.split(text)
            if len(sentence.split()) in _SENTENCE_WORDS
        ]
        first = _order(text, recipe.seed) % max(1, len(sentences))
        for sentence in (sentences[first:] + sentences[:first])[: recipe.sentences_each]:
            query = _as_searched(sentence, recipe)
            yield TrainingQuery(query, name, places[text], is_answered=False)


def _as_searched(sentence: str, recipe: ListRecipe) -> str:
    """Turn some sentences into a few of their words that stand together, as people search."""
    order = _order(sentence, recipe.seed)
    keywords = _keywords(sentence)
    if order % 1000 >= recipe.sentence_keyword_share * 1000 or len(keywords) < _SEARCH_WORDS[0]:
        return sentence
    count = _SEARCH_WORDS[order // 1000 % len(_SEARCH_WORDS)]
    start = order // 10000 % max(1, len(keywords) - count + 1)
    return " ".join(keywords[start : start + count])


def _keywords(text: str) -> list[str]:
    words = re.findall(r"[\w'.-]*\w", text)
    return [word for word in words if word.lower() not in _STOP_WORDS]
