"""What an export is asked to do."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ranklet.runtime.manifest import PLAIN_NAME
from ranklet.runtime.placement import real_path

from .errors import ExportError

DEFAULT_VARIANTS = ("fp32", "int8", "int8-avx2")
"""What processors need; a GPU wants ``fp16``."""

REFERENCE = "fp32"
"""The variant that the others are measured against."""

VARIANT_NAMES = (*DEFAULT_VARIANTS, "fp16")
"""All that can be built."""

SOURCE_VARIANT = "source"
"""A ready graph as it is."""

Origin = Literal["auto", "onnx", "torch"]
"""What a bundle is made of: a ready graph, or weights that torch converts."""

RECIPE_NAMES = ("tensor", "token", "mixed")
"""How int8 variants can be made, from the fastest to the safest."""

DEFAULT_RECIPE = "token"

AUTO_RECIPE = "auto"
"""The first of ``RECIPE_NAMES`` that passes."""

MAX_QUALITY_LOSS = 0.005
"""Share of fp32's nDCG@10 that a quantized variant may lose."""

MIN_PAIRS = 32
"""Fewer verification pairs prove too little."""

BUILT = Path("models/built")
"""Where bundles go that nobody gave a place."""

_HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)


def looks_like_hub_id(source: str) -> bool:
    """Whether ``source`` reads as ``organisation/name``."""
    return _HUB_ID.fullmatch(source) is not None


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """An export, as the command line or a program asks for it."""

    source: str
    """A folder in Hugging Face layout, a hub id, a zip archive in FlashRank's layout, or
    ``flashrank:`` and one of its names."""
    output: Path | None = None
    """The bundle's folder; ``models/built/<name>`` where None."""
    name: str | None = None
    """The model's name; where None that of the output folder, else that of the source."""
    revision: str | None = None
    """Branch, tag or commit on the hub; with it, a hub id means no folder of the same name."""
    template: str | None = None
    """The prompt that a language model was trained to rerank with, by name."""
    origin: Origin = "auto"
    """``auto`` takes the weights where there are safetensors and torch, else the graph."""
    graph: str | None = None
    """Which ``.onnx`` file of the source to import; the usual or only one where None."""
    variants: tuple[str, ...] | None = None
    """What suits the source where None: ``DEFAULT_VARIANTS``, or a graph that is quantized already
    or FlashRank's as it is."""
    verify_pairs: int | None = None
    """How many pairs to verify with; as many as fit five minutes where None."""
    allow_degraded: bool = False
    """Keep quantized variants that rank worse than the limits."""
    recipe: str = DEFAULT_RECIPE
    """How int8 variants are made: one of ``RECIPE_NAMES``, or ``auto``."""
    verify_data: tuple[Path, ...] = ()
    """Test collections, as BEIR lays them out, that every variant is evaluated on."""
    max_quality_loss: float = MAX_QUALITY_LOSS
    """Share of fp32's nDCG@10, in the mean over ``verify_data``, that a variant may lose."""

    @property
    def means_hub(self) -> bool:
        """Whether the source is sought on the hub, whatever folders there are."""
        return self.revision is not None and looks_like_hub_id(self.source)

    def place(self) -> tuple[str, Path]:
        """Give the model's name and the bundle's folder.

        Raises:
            ExportError: the name cannot be that of a folder.
        """
        output = None if self.output is None else real_path(self.output)
        name = self.name or (output.name if output else self._source_name())
        if not PLAIN_NAME.fullmatch(name):
            message = (
                f"{name!r} is no name for a model: give one with --name, of the letters a to z, "
                "digits and . _ + -"
            )
            raise ExportError(message)
        return name, output or real_path(BUILT / name)

    def _source_name(self) -> str:
        if self.means_hub:
            return self.source.rpartition("/")[2]
        source = real_path(self.source.removeprefix("flashrank:"))
        return source.stem if source.suffix == ".zip" else source.name

    def require_possible(self) -> None:
        """Check the variants and what they are measured with before anything is fetched or built.

        Raises:
            ExportError: a variant is unknown, there is none, or fp32 is missing that the others are
            measured against.
        """
        if self.origin == "torch" and self.graph is not None:
            message = "--graph names a ready graph: leave out --from torch"
            raise ExportError(message)
        if self.variants is None:
            return
        known = (*VARIANT_NAMES, SOURCE_VARIANT)
        unknown = [name for name in self.variants if name not in known]
        if unknown or not self.variants:
            found = ", ".join(unknown) or "none"
            message = f"the variants are {', '.join(known)}, not {found}"
            raise ExportError(message)
        if self.verify_data and REFERENCE not in self.variants:
            message = f"--verify-data compares with {REFERENCE}: add it to --variants"
            raise ExportError(message)
