"""``ranklet score``: rank documents from a file or standard input."""

import argparse
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from .errors import InputError
from .ranking import RankedDocument

_EPILOG = """\
FILE holds one document a line (blank lines are skipped), or JSON lines with "text" and, if you
like, "id" or BEIR's "_id", and "title", which is read before the text:

  {"id": "doc-7", "text": "Natural organic skincare range for sensitive skin"}

examples:
  ranklet score --model models/built/ranklet-mini --query "organic skincare" documents.txt
  cat documents.jsonl | ranklet score --model DIR --query "organic skincare" --top-n 3 --json -
"""


@dataclass(frozen=True, slots=True)
class _Document:
    text: str
    id: str | int | None = None


class _JsonDocument(msgspec.Struct):
    text: str
    id: str | int | None = None
    title: str | None = None
    beir_id: str | int | None = msgspec.field(name="_id", default=None)

    @property
    def document(self) -> _Document:
        """What is ranked: title and text joined as BEIR joins them."""
        text = f"{self.title} {self.text}".strip() if self.title else self.text
        return _Document(text, self.beir_id if self.id is None else self.id)


class _Result(msgspec.Struct, omit_defaults=True):
    index: int
    score: float
    text: str
    id: str | int | None = None


class _Output(msgspec.Struct):
    query: str
    model: str
    results: list[_Result]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    parser.epilog = _EPILOG
    parser.add_argument("--model", required=True, metavar="DIR", help="the bundle's folder")
    parser.add_argument("--query", required=True, metavar="Q", help="what the documents are for")
    parser.add_argument("--top-n", type=int, metavar="N", help="show the best N only")
    parser.add_argument(
        "--raw-scores", action="store_true", help="show logits instead of probabilities"
    )
    parser.add_argument(
        "--max-windows",
        type=int,
        default=1,
        metavar="N",
        help="read a long document in up to N windows, of which the best counts (default: 1)",
    )
    parser.add_argument("--variant", metavar="NAME", help="run this variant of the bundle")
    parser.add_argument("--workers", type=int, metavar="N", help="pairs scored at the same time")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "file", nargs="?", default="-", metavar="FILE", help="documents; - is standard input"
    )


def run(arguments: argparse.Namespace) -> int:
    """Rank the documents and print them; gives the exit status."""
    from .reranker import Reranker  # noqa: PLC0415 - `--help` need not wait for onnxruntime
    from .text_encoding import repaired  # noqa: PLC0415 - as above

    documents = _read(arguments.file)
    with Reranker.open(
        arguments.model, variant=arguments.variant, workers=arguments.workers
    ) as reranker:
        ranking = reranker.rerank(
            arguments.query,
            [document.text for document in documents],
            top_n=arguments.top_n,
            raw_scores=arguments.raw_scores,
            max_windows=arguments.max_windows,
        )
        name = reranker.name
    if arguments.json:
        _print_json(repaired(arguments.query), name, documents, ranking)
    else:
        _print_table(documents, ranking)
    return 0


def _read(name: str) -> list[_Document]:
    try:
        content = _read_standard_input() if name == "-" else Path(name).read_bytes()
        # Windows' tools put a byte order mark first.
        lines = content.decode().removeprefix("\ufeff").split("\n")
    except OSError as error:
        message = f"cannot read {name}: {error.strerror}"
        raise InputError(message) from error
    except UnicodeDecodeError as error:
        message = f"{name} is not UTF-8: {error.reason} at byte {error.start}; convert it first"
        raise InputError(message) from error
    return _parse([line.rstrip("\r") for line in lines])


def _read_standard_input() -> bytes:
    if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison] - so Python has it
        message = "standard input is closed; name a file of documents"
        raise InputError(message)
    return sys.stdin.buffer.read()


def _parse(lines: list[str]) -> list[_Document]:
    """Make documents of lines that are not blank: JSON if the first one is, else plain text."""
    filled = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not filled or not filled[0][1].lstrip().startswith("{"):
        return [_Document(line) for _, line in filled]
    return [_parse_json(number, line) for number, line in filled]


def _parse_json(number: int, line: str) -> _Document:
    try:
        parsed = msgspec.json.decode(line, type=_JsonDocument)
    except (msgspec.DecodeError, RecursionError) as error:
        message = f'line {number} is not a JSON object with "text" and perhaps "id": {error}'
        raise InputError(message) from error
    return parsed.document


def _print_json(
    query: str, model: str, documents: list[_Document], ranking: Iterable[RankedDocument]
) -> None:
    results = [
        _Result(
            ranked.index, ranked.score, documents[ranked.index].text, documents[ranked.index].id
        )
        for ranked in ranking
    ]
    output = msgspec.json.format(msgspec.json.encode(_Output(query, model, results)), indent=2)
    sys.stdout.buffer.write(output + b"\n")
    sys.stdout.buffer.flush()


def _print_table(documents: list[_Document], ranking: Iterable[RankedDocument]) -> None:
    columns = shutil.get_terminal_size().columns
    print(f"{'rank':>4}  {'score':>9}  {'document':<10}  text")
    for place, ranked in enumerate(ranking, 1):
        document = documents[ranked.index]
        name = str(ranked.index if document.id is None else document.id)
        start = f"{place:>4}  {ranked.score:>9.4f}  {name:<10}  "
        text = " ".join(document.text.split())
        print(start + _shortened(text, max(20, columns - len(start))))


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
