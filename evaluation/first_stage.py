"""The first stage: which documents are there to be reranked for each query."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from .beir import Qrels
from .errors import CollectionError
from .trec import Retrieved, Scores, read_run

RUN_NAME = "bm25_top100.trec"
"""A run of this name in a collection's folder is found by itself."""

BM25 = "bm25"
JUDGED = "judged"


@dataclass(frozen=True, slots=True)
class FirstStage:
    """What was found for the judged queries."""

    name: str
    """What found it: the run file's name, ``bm25`` or ``judged``."""
    path: Path
    """The file that names the documents, for messages."""
    retrieved: dict[str, list[Retrieved]]
    """By query id, best first; a query for which nothing was found is left out."""
    is_ranked: bool
    """False for judged candidates, which come in no order that could be measured."""

    @property
    def documents(self) -> set[str]:
        """Ids of all documents that were found for any query."""
        return {one.document for found in self.retrieved.values() for one in found}

    def without_same_ids(self, *, depth: int) -> Self:
        """Leave out documents that have the id of the query, as BEIR does, and cut what is ranked.

        Raises:
            CollectionError: nothing else was found for any query.
        """
        retrieved = {
            query: [one for one in found if one.document != query]
            for query, found in self.retrieved.items()
        }
        left = {query: found for query, found in retrieved.items() if found}
        if not left:
            raise CollectionError(
                self.path, None, "gives queries nothing but documents of their id"
            )
        if self.is_ranked:
            left = {query: found[:depth] for query, found in left.items()}
        return replace(self, retrieved=left)

    @property
    def scores(self) -> Scores:
        """The first stage as a run."""
        return {
            query: {one.document: one.score for one in found}
            for query, found in self.retrieved.items()
        }


def locate_run(folder: Path, run: str | None) -> Path | None:
    """Find the run file: ``run`` within the folder or as it stands, or the one found by itself."""
    if run is None:
        return folder / RUN_NAME if (folder / RUN_NAME).is_file() else None
    if run in {BM25, JUDGED}:
        return None
    return folder / run if (folder / run).is_file() else Path(run)


def from_run_file(path: Path, qrels: Qrels, *, depth: int) -> FirstStage:
    """Take the best ``depth`` documents of each judged query from a TREC run file.

    Raises:
        CollectionError: the file is missing or malformed, or has none of the judged queries.
    """
    run = read_run(path)
    retrieved = {query: run[query][:depth] for query in qrels if query in run}
    if not retrieved:
        raise CollectionError(path, None, "holds no query that the collection judges")
    return FirstStage(path.name, path, retrieved, is_ranked=True)


def from_judgements(path: Path, qrels: Qrels) -> FirstStage:
    """Take the documents that were judged for each query.

    They are ordered by id: judgements often list the relevant documents first, and where a model
    cannot tell two documents apart their order counts.

    Raises:
        CollectionError: only relevant documents were judged, so any ranking would be perfect.
    """
    if all(relevance > 0 for judged in qrels.values() for relevance in judged.values()):
        problem = (
            "judges relevant documents only, so there is nothing to tell apart; "
            f"name a run or say --run {BM25}"
        )
        raise CollectionError(path, None, problem)
    retrieved = {
        query: [Retrieved(document, 0.0) for document in sorted(judged)]
        for query, judged in qrels.items()
    }
    return FirstStage(JUDGED, path, retrieved, is_ranked=False)


def from_bm25(
    folder: Path, queries: Mapping[str, str], documents: Mapping[str, str], *, depth: int
) -> FirstStage:
    """Search the whole corpus by BM25.

    Raises:
        CollectionError: the corpus is empty or shares no word with any query.
    """
    from .bm25 import retrieve  # noqa: PLC0415 - only who asks for it waits for it

    path = folder / "corpus.jsonl"
    found = retrieve(queries, documents, depth=depth)
    retrieved = {query: documents for query, documents in found.items() if documents}
    if not retrieved:
        problem = (
            "shares no word with any judged query (two letters or more, between blanks and signs); "
            "text that is written without blanks needs another retriever's run: --run FILE"
        )
        raise CollectionError(path, None, problem)
    return FirstStage(BM25, path, retrieved, is_ranked=True)
