"""The quality gate: a quantized variant must rank test collections as well as fp32 does."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from ranklet.evaluation.errors import CollectionError
from ranklet.evaluation.evaluate import evaluate
from ranklet.evaluation.report import Report, Row
from ranklet.evaluation.request import EvaluationRequest
from ranklet.runtime.manifest import CollectionQuality, Manifest, Variant, write_manifest

from .errors import QualityError
from .job import Job
from .request import AUTO_RECIPE, RECIPE_NAMES, REFERENCE

METRIC = "nDCG@10"

Rebuild = Callable[[str, str], Variant]
"""Builds the variant of a name again, with the recipe of a name."""


@dataclass(frozen=True, slots=True)
class QualityGate:
    """Evaluates the variants of a bundle that is being built."""

    job: Job

    def require_quality(self, manifest: Manifest, rebuild: Rebuild) -> Manifest:
        """Evaluate every variant; with ``--recipe auto`` build again what fails.

        Variants for a GPU are evaluated where there is one that can be used.

        Returns:
            The manifest with the variants' quality.

        Raises:
            QualityError: a variant loses too much, and no recipe is left to try.
            CollectionError: a collection is incomplete or malformed, or tells nothing since fp32
                finds nothing relevant.
        """
        while True:
            measured = self._evaluate(manifest)
            self._require_reference(measured)
            failed = self._failed(measured)
            again = {name: self._next_recipe(measured.variants[name]) for name in failed}
            if not failed or self.job.request.allow_degraded:
                return measured
            if self.job.request.recipe != AUTO_RECIPE or None in again.values():
                stuck = next((name for name in failed if again[name] is None), failed[0])
                raise self._error(measured, stuck, again[stuck])
            variants = {name: rebuild(name, recipe) for name, recipe in again.items() if recipe}
            manifest = msgspec.structs.replace(measured, variants=measured.variants | variants)

    def _evaluate(self, manifest: Manifest) -> Manifest:
        write_manifest(self.job.work.bundle, manifest)
        others = [name for name in manifest.variants if name != REFERENCE]
        data = self.job.request.verify_data
        wanted = EvaluationRequest(
            models=(self.job.work.bundle,),
            data=data,
            variants=(REFERENCE, *others),
            skips_unusable=True,
            metrics=METRIC,
            cache_folder=self.job.work.path,  # what is not built again is not scored again
        )
        with self.job.stages.stage(f"Evaluate on {', '.join(path.name for path in data)}"):
            report, _ = evaluate(wanted, lambda _label, _queries: lambda _count: None)
        variants = {
            name: msgspec.structs.replace(variant, quality=_quality(report, name))
            for name, variant in manifest.variants.items()
        }
        self.job.on_quality(variants)
        return msgspec.structs.replace(manifest, variants=variants)

    def _require_reference(self, manifest: Manifest) -> None:
        """Check that there is something to lose: of 0, any variant would keep all."""
        if not _mean(manifest.variants[REFERENCE]):
            problem = f"fp32's {METRIC} is 0, so that it cannot tell what a variant loses"
            raise CollectionError(self.job.request.verify_data[0], None, problem)

    def _failed(self, manifest: Manifest) -> list[str]:
        least = 1 - self.job.request.max_quality_loss
        return [
            name
            for name, variant in manifest.variants.items()
            if name != REFERENCE and variant.quality and _kept(variant, manifest) < least
        ]

    def _next_recipe(self, variant: Variant) -> str | None:
        """Give the name of the next safer recipe; None after the last, and for fp16."""
        safer: dict[str, str] = dict(itertools.pairwise(RECIPE_NAMES))
        return safer.get(variant.recipe_name)

    def _error(self, manifest: Manifest, name: str, recipe: str | None) -> QualityError:
        variant = manifest.variants[name]
        return QualityError(
            name,
            metric=METRIC,
            found=_mean(variant),
            reference=_mean(manifest.variants[REFERENCE]),
            limit=self.job.request.max_quality_loss,
            next_recipe=recipe,
        )


def _quality(report: Report, variant: str) -> tuple[CollectionQuality, ...]:
    queries = {facts.name: facts.queries for facts in report.collections}
    return tuple(
        _collection_quality(row, queries[row.collection])
        for row in report.rows
        if row.variant == variant and row.digest is not None
    )


def _collection_quality(row: Row, queries: int) -> CollectionQuality:
    against = row.against_first.get(METRIC)
    return CollectionQuality(
        collection=row.collection,
        queries=queries,
        metric=METRIC,
        value=row.quality[METRIC],
        kept=against.kept if against else None,
        kept_interval=against.kept_interval if against else None,
    )


def _kept(variant: Variant, manifest: Manifest) -> float:
    """Give the variant's mean quality as a share of the reference's."""
    return _mean(variant) / _mean(manifest.variants[REFERENCE])


def _mean(variant: Variant) -> float:
    values: Sequence[float] = [quality.value for quality in variant.quality]
    return sum(values) / len(values)
