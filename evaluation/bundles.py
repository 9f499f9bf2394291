"""The models to evaluate: bundles and their variants, with names that tell them apart."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ranklet.runtime.bundle import choose_variant
from ranklet.runtime.manifest import Manifest, ProcessorFamily, Variant, read_manifest
from ranklet.runtime.processor import Processor, detect_processor
from ranklet.runtime.sessions import cuda_is_available


@dataclass(frozen=True, slots=True, eq=False)
class BundleVariant:
    """A variant of a bundle; each is equal to itself alone, and so a key for what it gave."""

    model: str
    """The bundle's name; its folder where two bundles have the same name."""
    folder: Path
    name: str
    variant: Variant
    digest: str
    """sha256 of all that decides the scores: the files' checksums and how they are fed."""

    @property
    def label(self) -> str:
        """Model and variant, for people."""
        return f"{self.model} {self.name}"


def list_variants(folders: Sequence[Path], names: Sequence[str] = ()) -> list[BundleVariant]:
    """List what to evaluate, bundle by bundle.

    Args:
        folders: The bundles.
        names: Variants to take of each bundle; where empty, those that this processor computes
            as they are meant.

    Raises:
        BundleError: a manifest cannot be read.
        VariantError: a bundle has no variant of a name.
    """
    manifests = {folder: read_manifest(folder) for folder in folders}
    models = distinct_names([manifest.name for manifest in manifests.values()], list(manifests))
    processor = detect_processor()
    families = _usable_families(processor)
    variants: list[BundleVariant] = []
    for model, (folder, manifest) in zip(models, manifests.items(), strict=True):
        for name, variant in _choose(manifest, processor, families, names):
            digest = _digest(manifest, variant)
            variants.append(BundleVariant(model, folder, name, variant, digest))
    return variants


def _digest(manifest: Manifest, variant: Variant) -> str:
    what: list[object] = [
        [file.sha256 for file in (manifest.tokenizer, *variant.files)],
        manifest.window_tokens,
        manifest.graph_inputs,
        variant.processors,
    ]
    if manifest.prompt is not None:
        what.append(manifest.prompt)
    return hashlib.sha256(msgspec.json.encode(what)).hexdigest()


def _choose(
    manifest: Manifest,
    processor: Processor,
    families: set[ProcessorFamily],
    names: Sequence[str],
) -> Iterator[tuple[str, Variant]]:
    for name in dict.fromkeys(names):
        choice = choose_variant(manifest, processor, name=name)
        yield choice.name, choice.variant
    if not names:
        for name, variant in manifest.variants.items():
            if variant.processors in families:
                yield name, variant


def _usable_families(processor: Processor) -> set[ProcessorFamily]:
    """Give the families whose variants this machine computes exactly.

    Without dot products, x86 lets the sums of 8-bit weights overflow. 7-bit weights, made for
    AVX2, are exact everywhere.
    """
    families: set[ProcessorFamily] = {"any", "avx2"}
    if processor.has_dot_product:
        families.add("int8-dot")
    if cuda_is_available():
        families.add("cuda")
    return families


def distinct_names(names: Sequence[str], folders: Sequence[Path]) -> list[str]:
    """Give the names, and in place of each that occurs twice the folder as it was given."""
    counts = Counter(names)
    return [
        name if counts[name] == 1 else str(folder)
        for name, folder in zip(names, folders, strict=True)
    ]
