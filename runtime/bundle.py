"""Opening a bundle: its files, checked, and the variant that fits this machine."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from .errors import (
    BundleFileMissingError,
    BundleFileUnreadableError,
    ChecksumError,
    InvalidManifestError,
    VariantError,
)
from .manifest import PLAIN_NAME, BundleFile, Manifest, ProcessorFamily, Variant
from .processor import Processor

_VARIANT_NAMES: dict[ProcessorFamily, str] = {
    "any": "fp32",
    "int8-dot": "int8",
    "avx2": "int8-avx2",
    "cuda": "fp16",
}
"""What the export calls the variants that it builds for each family."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which variant runs, and why."""

    name: str
    variant: Variant
    reason: str


def check_file(folder: Path, file: BundleFile) -> Path:
    """Give the path of a bundle's file whose bytes are the ones that the manifest promises.

    Raises:
        BundleFileMissingError: the file is not there.
        BundleFileUnreadableError: it cannot be read.
        ChecksumError: it has other bytes or another size.
        InvalidManifestError: the manifest names a place outside the bundle.
    """
    path = folder / file.path
    if not PLAIN_NAME.fullmatch(file.path):
        message = f"the manifest of {folder} names {file.path!r}, which is not a plain file name"
        raise InvalidManifestError(message)
    try:
        size = path.stat().st_size
        if size != file.size_bytes:
            raise ChecksumError(path, expected=f"{file.size_bytes} bytes", found=f"{size}")
        found = _sha256(path)
    except FileNotFoundError as error:
        raise BundleFileMissingError(path, hint="copy the whole bundle again") from error
    except OSError as error:
        raise BundleFileUnreadableError(path, error) from error
    if found != file.sha256:
        raise ChecksumError(path, expected=f"sha256 {file.sha256}", found=found)
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_all_files(folder: Path, manifest: Manifest) -> None:
    """Check the tokenizer and the files of every variant; raises as ``check_file`` does."""
    for file in manifest.files:
        check_file(folder, file)


def choose_variant(
    manifest: Manifest, processor: Processor, *, cuda: bool = False, name: str | None = None
) -> Choice:
    """Choose the variant that runs best on ``processor``, or the one called ``name``.

    Args:
        manifest: The bundle's manifest.
        processor: The processor that will run it.
        cuda: Whether the CUDA provider can be used.
        name: Overrides the choice.

    Raises:
        VariantError: no variant of that name, or none that fits.
    """
    if name is not None:
        if name not in manifest.variants:
            raise VariantError(_missing_variant(manifest, f"has no variant {name!r}"))
        return Choice(name, manifest.variants[name], "asked for by name")
    for family, reason in _preferences(processor, cuda=cuda):
        for candidate, variant in manifest.variants.items():
            if variant.processors == family:
                return Choice(candidate, variant, reason)
    raise VariantError(_missing_variant(manifest, f"has no variant for {processor.description}"))


def _missing_variant(manifest: Manifest, problem: str) -> str:
    known = ", ".join(sorted(manifest.variants))
    return (
        f"bundle {manifest.name!r} {problem}, only {known}; choose one of them "
        "or export the model again with --variants"
    )


def suitable_variants(processor: Processor, *, cuda: bool = False) -> tuple[str, ...]:
    """Name the variants to try on ``processor``, best first, as the export calls them."""
    return tuple(_VARIANT_NAMES[family] for family, _ in _preferences(processor, cuda=cuda))


def _preferences(processor: Processor, *, cuda: bool) -> list[tuple[ProcessorFamily, str]]:
    """Give the families to try, best first, each with the reason in words."""
    what = processor.description
    families: list[tuple[ProcessorFamily, str]] = []
    if cuda:
        families.append(("cuda", "the CUDA provider is available"))
    if processor.has_dot_product:
        families.append(("int8-dot", f"{what} sums products of 8-bit integers exactly"))
    elif processor.has_avx2:
        families.append(("avx2", f"{what} needs 7-bit weights, or its sums overflow 16 bits"))
    families.append(("any", f"{what}: fp32 runs everywhere"))
    return families
