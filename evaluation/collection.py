"""Test collections, read and ready to be reranked."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import beir, first_stage
from .beir import Qrels
from .errors import CollectionError
from .first_stage import FirstStage


@dataclass(frozen=True, slots=True)
class Task:
    """One query and the documents to rerank for it."""

    query_id: str
    query: str
    document_ids: tuple[str, ...]
    """In the order of the first stage."""
    documents: tuple[str, ...]
    """Their texts."""


@dataclass(frozen=True, slots=True)
class JudgedCollection:
    """Queries, what the first stage found for them, and judgements."""

    name: str
    qrels: Qrels
    first_stage: FirstStage
    tasks: tuple[Task, ...]
    digest: str
    """sha256 of all texts and ids that are scored: equal digests have equal scores."""

    @property
    def pairs(self) -> int:
        """How many pairs of a query and a document there are to score."""
        return sum(len(task.documents) for task in self.tasks)


def read_collection(  # noqa: PLR0913 - each is an option of the command
    folder: Path,
    *,
    name: str | None = None,
    run: str | None = None,
    qrels_name: str | None = None,
    depth: int = 100,
    ignores_same_ids: bool = False,
) -> JudgedCollection:
    """Read a folder in BEIR's layout.

    Args:
        folder: Holds ``corpus.jsonl``, ``queries.jsonl`` and ``qrels.tsv``.
        name: What to call it; the folder's name where None.
        run: A TREC run file, in the folder or elsewhere; ``bm25`` to search the corpus;
            ``judged`` for the judged documents. Where None, ``bm25_top100.trec`` in the folder,
            and the judged documents where it is not there.
        qrels_name: The judgements' file, in the folder or elsewhere; where None, ``qrels.tsv`` or
            ``qrels/test.tsv``.
        depth: The most documents to rerank for a query; judged documents are all taken.
        ignores_same_ids: Leave out documents that have the id of the query.

    Raises:
        CollectionError: a file is missing, malformed or names what another one does not hold.
    """
    qrels_path = beir.find_qrels(folder, qrels_name)
    qrels = beir.read_qrels(qrels_path)
    queries = _read_judged_queries(folder, qrels)
    documents: dict[str, str] | None = None
    wanted = depth + ignores_same_ids
    if run == first_stage.BM25:
        documents = beir.read_documents(folder)
        found = first_stage.from_bm25(folder, queries, documents, depth=wanted)
    elif (path := first_stage.locate_run(folder, run)) is not None:
        found = first_stage.from_run_file(path, qrels, depth=wanted)
    else:
        found = first_stage.from_judgements(qrels_path, qrels)
    if ignores_same_ids:
        found = found.without_same_ids(depth=depth)
    if documents is None:
        documents = beir.read_documents(folder, found.documents)
    tasks = tuple(_make_tasks(queries, found, documents))
    return JudgedCollection(name or folder.resolve().name, qrels, found, tasks, _digest(tasks))


def _read_judged_queries(folder: Path, qrels: Qrels) -> dict[str, str]:
    """Read the queries that are judged, in the order of the judgements."""
    queries = beir.read_queries(folder, qrels)
    for query in qrels:
        if query not in queries:
            problem = f"has no query {query!r}, which is judged"
            raise CollectionError(folder / "queries.jsonl", None, problem)
    return {query: queries[query] for query in qrels}


def _make_tasks(
    queries: dict[str, str], found: FirstStage, documents: dict[str, str]
) -> Iterator[Task]:
    for query, retrieved in found.retrieved.items():
        for one in retrieved:
            if one.document not in documents:
                problem = f"document {one.document!r} is not in corpus.jsonl"
                raise CollectionError(found.path, one.line, problem)
        ids = tuple(one.document for one in retrieved)
        yield Task(query, queries[query], ids, tuple(documents[name] for name in ids))


def _digest(tasks: Sequence[Task]) -> str:
    digest = hashlib.sha256()
    for task in tasks:
        for text in (task.query_id, task.query, *task.document_ids, *task.documents):
            content = text.encode()
            digest.update(len(content).to_bytes(8, "big"))
            digest.update(content)
        digest.update(b"\n")
    return digest.hexdigest()
