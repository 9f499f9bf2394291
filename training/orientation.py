"""How the teacher ranks test collections, and each of the bi-encoders in it.

``python -m training.orientation --data DIR... --output FILE``: what a cross-encoder has to beat,
and what it can learn.
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
from torch import Tensor

from ranklet.evaluation.collection import JudgedCollection, read_collection
from ranklet.evaluation.environment import describe_environment
from ranklet.evaluation.metrics import measure_run, parse_metrics
from ranklet.evaluation.progress import progress_bars

from .base import load_tokenizer, tokenize
from .bi_encoders import BiEncoders
from .bm25 import Bm25
from .evaluate import name_data_folder
from .recipe import BiEncoderName, ListSettings, read_list_recipe
from .texts import Texts

_METRICS = "nDCG@10,RR,AP"
_TOKENS_AT_MOST = 512
"""Of a document, for BM25; the bi-encoder reads what its window holds."""

Scores = NDArray[np.floating]


def main() -> None:
    """Embed, score, measure; print each collection's figures as lines of JSON."""
    arguments = _parser().parse_args()
    settings = read_list_recipe(arguments.recipe).lists
    try:
        bi_encoders = BiEncoders(settings.bi_encoders, device="cpu")
    except (FileNotFoundError, ValueError) as error:
        sys.exit(str(error))
    rows: list[dict[str, object]] = []
    for folder in arguments.data:
        collection = read_collection(folder, depth=arguments.depth)
        found = _rows(collection, settings, bi_encoders)
        print(*map(json.dumps, found), sep="\n", flush=True)
        rows += found
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
        default=Path(__file__).with_name("recipes") / "fourth.yaml",
        help="which bi-encoders and how much of BM25",
    )
    add("--depth", type=int, default=100)
    add("--output", type=Path, help="file for the report")
    return parser


def _rows(
    collection: JudgedCollection, settings: ListSettings, bi_encoders: BiEncoders
) -> list[dict[str, object]]:
    """Measure each scorer on a collection."""
    metrics = parse_metrics(_METRICS)
    rows: list[dict[str, object]] = []
    for name, scores in _score(collection, settings, bi_encoders).items():
        run = {
            task.query_id: dict(zip(task.document_ids, found.tolist(), strict=True))
            for task, found in zip(collection.tasks, scores, strict=True)
        }
        found = measure_run(metrics, collection.qrels, run)
        quality = {metric: value.mean for metric, value in found.items()}
        rows.append({"collection": collection.name, "scorer": name, "quality": quality})
    return rows


def _score(
    collection: JudgedCollection, settings: ListSettings, bi_encoders: BiEncoders
) -> Mapping[str, Sequence[Scores]]:
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
    members = bi_encoders.members
    index = Bm25(passages, vocabulary=tokenizer.get_vocab_size(), device="cpu")
    found: dict[str, list[Scores]] = {}
    with progress_bars() as start:
        advance = start(f"embed {collection.name}", len(members) * (len(passages) + len(queries)))
        vectors: dict[BiEncoderName, list[Tensor]] = {
            name: [member.embed(texts, advance=advance) for texts in (passages, queries)]
            for name, member in members.items()
        }
    for place, task in enumerate(collection.tasks):
        places = [place_of[text] for text in task.documents]
        cosines: dict[BiEncoderName, Scores] = {
            name: (of_documents[places] @ of_queries[place]).numpy()
            for name, (of_documents, of_queries) in vectors.items()
        }
        bm25 = index.score([queries[place]])[0, places].numpy()
        for name, scores in _mix(cosines, bm25, settings).items():
            found.setdefault(name, []).append(scores)
    return found


def _mix(
    cosines: Mapping[BiEncoderName, Scores], bm25: Scores, settings: ListSettings
) -> dict[str, Scores]:
    """Give each bi-encoder's scores and, last, the teacher's, by name."""
    cosine = sum(share * cosines[name] for name, share in settings.bi_encoders.items())
    teacher = settings.cosine_scale * cosine + settings.bm25_scale * bm25
    mean = " + ".join(f"{share:g} {name}" for name, share in settings.bi_encoders.items())
    name = f"{settings.cosine_scale:g} x cosine + {settings.bm25_scale:g} x BM25"
    found: dict[str, Scores] = dict(cosines.items())
    return found | {f"cosine: {mean}": np.asarray(cosine), name: teacher}


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
