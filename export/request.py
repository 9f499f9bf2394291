"""What an export is asked to do."""

import re
from dataclasses import dataclass
from pathlib import Path

from .errors import ExportError

DEFAULT_VARIANTS = ("fp32", "int8", "int8-avx2")
"""What processors need; a GPU wants ``fp16``."""

VARIANT_NAMES = (*DEFAULT_VARIANTS, "fp16")
"""All that can be built."""

MIN_PAIRS = 32
"""Fewer verification pairs prove too little."""

BUILT = Path("models/built")
"""Where bundles go that nobody gave a place."""

_NAME = re.compile(r"\w[\w.+-]*")


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """An export, as the command line or a program asks for it."""

    source: str
    """A folder in Hugging Face layout, or a hub id."""
    output: Path | None = None
    """The bundle's folder; ``models/built/<name>`` where None."""
    name: str | None = None
    """The model's name; where None that of the output folder, else that of the source."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    variants: tuple[str, ...] = DEFAULT_VARIANTS
    verify_pairs: int | None = None
    """How many pairs to verify with; as many as fit five minutes where None."""
    allow_degraded: bool = False
    """Keep quantized variants that rank worse than the limit."""

    def place(self) -> tuple[str, Path]:
        """Give the model's name and the bundle's folder.

        Raises:
            ExportError: the name cannot be that of a folder.
        """
        output = None if self.output is None else self.output.expanduser().resolve()
        name = self.name or (output or Path(self.source).expanduser().resolve()).name
        if not _NAME.fullmatch(name):
            message = f"{name!r} is no name for a model: use letters, digits and . _ + -"
            raise ExportError(message)
        return name, output or (BUILT / name).resolve()

    def require_known_variants(self) -> None:
        """Check the variants' names before anything is fetched or built.

        Raises:
            ExportError: one is unknown, or there is none.
        """
        unknown = [name for name in self.variants if name not in VARIANT_NAMES]
        if unknown or not self.variants:
            found = ", ".join(unknown) or "none"
            message = f"the variants are {', '.join(VARIANT_NAMES)}, not {found}"
            raise ExportError(message)
