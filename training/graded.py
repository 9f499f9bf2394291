"""Queries whose passages were graded one by one: ``graded.jsonl.gz``, which comes with the recipe.

A cluster is eight passages and what was asked of them. In most, these are about nearly the same,
and a large language model wrote the queries; `source` says which set the passages are out of, or
that they were written as well. In the later ones a query, which people asked or the language model
wrote, stands beside the best candidates that models and BM25 found, or beside sentences of the
answering paragraph and of others; or it wrote eight passages as pages of results, where one or
several answer, wholly or in part, and those that do not share as many words with the query. In the
last ones all passages are of the sets again. The language model gave all grades.
"""

import gzip
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

CLUSTERS = Path(__file__).with_name("graded.jsonl.gz")

PASSAGES = 8
"""Of a cluster."""

LEAST_ANSWERING = 2
"""From this grade on, a passage answers: 3 directly and fully, 2 in part."""

RESULTS = "results"
"""The source of clusters that were written as what a search engine finds for their queries."""

Grade = Annotated[int, Meta(ge=0, le=3)]
"""1 is on the topic and helps a little, 0 does not answer, whatever words it shares."""


class GradedQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A query and the grade of each passage of its cluster."""

    text: str
    grades: list[Grade]


class Cluster(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Passages about nearly the same, and what was asked of them."""

    source: str
    """The set that the passages or the question are out of, "written", or ``RESULTS``."""
    is_held_out: bool
    """Whether no run trains on it: one in twelve, and the questions that are held out in a set."""
    passages: list[str]
    queries: list[GradedQuery]
    is_asked: bool = False
    """Whether people asked what stands in `queries`; else a language model wrote it."""

    def __post_init__(self) -> None:
        """Refuse passages that repeat, grades of others, and queries that nothing answers."""
        if len({*self.passages}) != PASSAGES or len(self.passages) != PASSAGES:
            message = f"a cluster has {PASSAGES} passages, no two the same: {self.passages}"
            raise ValueError(message)
        for query in self.queries:
            if len(query.grades) != PASSAGES or max(query.grades) < LEAST_ANSWERING:
                message = (
                    f"{query.text!r} wants {PASSAGES} grades, one of at least {LEAST_ANSWERING}"
                )
                raise ValueError(message)

    def draw(self, most: int, random: np.random.Generator) -> "Cluster":
        """Keep so many of the queries at most, drawn at random, in their order."""
        places = sorted(random.permutation(len(self.queries))[:most].tolist())
        return msgspec.structs.replace(self, queries=[self.queries[place] for place in places])


def read_clusters(path: Path, *, skipped: int = 0, count: int | None = None) -> Sequence[Cluster]:
    """Read ``count`` clusters behind the first ``skipped``, all of them where None.

    Raises:
        msgspec.ValidationError: a line is no cluster.
        ValueError: there are fewer.
        OSError, EOFError: the file is missing, cut off, or not compressed.
    """
    stop = None if count is None else skipped + count
    with gzip.open(path) as lines:
        clusters = [
            msgspec.json.decode(line, type=Cluster) for line in islice(lines, skipped, stop)
        ]
    if count is not None and len(clusters) < count:
        message = (
            f"{path} holds {len(clusters)} clusters behind the first {skipped}, fewer than the "
            f"{count} of the recipe"
        )
        raise ValueError(message)
    return clusters
