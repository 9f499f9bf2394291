"""Queries and candidates that are no test collection, to choose between ways to quantize.

A fixed share of the rows of each training set, drawn by a checksum of the query. Candidates are
what BM25 finds among the documents of that share.
"""

import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import msgspec

from ranklet.evaluation.bm25 import retrieve
from ranklet.evaluation.metrics import measure_run, parse_metrics

SETS = ("squad11_train", "medquad", "doc_python3", "stackexchange_coffee")
"""Wikipedia, medicine, documentation and a forum: questions and titles, short and long texts."""

_SHARE = 20
"""One row in so many is held out."""

_DOCUMENTS_IN_SET = 400
_QUERIES_IN_SET = 15
_CANDIDATES = 12


class _Row(msgspec.Struct, frozen=True):
    query: str
    positive: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A document to be scored for a query, both by their ids."""

    query: str
    document: str


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Queries, documents, which of them belong together, and what is to be ranked."""

    queries: dict[str, str]
    documents: dict[str, str]
    qrels: dict[str, dict[str, int]]
    candidates: tuple[Candidate, ...]

    def texts(self) -> Iterator[tuple[str, str]]:
        """Give query and document of each candidate."""
        for candidate in self.candidates:
            yield self.queries[candidate.query], self.documents[candidate.document]

    def ndcg(self, logits: Sequence[float]) -> float:
        """Give nDCG@10 in the mean over the queries, for logits in the order of the candidates."""
        scores: dict[str, dict[str, float]] = {query: {} for query in self.queries}
        for candidate, logit in zip(self.candidates, logits, strict=True):
            scores[candidate.query][candidate.document] = logit
        (metric,) = parse_metrics("nDCG@10")
        return measure_run([metric], self.qrels, scores)["nDCG@10"].mean


def load_held_out(folder: Path) -> HeldOut:
    """Read the held-out share of ``SETS``, files of ``query`` and ``positive`` in ``folder``."""
    whole = HeldOut({}, {}, {}, ())
    candidates: list[Candidate] = []
    for name in SETS:
        rows = _held_out_rows(folder / f"{name}.jsonl.gz")
        texts = list(dict.fromkeys(row.positive for row in rows))
        ids = {text: f"{name}-{place}" for place, text in enumerate(texts)}
        documents = {document: text for text, document in ids.items()}
        queries = {f"{name}-{i}": row.query for i, row in enumerate(rows[:_QUERIES_IN_SET])}
        qrels = {query: {ids[row.positive]: 1} for query, row in zip(queries, rows, strict=False)}
        for query, found in retrieve(queries, documents, depth=_CANDIDATES).items():
            wanted = dict.fromkeys([*qrels[query], *(document.document for document in found)])
            candidates += [Candidate(query, document) for document in wanted]
        whole.queries.update(queries)
        whole.documents.update(documents)
        whole.qrels.update(qrels)
    return HeldOut(whole.queries, whole.documents, whole.qrels, tuple(candidates))


def _held_out_rows(path: Path) -> list[_Row]:
    with gzip.open(path) as lines:
        rows = (msgspec.json.decode(line, type=_Row) for line in lines)
        held_out = [row for row in rows if crc32(row.query.encode()) % _SHARE == 0]
    held_out.sort(key=lambda row: crc32(row.positive.encode()))
    return held_out[:_DOCUMENTS_IN_SET]
