"""How the base itself ranks test collections, as a bi-encoder, alone and with BM25.

``python -m training.orientation --data DIR... --output FILE``: what a cross-encoder out of the base
has to beat, and how good its teacher is.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from ranklet.evaluation.collection import JudgedCollection, read_collection
from ranklet.evaluation.environment import describe_environment
from ranklet.evaluation.metrics import measure_run, parse_metrics
from ranklet.evaluation.progress import progress_bars

from .base import embed, load_tokenizer, tokenize
from .bm25 import Bm25
from .evaluate import name_data_folder
from .recipe import ListSettings, read_list_recipe
from .texts import Texts

_METRICS = "nDCG@10,RR,AP"
_TOKENS_AT_MOST = 512
"""Of a document, for BM25; the bi-encoder reads what its window holds."""

Scores = NDArray[np.floating]


def main() -> None:
    """Embed, score, measure; print each collection's figures as lines of JSON."""
    arguments = _parser().parse_args()
    settings = read_list_recipe(arguments.recipe).lists
    rows: list[dict[str, object]] = []
    for folder in arguments.data:
        rows += _rows(read_collection(folder, depth=arguments.depth), settings)
        print(*map(json.dumps, rows[-2:]), sep="\n", flush=True)
    if arguments.output is not None:
        report = {"environment": _environment(), "depth": arguments.depth, "rows": rows}
        arguments.output.write_text(json.dumps(report, indent=1) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.orientation", description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, nargs="+", required=True, help="test collections")
    add(
        "--recipe",
        type=Path,
        default=Path(__file__).with_name("second.yaml"),
        help="the weights of cosine and BM25",
    )
    add("--depth", type=int, default=100)
    add("--output", type=Path, help="file for the report")
    return parser


def _rows(collection: JudgedCollection, settings: ListSettings) -> list[dict[str, object]]:
    """Measure each scorer on a collection."""
    metrics = parse_metrics(_METRICS)
    rows: list[dict[str, object]] = []
    for name, scores in _score(collection, settings).items():
        run = {
            task.query_id: dict(zip(task.document_ids, found.tolist(), strict=True))
            for task, found in zip(collection.tasks, scores, strict=True)
        }
        found = measure_run(metrics, collection.qrels, run)
        quality = {metric: value.mean for metric, value in found.items()}
        rows.append({"collection": collection.name, "scorer": name, "quality": quality})
    return rows


def _score(collection: JudgedCollection, settings: ListSettings) -> Mapping[str, Sequence[Scores]]:
    """Score each query's candidates.

    Returns:
        By the scorer's name, an array of shape (candidates,) for each query.
    """
    documents = list(dict.fromkeys(text for task in collection.tasks for text in task.documents))
    place_of = {text: place for place, text in enumerate(documents)}
    tokenizer = load_tokenizer()
    passages = Texts.of(tokenize(tokenizer, documents, at_most=_TOKENS_AT_MOST))
    queries = Texts.of(
        tokenize(tokenizer, [task.query for task in collection.tasks], at_most=_TOKENS_AT_MOST)
    )
    with progress_bars() as start:
        advance = start(f"embed {collection.name}", len(passages) + len(queries))
        vectors, query_vectors = (
            embed(texts, device="cpu", advance=advance) for texts in (passages, queries)
        )
    index = Bm25(passages, vocabulary=tokenizer.get_vocab_size(), device="cpu")
    cosines: list[Scores] = []
    mixed: list[Scores] = []
    for place, task in enumerate(collection.tasks):
        places = [place_of[text] for text in task.documents]
        cosine = (vectors[places] @ query_vectors[place]).numpy()
        bm25 = index.score([queries[place]])[0, places].numpy()
        cosines.append(cosine)
        mixed.append(settings.cosine_scale * cosine + settings.bm25_scale * bm25)
    name = f"{settings.cosine_scale:g} x cosine + {settings.bm25_scale:g} x BM25"
    return {"cosine": cosines, name: mixed}


def _environment() -> dict[str, object]:
    environment = describe_environment(workers=None)
    command = shlex.join(["python", "-m", "training.orientation", *sys.argv[1:]])
    versions = {package: version(package) for package in ("torch", "transformers")}
    known: dict[str, object] = msgspec.to_builtins(environment)
    return known | {
        "command": name_data_folder(command),
        "versions": environment.versions | versions,
    }


if __name__ == "__main__":
    main()
