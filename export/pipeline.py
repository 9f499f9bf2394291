"""The export: from a checkpoint to a bundle in its place.

What is light comes first: a source that is refused, or an output that cannot be written, is told
before the libraries are imported that convert models.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from ranklet.evaluation.errors import require_packages
from ranklet.runtime.manifest import Manifest
from ranklet.runtime.placement import place, require_replaceable

from .checkpoint import Checkpoint
from .errors import ExportError, MissingToolError
from .failures import named_failures
from .gallery import restricts_use
from .job import Job, QualityPrinter, ReportPrinter
from .placement import work_folder
from .progress import Stages
from .quiet import quiet_libraries
from .request import DEFAULT_VARIANTS, REFERENCE, SOURCE_VARIANT, ExportRequest
from .source import open_source

_TORCH_TOOLS = ("optimum", "torch", "transformers")


@dataclass(frozen=True, slots=True)
class ExportedBundle:
    """A bundle in its place."""

    folder: Path
    manifest: Manifest


def export_bundle(
    request: ExportRequest, stages: Stages, *, on_report: ReportPrinter, on_quality: QualityPrinter
) -> ExportedBundle:
    """Build a bundle, verify it and move it to its place.

    Args:
        request: What to build, and where.
        stages: Shows the progress.
        on_report: Called with what was compared with the original, before it is judged.
        on_quality: The same for what was measured on test collections.

    Raises:
        ExportError: nothing was built, and nothing is left behind.
    """
    name, output = request.place()
    request.require_possible()
    with named_failures(output):
        require_replaceable(output)
        with work_folder(output) as work, named_failures(output, work.path):
            with stages.plain_stage("Check the source"):
                checkpoint = open_source(request, work.unpacked)
                variants = _choose_variants(request, checkpoint)
                _require_collections(request)
            _tell_licence(stages, checkpoint.source.licence)
            if checkpoint.graph is None:
                _require_torch()
            with stages.stage("Import the tools"), quiet_libraries():
                from .build import build_bundle  # noqa: PLC0415 - torch alone takes seconds
            job = Job(name, request, variants, checkpoint, work, stages, on_report, on_quality)
            manifest = build_bundle(job)
            with stages.stage("Move the bundle to its place"):
                place(work, output, manifest)
    return ExportedBundle(output, manifest)


def _choose_variants(request: ExportRequest, checkpoint: Checkpoint) -> tuple[str, ...]:
    """Give the variants that are asked for, or those that suit the source.

    Raises:
        ExportError: the source does not allow one.
    """
    graph = checkpoint.graph
    suitable = (SOURCE_VARIANT,) if graph and graph.is_kept else DEFAULT_VARIANTS
    variants = request.variants or suitable
    message = None
    if graph is None and SOURCE_VARIANT in variants:
        message = f"--variants {SOURCE_VARIANT} keeps a ready graph, which needs --from onnx"
    elif graph and graph.precision != "fp32" and variants != (SOURCE_VARIANT,):
        message = (
            f"{graph.path.name} is quantized already: take it as it is, with --variants "
            f"{SOURCE_VARIANT}, or choose an fp32 graph with --graph"
        )
    elif request.verify_data and REFERENCE not in variants:
        message = (
            f"--verify-data compares with {REFERENCE}, which is not among the variants: add it "
            "with --variants, or measure a graph that is quantized already with `ranklet eval`"
        )
    if message is not None:
        raise ExportError(message)
    return variants


def _require_collections(request: ExportRequest) -> None:
    """Read what the variants will be evaluated on, before the long work.

    Raises:
        CollectionError: a collection is incomplete or malformed.
        MissingPackageError: the packages that measure quality are not installed.
    """
    if request.verify_data:
        require_packages()
        from ranklet.evaluation.collection import (  # noqa: PLC0415 - needs those packages
            read_collection,
        )

        for folder in request.verify_data:
            read_collection(folder)


def _tell_licence(stages: Stages, licence: str | None) -> None:
    if restricts_use(licence):
        stages.tell(f"Licence: {licence}, which forbids commercial use or may; read it first")


def _require_torch() -> None:
    for name in _TORCH_TOOLS:
        if importlib.util.find_spec(name) is None:
            raise MissingToolError(name, converts_weights=True)
