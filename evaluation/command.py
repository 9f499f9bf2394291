"""``ranklet eval``: how well bundles rank, measured on test collections."""

import argparse
import sys
from itertools import chain
from pathlib import Path

import msgspec

from ranklet.runtime.command_line import add_variants
from ranklet.runtime.errors import InputError

from .errors import require_packages
from .request import DEFAULT_DEPTH, DEFAULT_METRICS, EvaluationRequest, Reading

_EPILOG = """\
A test collection is a folder in BEIR's layout: corpus.jsonl, queries.jsonl and qrels.tsv (or
qrels/test.tsv). What is reranked comes from bm25_top100.trec in the folder, from --run, or, where
there is neither, from the judged documents.

Scores are kept on disk as they come: the same command goes on where it was interrupted. Metrics
are those of ir-measures. Where relevance has grades, RR and AP want the lowest that counts, as in
RR(rel=2)@10.

examples:
  ranklet eval --model models/built/ranklet-mini --data scifact nfcorpus
  ranklet eval --model models/built/* --data scifact --run bm25 --html report.html
  ranklet eval --model DIR --data trec-dl-2019 --variant fp32 int8 --metrics 'nDCG@10,RR(rel=2)@10'
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    parser.epilog = _EPILOG
    _add_inputs(parser)
    parser.add_argument(
        "--metrics", default=DEFAULT_METRICS, metavar="LIST", help=f"default: {DEFAULT_METRICS}"
    )
    parser.add_argument("--workers", type=int, metavar="N", help="pairs scored at the same time")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write it as a page with charts")
    parser.add_argument(
        "--save-runs", type=Path, metavar="DIR", help="write each result as a TREC run file"
    )
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="where scores are kept (default: ranklet/evaluation in the user's cache)",
    )
    parser.add_argument(
        "--afresh", action="store_true", help="forget the scores that are kept, and score anew"
    )


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    for flag, what in (
        ("--model", "bundles; all variants are compared with the first"),
        ("--data", "test collections"),
    ):
        parser.add_argument(
            flag, required=True, type=Path, nargs="+", action="extend", metavar="DIR", help=what
        )
    parser.add_argument(
        "--run",
        metavar="RUN",
        help="a TREC run file, in each collection's folder or elsewhere; "
        "bm25 to search the corpus; judged to rerank the judged documents",
    )
    parser.add_argument(
        "--depth",
        type=int,
        default=DEFAULT_DEPTH,
        metavar="N",
        help="the most documents of a run or of bm25 to rerank for a query; judged documents are "
        f"all taken (default: {DEFAULT_DEPTH})",
    )
    parser.add_argument(
        "--qrels",
        metavar="FILE",
        help="the judgements, in each collection's folder or elsewhere "
        "(default: qrels.tsv or qrels/test.tsv)",
    )
    parser.add_argument(
        "--ignore-same-ids",
        action="store_true",
        help="leave out documents that have the query's id, as BEIR does",
    )
    parser.add_argument(
        "--max-length",
        type=int,
        metavar="N",
        help="tokens to read of a pair (default: the model's window)",
    )
    parser.add_argument(
        "--max-windows",
        type=int,
        default=1,
        metavar="N",
        help="overlapping windows to read of a long document (default: 1)",
    )
    add_variants(parser, "variants of each bundle (default: those that suit this machine)")


def run(arguments: argparse.Namespace) -> int:
    """Evaluate every variant on every collection and report; gives the exit status."""
    require_packages()
    from .evaluate import evaluate  # noqa: PLC0415 - `--help` need not wait for onnxruntime
    from .page import make_page  # noqa: PLC0415 - as above
    from .progress import progress_bars  # noqa: PLC0415 - as above
    from .saved_runs import save_runs  # noqa: PLC0415 - as above
    from .score_cache import default_cache_folder  # noqa: PLC0415 - as above
    from .table import print_tables  # noqa: PLC0415 - as above

    request = _request(arguments, cache_folder=arguments.cache or default_cache_folder())
    with progress_bars() as start:
        report, evaluated = evaluate(request, start)
    try:
        if arguments.save_runs:
            save_runs(arguments.save_runs, evaluated)
        if arguments.html:
            arguments.html.parent.mkdir(parents=True, exist_ok=True)
            arguments.html.write_text(make_page(report), encoding="utf-8")
    except OSError as error:
        message = f"cannot write {error.filename}: {error.strerror}"
        raise InputError(message) from error
    if arguments.json:
        output = msgspec.json.format(msgspec.json.encode(report), indent=1)
        sys.stdout.buffer.write(output + b"\n")
    else:
        print_tables(report)
    return 0


def _request(arguments: argparse.Namespace, *, cache_folder: Path) -> EvaluationRequest:
    return EvaluationRequest(
        models=tuple(arguments.model),
        data=tuple(arguments.data),
        run=arguments.run,
        qrels_name=arguments.qrels,
        depth=arguments.depth,
        ignores_same_ids=arguments.ignore_same_ids,
        variants=tuple(chain.from_iterable(arguments.variant)),
        metrics=arguments.metrics,
        reading=Reading(arguments.max_length, arguments.max_windows),
        workers=arguments.workers,
        cache_folder=cache_folder,
        is_afresh=arguments.afresh,
    )
