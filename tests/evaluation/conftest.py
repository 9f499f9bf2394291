"""A collection of a few queries, written anew for each test so that tests may damage it."""

import importlib.util
import json
from pathlib import Path

import pytest

# The modules under test import what the extra `eval` brings: nothing can be tested without it.
_HAS_EXTRA = all(importlib.util.find_spec(name) for name in ("bm25s", "ir_measures", "scipy"))
collect_ignore_glob = [] if _HAS_EXTRA else ["test_*.py"]

DOCUMENTS = {
    "paris": ("Paris", "the capital city of france"),
    "river": ("", "a long river by the city"),
    "soap": ("Organic soap", "clean and natural"),
    "moon": ("Moon", "old and far at night"),
    "bread": ("", "bread and milk"),
}
QUERIES = {
    "q1": "capital city of france",
    "q2": "organic soap natural",
    "q3": "moon at night",
    "unjudged": "bread",
}
# q3's relevant document is not the one that the words point to.
JUDGEMENTS = [
    ("q1", "paris", 2),
    ("q1", "river", 1),
    ("q1", "bread", 0),
    ("q2", "soap", 1),
    ("q2", "moon", 0),
    ("q3", "bread", 1),
    ("q3", "moon", 0),
]
RUN = [
    ("q1", "river", 3.0),
    ("q1", "paris", 2.0),
    ("q1", "soap", 1.0),
    ("q2", "soap", 2.5),
    ("q2", "bread", 0.5),
    ("q3", "moon", 4.0),
    ("q3", "bread", 3.5),
    ("unjudged", "bread", 1.0),
]


def write_collection(folder: Path, *, run: bool = True) -> Path:
    folder.mkdir()
    corpus = [{"_id": name, "title": t, "text": text} for name, (t, text) in DOCUMENTS.items()]
    queries = [{"_id": name, "text": text} for name, text in QUERIES.items()]
    for name, entries in (("corpus", corpus), ("queries", queries)):
        lines = "\n".join(json.dumps(entry) for entry in entries)
        (folder / f"{name}.jsonl").write_text(lines + "\n")
    rows = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, row)) for row in JUDGEMENTS)]
    (folder / "qrels.tsv").write_text("\n".join(rows) + "\n")
    if run:
        lines = "\n".join(f"{query} Q0 {document} 0 {score} bm25" for query, document, score in RUN)
        (folder / "bm25_top100.trec").write_text(lines + "\n")
    return folder


@pytest.fixture
def collection_folder(tmp_path: Path) -> Path:
    return write_collection(tmp_path / "few")


@pytest.fixture
def folder_without_run(tmp_path: Path) -> Path:
    return write_collection(tmp_path / "judged", run=False)
