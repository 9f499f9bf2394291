"""The report: quality, speed and size of every variant on every collection, as JSON has it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from .bundles import BundleVariant
from .collection import JudgedCollection
from .environment import Environment
from .evaluator import Evaluated, Run
from .metrics import Metric, Quality, measure_run
from .significance import CONFIDENCE, SEED, Comparison, compare

FIRST_STAGE = "first stage"

_METHOD = (
    "Differences are to the first variant of the first model. p is that of a paired two-sided "
    "randomization test over queries; intervals are percentiles of a bootstrap over queries at "
    f"{CONFIDENCE:.0%} (seed {SEED}). Means weigh each collection the same."
)


class CollectionFacts(msgspec.Struct, frozen=True):
    """What was reranked."""

    name: str
    queries: int
    """Judged queries, those for which nothing was found included."""
    queries_without_documents: int
    """Those for which nothing was found: they count 0 in every mean."""
    pairs: int
    first_stage: str
    """The run file's name, ``bm25`` or ``judged``."""
    digest: str
    """sha256 of all that was scored."""


class Row(msgspec.Struct, frozen=True):
    """A variant on a collection, or the first stage."""

    collection: str
    model: str
    variant: str
    precision: str | None
    digest: str | None
    """sha256 over the checksums of tokenizer and graph: which files these figures are of."""
    size_bytes: int | None
    pairs_per_s: float | None
    """While evaluating, with all workers busy; ``ranklet bench`` compares more carefully."""
    quality: dict[str, float]
    """By the metric's name."""
    against_first: dict[str, Comparison]
    """By the metric's name; empty for the first variant itself."""


class Report(msgspec.Struct, frozen=True):
    """Everything that an evaluation found."""

    environment: Environment
    depth: int | None
    """The most documents reranked for a query; null where no first stage ranks: judged documents
    are all taken."""
    metrics: list[str]
    method: str
    """How differences were tested, in words."""
    collections: list[CollectionFacts]
    rows: list[Row]
    means: list[Row]
    """Over all collections, where there are several; without the first stages."""


@dataclass(frozen=True, slots=True)
class _Measured:
    """Quality by the variant; None is the first stage."""

    collection: JudgedCollection
    runs: Mapping[BundleVariant, Run]
    qualities: Mapping[BundleVariant | None, Mapping[str, Quality]]


def make_report(
    evaluated: Sequence[Evaluated],
    metrics: Sequence[Metric],
    environment: Environment,
    *,
    depth: int,
) -> Report:
    """Measure the runs and compare them with those of the first variant."""
    measured = [_measure(one, metrics) for one in evaluated]
    variants = list(evaluated[0].runs)
    means = [_mean_row(measured, variants[0], variant) for variant in variants]
    return Report(
        environment=environment,
        depth=depth if any(one.collection.first_stage.is_ranked for one in measured) else None,
        metrics=[metric.name for metric in metrics],
        method=_METHOD,
        collections=[_facts(one.collection) for one in measured],
        rows=[row for one in measured for row in _rows(one, variants[0])],
        means=means if len(measured) > 1 else [],
    )


def _measure(evaluated: Evaluated, metrics: Sequence[Metric]) -> _Measured:
    collection = evaluated.collection
    scores = {variant: run.scores for variant, run in evaluated.runs.items()}
    runs = {None: collection.first_stage.scores} if collection.first_stage.is_ranked else {}
    qualities = {
        variant: measure_run(metrics, collection.qrels, run)
        for variant, run in (runs | scores).items()
    }
    return _Measured(collection, evaluated.runs, qualities)


def _facts(collection: JudgedCollection) -> CollectionFacts:
    return CollectionFacts(
        name=collection.name,
        queries=len(collection.qrels),
        queries_without_documents=len(collection.qrels) - len(collection.tasks),
        pairs=collection.pairs,
        first_stage=collection.first_stage.name,
        digest=collection.digest,
    )


def _rows(measured: _Measured, first: BundleVariant) -> list[Row]:
    rows: list[Row] = []
    for variant, qualities in measured.qualities.items():
        run = measured.runs[variant] if variant else None
        rows.append(
            Row(
                collection=measured.collection.name,
                model=variant.model if variant else FIRST_STAGE,
                variant=variant.name if variant else measured.collection.first_stage.name,
                precision=variant.variant.precision if variant else None,
                digest=variant.digest if variant else None,
                size_bytes=variant.variant.size_bytes if variant else None,
                pairs_per_s=round(run.pairs_per_s, 1) if run else None,
                quality={name: quality.mean for name, quality in qualities.items()},
                against_first=_against([measured], first, variant),
            )
        )
    return rows


def _mean_row(measured: Sequence[_Measured], first: BundleVariant, variant: BundleVariant) -> Row:
    runs = [one.runs[variant] for one in measured]
    seconds = sum(run.seconds for run in runs)
    names = measured[0].qualities[variant]
    return Row(
        collection=f"mean of {len(measured)}",
        model=variant.model,
        variant=variant.name,
        precision=variant.variant.precision,
        digest=variant.digest,
        size_bytes=variant.variant.size_bytes,
        pairs_per_s=round(sum(run.pairs for run in runs) / seconds, 1) if seconds else None,
        quality={
            name: float(np.mean([one.qualities[variant][name].mean for one in measured]))
            for name in names
        },
        against_first=_against(measured, first, variant),
    )


def _against(
    measured: Sequence[_Measured], first: BundleVariant, variant: BundleVariant | None
) -> dict[str, Comparison]:
    if variant is first:
        return {}
    return {
        name: compare(
            [
                (one.qualities[variant][name].by_query, one.qualities[first][name].by_query)
                for one in measured
            ]
        )
        for name in measured[0].qualities[first]
    }
