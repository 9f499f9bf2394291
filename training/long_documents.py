"""Make a collection of long documents out of held-out pairs: how much of one is best read?

``python -m training.long_documents --data DIR --output DIR``, then ``ranklet eval --run bm25
--depth 20 --metrics RR --data DIR`` with several ``--max-length``. The development slice cannot
tell: its passages have 300 words at most, and most of them far fewer.
"""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from zlib import crc32

from .pairs import Row, is_held_out, read_set

_SETS = (
    "medquad openstax_bio_psych doc_python3 doc_postgresql doc_django doc_rust doc_nodejs "
    "doc_cppreference doc_apache2 doc_sqlite foldoc squad11_train"
).split()
"""Those that have long documents and do not find nearly all of them by shared words."""

_LEAST_WORDS = 200
"""Of a document that answers; a word is one to two tokens."""

_QUERIES_OF_A_SET = 50


def main() -> None:
    """Choose queries, write them with all documents of their sets."""
    parser = argparse.ArgumentParser(prog="python -m training.long_documents", description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of SET.jsonl.gz")
    add("--output", type=Path, required=True, help="the collection's folder")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    rows = {name: read_set(arguments.data, name) for name in _SETS}
    texts = dict.fromkeys(row.positive for found in rows.values() for row in found)
    places = {text: f"d{place}" for place, text in enumerate(texts)}
    chosen = [row for found in rows.values() for row in _choose(found)]
    queries = {f"q{place}": row for place, row in enumerate(chosen)}
    _write(arguments.output / "corpus.jsonl", ((place, text) for text, place in places.items()))
    _write(arguments.output / "queries.jsonl", ((key, row.query) for key, row in queries.items()))
    judged = [f"{key}\t{places[row.positive]}\t1" for key, row in queries.items()]
    lines = ["query-id\tcorpus-id\tscore", *judged]
    (arguments.output / "qrels.tsv").write_text("\n".join(lines) + "\n")
    print(f"{arguments.output}: {len(queries)} queries, {len(places)} documents")


def _choose(rows: Iterable[Row]) -> list[Row]:
    found = [row for row in rows if is_held_out(row) and _is_long(row)]
    return sorted(found, key=lambda row: crc32(row.query.encode(), 1))[:_QUERIES_OF_A_SET]


def _is_long(row: Row) -> bool:
    return len(row.positive.split()) >= _LEAST_WORDS


def _write(path: Path, texts: Iterable[tuple[str, str]]) -> None:
    with path.open("w") as lines:
        for key, text in texts:
            lines.write(json.dumps({"_id": key, "text": text}) + "\n")


if __name__ == "__main__":
    main()
