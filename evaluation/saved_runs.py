"""The runs as files for other tools."""

from collections.abc import Sequence
from pathlib import Path

from .evaluator import Evaluated
from .first_stage import BM25
from .score_cache import file_name
from .trec import write_run


def save_runs(folder: Path, evaluated: Sequence[Evaluated]) -> None:
    """Write each run as a TREC run file, and the first stage where BM25 was asked for it.

    Raises:
        InputError: an id holds a blank, which the format cannot carry.
    """
    for one in evaluated:
        name, found = one.collection.name, one.collection.first_stage
        if found.name == BM25:
            write_run(folder / f"{file_name(name, BM25)}.trec", found.scores, tag=BM25)
        for variant, run in one.runs.items():
            path = folder / f"{file_name(name, variant.model, variant.name)}.trec"
            write_run(path, run.scores, tag=f"{variant.model}-{variant.name}")
