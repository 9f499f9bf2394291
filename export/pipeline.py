"""The export: from a checkpoint to a bundle in its place.

What is light comes first: a source that is refused, or an output that cannot be written, is told
before the libraries are imported that convert models.
"""

from dataclasses import dataclass
from pathlib import Path

from ranklet.runtime.manifest import Manifest
from ranklet.runtime.placement import place, require_replaceable

from .checkpoint import open_checkpoint
from .failures import named_failures
from .job import Job, QualityPrinter, ReportPrinter
from .placement import work_folder
from .progress import Stages
from .quiet import quiet_libraries
from .request import ExportRequest


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
        on_report: Called with what was compared with torch, before it is judged.
        on_quality: The same for what was measured on test collections.

    Raises:
        ExportError: nothing was built, and nothing is left behind.
    """
    name, output = request.place()
    request.require_possible()
    with named_failures(output):
        require_replaceable(output)
        with stages.plain_stage("Check the source"):
            checkpoint = open_checkpoint(
                request.source, revision=request.revision, template=request.template
            )
        with stages.stage("Import the tools"), quiet_libraries():
            from .build import build_bundle  # noqa: PLC0415 - torch alone takes seconds
        with work_folder(output) as work, named_failures(output, work.path):
            job = Job(name, request, checkpoint, work, stages, on_report, on_quality)
            manifest = build_bundle(job)
            with stages.stage("Move the bundle to its place"):
                place(work, output, manifest)
    return ExportedBundle(output, manifest)
