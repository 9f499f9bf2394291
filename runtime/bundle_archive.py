"""A bundle as one file: packed on the machine that builds it, installed on the device that serves.

An archive is a zip of the bundle's files, the manifest first and nothing beside them. Deflate at
its lowest level takes a third off fp32 weights and a tenth off int8 ones; xz saves little more and
takes ten times as long (``docs/devices.md`` has the figures).

Archives come from elsewhere, so nothing in one is believed: every name is checked before a byte is
written, the bundle is built beside its place and moved in only when all checksums are right.
"""

import shutil
import stat
import zipfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import msgspec

from .archive_contents import (
    extract,
    open_archive,
    plain_name,
    read_archived_manifest,
)
from .bundle import Choice, check_all_files, check_file, choose_variant, suitable_variants
from .errors import (
    ArchiveError,
    ChecksumError,
    InvalidManifestError,
    OutputError,
    VariantError,
)
from .manifest import (
    MANIFEST_NAME,
    PLAIN_NAME,
    Manifest,
    read_manifest,
)
from .placement import place, place_file, real_path, require_replaceable, work_folder
from .processor import Processor, detect_processor

SUFFIX = ".bundle.zip"
"""How the names of archives end."""

_OLDEST = (1980, 1, 1, 0, 0, 0)
"""The same bundle gives the same bytes, so no file has a time of its own."""


@dataclass(frozen=True, slots=True)
class InstalledBundle:
    """A bundle that came from an archive, in its place."""

    folder: Path
    manifest: Manifest
    choice: Choice
    """The variant that runs on this machine."""


def pack_bundle(
    folder: Path, archive: Path, *, variants: Collection[str] | None = None
) -> Manifest:
    """Write a bundle, or some of its variants, to one file; the same bundle gives the same bytes.

    Args:
        folder: The bundle; its files are checked.
        archive: The file; one that is there is replaced.
        variants: Names of those to pack, all where None.

    Returns:
        The manifest in the archive.

    Raises:
        BundleError: the bundle is incomplete or damaged, or its name is not plain.
        VariantError: it has no variant of a name in ``variants``.
        OutputError: the archive cannot be written.
    """
    manifest = _reduced(read_manifest(folder), variants)
    if not PLAIN_NAME.fullmatch(manifest.name):
        problem = "which cannot be a folder's name everywhere; export it again with --name"
        message = f"the manifest of {folder} calls its model {manifest.name!r}, {problem}"
        raise InvalidManifestError(message)
    paths = [check_file(folder, file) for file in manifest.files]
    try:
        archive.parent.stat()  # a folder that is misspelt is not made
        with work_folder(archive) as work:
            packed = work.path / archive.name
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target:
                content = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
                target.writestr(_entry(MANIFEST_NAME, len(content)), content, compresslevel=1)
                for path in paths:
                    _add(target, path)
            _check(packed, archive)
            place_file(packed, archive)
    except OSError as error:
        raise OutputError(archive, error.strerror or str(error)) from error
    return manifest


def _check(packed: Path, archive: Path) -> None:
    """Read back what was written for ``archive``: a disk may lie, and the device is far away."""
    with open_archive(packed) as source:
        read_archived_manifest(source, packed)
        if (name := source.testzip()) is not None:
            raise OutputError(archive, f"{name} cannot be read back from the disk")


def install_bundle(
    archive: Path, output: Path | None, *, models_dir: Path, processor: Processor, cuda: bool
) -> InstalledBundle:
    """Unpack an archive, check it and move it to its place; a failure leaves nothing.

    Args:
        archive: What ``pack_bundle`` wrote.
        output: The bundle's folder; the model's name below ``models_dir`` where None.
        models_dir: Where bundles are that have no other place.
        processor: The processor that shall run it.
        cuda: Whether the CUDA provider can be used.

    Raises:
        ArchiveError: the archive is damaged or not a bundle's.
        VariantError: none of its variants runs on ``processor``.
        OutputError: the bundle cannot be written.
        BundleError: the manifest is too new or none.
    """
    output = None if output is None else real_path(output)
    with open_archive(archive) as source:
        manifest = read_archived_manifest(source, archive)
        choice = _choose(manifest, processor, cuda=cuda)
        hint = "; choose a folder with --output"
        folder = output or models_dir / plain_name(manifest.name, archive, "its model's name", hint)
        require_replaceable(folder)
        with work_folder(folder) as work:
            try:
                extract(source, manifest.files, work.bundle)
                check_all_files(work.bundle, manifest)
                place(work, folder, manifest)
            except ChecksumError as error:
                problem = f"{error.path.name} in it does not hold what its manifest promises"
                raise ArchiveError(archive, f"{problem}; copy the archive again") from error
            except OSError as error:
                raise OutputError(folder, error.strerror or str(error)) from error
    return InstalledBundle(folder, manifest, choice)


def _choose(manifest: Manifest, processor: Processor, *, cuda: bool) -> Choice:
    """Choose the variant that will run; the way out of there being none lies where it is packed."""
    try:
        return choose_variant(manifest, processor, cuda=cuda)
    except VariantError as error:
        message = (
            f"bundle {manifest.name!r} has no variant for {processor.description}, only "
            f"{', '.join(manifest.variants)}; pack it anew with --variants "
            f"{suitable_variants(processor)[0]}, or with all"
        )
        raise VariantError(message) from error


def _reduced(manifest: Manifest, variants: Collection[str] | None) -> Manifest:
    if variants is None:
        return manifest
    if not variants:
        message = f"--variants names none; {manifest.name!r} has {', '.join(manifest.variants)}"
        raise VariantError(message)
    for name in variants:
        choose_variant(manifest, detect_processor(), name=name)  # says which there are
    kept = {name: variant for name, variant in manifest.variants.items() if name in variants}
    return msgspec.structs.replace(manifest, variants=kept)


def _entry(name: str, size_bytes: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _OLDEST)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = 3  # Unix, wherever it is packed
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    entry.file_size = size_bytes  # decides about the format for more than 4 GB
    return entry


def _add(target: zipfile.ZipFile, path: Path) -> None:
    entry = _entry(path.name, path.stat().st_size)
    entry._compresslevel = 1  # type: ignore[attr-defined]  # noqa: SLF001 - public from 3.13 on
    with path.open("rb") as content, target.open(entry, "w") as stream:
        shutil.copyfileobj(content, stream, 1 << 20)
