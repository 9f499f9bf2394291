"""What to evaluate, and how."""

from dataclasses import dataclass
from pathlib import Path

DEFAULT_DEPTH = 100
DEFAULT_METRICS = "nDCG@10,RR@10,AP"


@dataclass(frozen=True, slots=True)
class Reading:
    """How much is read of pairs that are long."""

    window_tokens: int | None = None
    """Tokens of a pair; the model's window where None."""
    max_windows: int = 1
    """Overlapping windows of a document, the best of which counts."""


DEFAULT_READING = Reading()


@dataclass(frozen=True, slots=True)
class EvaluationRequest:
    """An evaluation of some bundles on some test collections."""

    models: tuple[Path, ...]
    """Bundles; their variants are compared with the first one of the first bundle."""
    data: tuple[Path, ...]
    """Folders in BEIR's layout."""
    run: str | None = None
    """The first stage, as in ``collection.read_collection``."""
    qrels_name: str | None = None
    """The judgements' file, as in ``collection.read_collection``."""
    depth: int = DEFAULT_DEPTH
    """The most documents of a ranked first stage to rerank for a query."""
    ignores_same_ids: bool = False
    """Leave out documents that have the id of the query."""
    variants: tuple[str, ...] = ()
    """Variants of each bundle; those that suit this machine where empty."""
    skips_unusable: bool = False
    """Whether a variant that is named and cannot run here is left out, and not an error."""
    metrics: str = DEFAULT_METRICS
    """As ir-measures names them."""
    reading: Reading = DEFAULT_READING
    workers: int | None = None
    cache_folder: Path | None = None
    """Where scores are kept; nowhere where None."""
    is_afresh: bool = False
    """Forget the scores that are kept."""
