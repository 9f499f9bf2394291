"""The whole evaluation: every variant on every collection."""

import logging
from collections.abc import Sequence

from ranklet.runtime.errors import InputError, ProviderError, VariantError
from ranklet.runtime.placement import real_path

from .bundles import BundleVariant, distinct_names, list_variants
from .collection import JudgedCollection, read_collection
from .environment import describe_environment
from .evaluator import Evaluated, Evaluator, Run
from .metrics import parse_metrics
from .progress import Start
from .report import Report, make_report
from .request import EvaluationRequest


def evaluate(request: EvaluationRequest, start: Start) -> tuple[Report, list[Evaluated]]:
    """Score, measure and compare.

    Args:
        request: What to evaluate.
        start: Told how far it is.

    Returns:
        The report and the runs that it was made of.

    Raises:
        InputError: depth is less than 1, or the run's name empty.
        CollectionError: a test collection is incomplete or malformed.
        MetricError: a metric is unknown.
        BundleError: a bundle cannot be opened or has no such variant.
        ScoringError: a graph failed.
    """
    if request.depth < 1:
        message = f"depth must be at least 1, not {request.depth}"
        raise InputError(message)
    if not request.run and request.run is not None:
        message = "the run has no name; give a file's, bm25 or judged"
        raise InputError(message)
    metrics = parse_metrics(request.metrics)
    variants = list_variants(request.models, request.variants)
    collections = _read_collections(request)
    runs = _score_all(request, variants, collections, start)
    evaluated = [
        Evaluated(collection, {variant: scored[place] for variant, scored in runs.items()})
        for place, collection in enumerate(collections)
    ]
    environment = describe_environment(workers=request.workers)
    return make_report(evaluated, metrics, environment, depth=request.depth), evaluated


def _read_collections(request: EvaluationRequest) -> list[JudgedCollection]:
    folders = list(dict.fromkeys(request.data))
    names = distinct_names([real_path(folder).name for folder in folders], folders)
    return [
        read_collection(
            folder,
            name=name,
            run=request.run,
            qrels_name=request.qrels_name,
            depth=request.depth,
            ignores_same_ids=request.ignores_same_ids,
        )
        for name, folder in zip(names, folders, strict=True)
    ]


def _score_all(
    request: EvaluationRequest,
    variants: Sequence[BundleVariant],
    collections: Sequence[JudgedCollection],
    start: Start,
) -> dict[BundleVariant, list[Run]]:
    """Score everything; a variant that nobody needs and that cannot run here is left out."""
    runs: dict[BundleVariant, list[Run]] = {}
    for variant in variants:
        try:
            runs[variant] = _score(request, variant, collections, start)
        except ProviderError as error:
            if request.variants and not request.skips_unusable:
                raise
            logging.getLogger(__name__).warning("%s is left out: %s", variant.label, error)
    if not runs:
        message = "no variant of these bundles suits this machine; name one with --variant"
        raise VariantError(message)
    return runs


def _score(
    request: EvaluationRequest,
    variant: BundleVariant,
    collections: Sequence[JudgedCollection],
    start: Start,
) -> list[Run]:
    with Evaluator(
        variant,
        reading=request.reading,
        workers=request.workers,
        cache_folder=request.cache_folder,
    ) as evaluator:
        return [
            evaluator.run(
                collection,
                is_afresh=request.is_afresh,
                on_queries=start(f"{variant.label} on {collection.name}", len(collection.tasks)),
            )
            for collection in collections
        ]
