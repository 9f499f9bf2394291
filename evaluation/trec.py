"""TREC run files: ``query Q0 document rank score tag``, one retrieved document a line."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ranklet.runtime.errors import InputError

from .beir import read_lines
from .errors import CollectionError

Scores = dict[str, dict[str, float]]
"""A run: the documents' scores by their ids, by the query's id."""

_COLUMNS = 6


@dataclass(frozen=True, slots=True)
class Retrieved:
    """A document that a first stage found for a query."""

    document: str
    score: float
    line: int | None = None
    """Where in the run file it stands."""


def read_run(path: Path) -> dict[str, list[Retrieved]]:
    """Read a run.

    Returns:
        What was retrieved for each query, best score first; equal scores keep the file's order. The
        rank column is ignored, as trec_eval does it.

    Raises:
        CollectionError: the file is missing, a line is malformed or names a document again.
    """
    run: dict[str, list[Retrieved]] = {}
    seen: set[tuple[str, str]] = set()
    for number, line in read_lines(path, hint="name a TREC run file, or say --run bm25"):
        query, retrieved = _parse(path, number, line)
        if (query, retrieved.document) in seen:
            problem = f"document {retrieved.document!r} is there again for query {query!r}"
            raise CollectionError(path, number, problem)
        seen.add((query, retrieved.document))
        run.setdefault(query, []).append(retrieved)
    return {query: sorted(found, key=lambda one: -one.score) for query, found in run.items()}


def _parse(path: Path, number: int, line: str) -> tuple[str, Retrieved]:
    fields = line.split()
    if len(fields) != _COLUMNS:
        problem = f"expected six columns (query Q0 document rank score tag), found {len(fields)}"
        raise CollectionError(path, number, problem)
    query, _, document, _, score, _ = fields
    try:
        value = float(score)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise CollectionError(path, number, f"the score {score!r} is not a number")
    return query, Retrieved(document, value, number)


def write_run(path: Path, scores: Mapping[str, Mapping[str, float]], *, tag: str) -> None:
    """Write a run that trec_eval and its kin read.

    Args:
        path: The file to write; its folder is made.
        scores: Written with nine digits, which tell any two float32 apart.
        tag: Names the system; blanks in it become underscores.

    Raises:
        InputError: an id holds a blank, which the format cannot carry.
    """
    name = "_".join(tag.split())
    lines: list[str] = []
    for query, documents in scores.items():
        ranked = sorted(documents.items(), key=lambda item: -item[1])
        for place, (document, score) in enumerate(ranked, 1):
            if len(query.split()) != 1 or len(document.split()) != 1:
                message = f"{path}: a TREC run has no place for the id {query!r} or {document!r}"
                raise InputError(message)
            lines.append(f"{query} Q0 {document} {place} {score:.9g} {name}\n")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines), encoding="utf-8")
