"""An export under way: what its stages share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ranklet.runtime.manifest import Variant, Verification

from .checkpoint import Checkpoint
from .placement import WorkFolder
from .progress import Stages
from .request import ExportRequest

ReportPrinter = Callable[[Mapping[str, Variant], Verification], None]
"""Shows how the variants compare with the original."""

QualityPrinter = Callable[[Mapping[str, Variant]], None]
"""Shows how the variants rank test collections."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is built, of what, and where."""

    name: str
    """The model's name."""
    request: ExportRequest
    variants: tuple[str, ...]
    """What to build, the request's or what suits the source."""
    checkpoint: Checkpoint
    work: WorkFolder
    stages: Stages
    on_report: ReportPrinter
    """Called with what was compared with the original, before it is judged."""
    on_quality: QualityPrinter
    """The same for what was measured on test collections."""
