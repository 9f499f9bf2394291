"""The work folder of an export: what every bundle is built in, and what only exports make there."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ranklet.runtime import placement
from ranklet.runtime.manifest import TOKENIZER_NAME


@dataclass(frozen=True, slots=True)
class WorkFolder(placement.WorkFolder):
    """Where a bundle is built from a checkpoint."""

    @property
    def tokenizer(self) -> Path:
        """The bundle's tokenizer."""
        return self.bundle / TOKENIZER_NAME

    @property
    def unpacked(self) -> Path:
        """What lay in an archive."""
        return self.path / "unpacked"

    @property
    def original_graph(self) -> Path:
        """A ready graph as it was found, in a folder that it may share with its data."""
        return self.path / "original" / "model.onnx"

    @property
    def exported_graph(self) -> Path:
        """The graph as torch exports it, in a folder that it may share with its data."""
        return self.path / "exported" / "model.onnx"

    @property
    def plain_graph(self) -> Path:
        """The fp32 graph that all variants are made of."""
        return self.path / "plain.onnx"


@contextmanager
def work_folder(output: Path) -> Generator[WorkFolder, None, None]:
    """Make the work folder beside ``output``; see ``ranklet.runtime.placement``.

    Raises:
        OutputError: the folder cannot be made.
    """
    with placement.work_folder(output) as work:
        folder = WorkFolder(work.path)
        folder.exported_graph.parent.mkdir()
        folder.original_graph.parent.mkdir()
        yield folder
