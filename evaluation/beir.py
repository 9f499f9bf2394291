"""Reading folders in BEIR's layout (https://github.com/beir-cellar/beir), line by line.

corpus.jsonl    {"_id": "d1", "title": "...", "text": "..."}
queries.jsonl   {"_id": "q1", "text": "..."}
qrels.tsv       query-id, corpus-id and score, with tabs between, below a line of these names;
                or qrels/test.tsv, as BEIR's own archives have it
"""

import json
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import msgspec

from .errors import CollectionError, CollectionFileMissingError

Qrels = dict[str, dict[str, int]]
"""Judgements: relevance by the document's id, by the query's id."""

_QRELS_NAMES = ("qrels.tsv", "qrels/test.tsv")
_QRELS_HEADER = ["query-id", "corpus-id", "score"]
_LARGEST_RELEVANCE = 1_000_000
"""trec_eval counts the documents of each relevance up to the largest that there is."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_LAYOUT_HINT = "a test collection has corpus.jsonl, queries.jsonl and qrels.tsv"


class _DocumentLine(msgspec.Struct):
    id: str | int = msgspec.field(name="_id")
    text: str
    title: str | None = None

    @property
    def content(self) -> str:
        """Title and text joined as BEIR joins them."""
        return f"{self.title or ''} {self.text}".strip()


class _QueryLine(msgspec.Struct):
    id: str | int = msgspec.field(name="_id")
    text: str

    @property
    def content(self) -> str:
        return self.text


def read_documents(folder: Path, wanted: Collection[str] | None = None) -> dict[str, str]:
    """Read the corpus.

    Args:
        folder: The collection's folder.
        wanted: Ids of the documents to keep; all where None.

    Returns:
        Each document's title and text, joined by a space, by its id.

    Raises:
        CollectionError: the file is missing, or a line is not a document or has an id twice.
    """
    return _read_texts(folder / "corpus.jsonl", _DocumentLine, wanted)


def read_queries(folder: Path, wanted: Collection[str] | None = None) -> dict[str, str]:
    """Read the queries' texts by their ids; arguments and errors as for ``read_documents``."""
    return _read_texts(folder / "queries.jsonl", _QueryLine, wanted)


def _read_texts(
    path: Path, kind: type[_DocumentLine | _QueryLine], wanted: Collection[str] | None
) -> dict[str, str]:
    decode: Callable[[str], _DocumentLine | _QueryLine] = msgspec.json.Decoder(kind).decode
    texts: dict[str, str] = {}
    seen: set[str] = set()
    for number, line in read_lines(path, hint=_LAYOUT_HINT):
        try:
            entry = decode(line)
        except (msgspec.DecodeError, RecursionError) as error:
            raise CollectionError(path, number, _problem(line, error)) from error
        name = str(entry.id)
        if name in seen:
            raise CollectionError(path, number, f"the _id {name!r} is there a second time")
        seen.add(name)
        if wanted is None or name in wanted:
            texts[name] = entry.content
    return texts


def _problem(line: str, error: Exception) -> str:
    """Say what is wrong; half a surrogate pair is what msgspec has no words for."""
    try:
        text = json.dumps(json.loads(line), ensure_ascii=False)
    except (ValueError, RecursionError):
        return str(error)
    if (lone := _SURROGATE.search(text)) is None:
        return str(error)
    return f"the escape \\u{ord(lone[0]):04x} is half of a surrogate pair and no character"


def find_qrels(folder: Path, name: str | None = None) -> Path:
    """Give the path of the judgements.

    Args:
        folder: The collection's folder.
        name: A file in it or elsewhere; where None, one of the layout's own.

    Raises:
        CollectionFileMissingError: there are none.
    """
    if name is not None:
        return folder / name if (folder / name).is_file() else Path(name)
    for known in _QRELS_NAMES:
        if (folder / known).is_file():
            return folder / known
    first, other = _QRELS_NAMES
    hint = f"neither does {other}; {_LAYOUT_HINT}"
    raise CollectionFileMissingError(folder / first, hint=hint)


def read_qrels(path: Path) -> Qrels:
    """Read judgements.

    Raises:
        CollectionError: a line is not a judgement or judges what was judged before, or no document
            is relevant to any query.
    """
    qrels: Qrels = {}
    for number, line in read_lines(path, hint=_LAYOUT_HINT):
        fields = line.split("\t")
        if number == 1 and fields == _QRELS_HEADER:
            continue
        query, document, relevance = _parse_judgement(path, number, fields)
        judged = qrels.setdefault(query, {})
        if document in judged:
            problem = f"document {document!r} is judged a second time for query {query!r}"
            raise CollectionError(path, number, problem)
        judged[document] = relevance
    if not qrels:
        raise CollectionError(path, None, "holds no judgements")
    if not any(relevance > 0 for judged in qrels.values() for relevance in judged.values()):
        raise CollectionError(path, None, "judges no document relevant: no score is above 0")
    return qrels


def _parse_judgement(path: Path, number: int, fields: list[str]) -> tuple[str, str, int]:
    try:
        query, document, score = fields
        relevance = int(score)
    except ValueError as error:
        problem = (
            "expected query-id, corpus-id and score (a whole number) with tabs between, "
            f"found {fields!r}"
        )
        raise CollectionError(path, number, problem) from error
    if abs(relevance) > _LARGEST_RELEVANCE:
        problem = f"the score {score} is beyond {_LARGEST_RELEVANCE:,}"
        raise CollectionError(path, number, problem)
    return query, document, relevance


def read_lines(path: Path, *, hint: str) -> Iterator[tuple[int, str]]:
    """Give the lines that are not blank with their numbers, counted from 1.

    Raises:
        CollectionError: the file is missing (``hint`` says what to do) or not UTF-8.
    """
    try:
        stream = path.open("rb")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CollectionFileMissingError(path, hint=hint) from error
    except OSError as error:
        raise CollectionError(path, None, f"cannot be read: {error.strerror}") from error
    with stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                # The first one may begin with a byte order mark.
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                problem = f"is not UTF-8: {error.reason} at byte {error.start} of the line"
                raise CollectionError(path, number, problem) from error
