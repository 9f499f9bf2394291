"""Scores on disk, query by query, so that an evaluation that was killed goes on where it was.

One file for each model variant and collection. Its name holds a digest of everything that the
scores and their speed depend on, so a file is never wrong, only unused.
"""

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

import msgspec
import onnxruntime as ort
import tokenizers

from ranklet import __version__
from ranklet.runtime.placement import expanded
from ranklet.runtime.processor import detect_processor, usable_cores

from .bundles import BundleVariant
from .collection import JudgedCollection, Task
from .errors import CacheError
from .request import DEFAULT_READING, Reading

VERSIONS = {
    "onnxruntime": ort.__version__,
    "ranklet": __version__,
    "tokenizers": tokenizers.__version__,
}
"""Another one of these may score otherwise."""


class ScoredQuery(msgspec.Struct, frozen=True):
    """The scores of one query's documents."""

    query: str
    logits: list[float]
    """In the order of the task's documents."""
    seconds: float
    """Time between this and the query before it: with several in work, their sum is the whole."""


class ScoreCache:
    """The scores of one variant on one collection."""

    def __init__(self, path: Path) -> None:
        """Keep scores in ``path``; its folder is made when there is something to keep."""
        self.path = path

    def read(self, tasks: Sequence[Task]) -> dict[str, ScoredQuery]:
        """Give what is known of ``tasks``, by query id; a line cut short is passed over.

        Raises:
            CacheError: the file cannot be read.
        """
        sizes = {task.query_id: len(task.documents) for task in tasks}
        known: dict[str, ScoredQuery] = {}
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return known
        except OSError as error:
            raise CacheError(self.path, error) from error
        for line in lines:
            try:
                scored = msgspec.json.decode(line, type=ScoredQuery)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
            if len(scored.logits) == sizes.get(scored.query):
                known[scored.query] = scored
        return known

    def append(self, scored: ScoredQuery) -> None:
        """Keep the scores of a query.

        Raises:
            CacheError: they cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as stream:
                # The line break comes first: should the last line be cut short, it ends here.
                stream.write(b"\n" + msgspec.json.encode(scored))
        except OSError as error:
            raise CacheError(self.path, error) from error

    def forget(self) -> None:
        """Remove what is known.

        Raises:
            CacheError: the file cannot be removed.
        """
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise CacheError(self.path, error) from error


def default_cache_folder() -> Path:
    """Where scores are kept unless the caller says otherwise."""
    base = os.environ.get("XDG_CACHE_HOME") or expanded("~/.cache")
    return Path(base) / "ranklet" / "evaluation"


def cache_for(
    folder: Path,
    variant: BundleVariant,
    collection: JudgedCollection,
    *,
    reading: Reading = DEFAULT_READING,
    workers: int | None,
) -> ScoreCache:
    """Give the cache of a variant on a collection, in ``folder``."""
    what = [
        variant.digest,
        collection.digest,
        VERSIONS,
        detect_processor().description,
        workers or usable_cores(),
        *(() if reading == DEFAULT_READING else astuple(reading)),
    ]
    digest = hashlib.sha256(msgspec.json.encode(what)).hexdigest()[:16]
    parts = (collection.name, Path(variant.model).name, variant.name, digest)
    return ScoreCache(folder / f"{file_name(*parts)}.jsonl")


def file_name(*parts: str) -> str:
    """Join parts by dots, with ``_`` for what a file's name had better not hold."""
    return ".".join(re.sub(r"[^\w.+-]+", "_", part).strip("._") or "_" for part in parts)
