"""What is in an archive from elsewhere, of which nothing is believed.

Every name and size is checked before a byte is written.
"""

import shutil
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from .errors import ArchiveError, BundleError, OutputError
from .manifest import MANIFEST_NAME, PLAIN_NAME, BundleFile, Manifest, decode_manifest

MAX_FILES = 1000
"""That an archive from elsewhere may hold: no model has so many, and each takes its time."""

_MAX_MANIFEST_BYTES = 4 << 20
_MAX_RATIO = 100
"""Graphs and weights shrink to no less than a hundredth; only bombs do."""

_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)
"""What ``zipfile`` raises for archives that are cut, altered, encrypted or no archive at all."""


@contextmanager
def open_archive(archive: Path) -> Generator[zipfile.ZipFile, None, None]:
    """Open an archive; whatever ``zipfile`` finds wrong with it becomes an ``ArchiveError``."""
    try:
        with zipfile.ZipFile(archive) as source:
            yield source
    except BundleError:
        raise
    except FileNotFoundError as error:
        raise ArchiveError(archive, "there is no such file") from error
    except OSError as error:
        raise ArchiveError(archive, error.strerror or str(error)) from error
    except _DAMAGE as error:
        raise ArchiveError(archive, f"it is damaged or no zip ({error}); copy it again") from error


def read_archived_manifest(source: zipfile.ZipFile, archive: Path) -> Manifest:
    """Read the manifest, after everything that the archive's directory tells was found harmless.

    Raises:
        ArchiveError: something is not, or the archive holds something else than promised.
        BundleError: the manifest is too new or none.
    """
    entries = source.infolist()
    if len(entries) > MAX_FILES:
        problem = f"there are {len(entries)} files in it, more than {MAX_FILES}, as in no bundle"
        raise ArchiveError(archive, problem)
    names = Counter(plain_name(entry.filename, archive, "a file in it") for entry in entries)
    repeated = [name for name, count in names.items() if count > 1]
    if repeated:
        raise ArchiveError(archive, f"{min(repeated)} is in it more than once")
    for entry in entries:
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in {0, stat.S_IFREG}:
            raise ArchiveError(archive, f"{entry.filename} in it is not an ordinary file")
    if MANIFEST_NAME not in names:
        raise ArchiveError(archive, f"there is no {MANIFEST_NAME} in it: it holds no bundle")
    if source.getinfo(MANIFEST_NAME).file_size > _MAX_MANIFEST_BYTES:
        raise ArchiveError(archive, f"its {MANIFEST_NAME} is larger than any manifest")
    manifest = decode_manifest(source.read(MANIFEST_NAME), archive / MANIFEST_NAME)
    _require_what_is_promised(entries, manifest, archive)
    return manifest


def _require_what_is_promised(
    entries: list[zipfile.ZipInfo], manifest: Manifest, archive: Path
) -> None:
    sizes = {
        entry.filename: entry.file_size for entry in entries if entry.filename != MANIFEST_NAME
    }
    promised = {file.path: file.size_bytes for file in manifest.files}
    for name in sorted(promised.keys() | sizes.keys()):
        if name not in sizes:
            raise ArchiveError(archive, f"{name} is missing in it; pack the bundle again")
        if name not in promised:
            raise ArchiveError(archive, f"{name} in it does not belong to its bundle")
        if sizes[name] != promised[name]:
            numbers = f"{sizes[name]} bytes, its manifest says {promised[name]}"
            raise ArchiveError(archive, f"{name} in it has {numbers}; pack the bundle again")
    if sum(sizes.values()) > _MAX_RATIO * archive.stat().st_size:
        problem = f"it would grow to {sum(sizes.values()) / 1e6:.0f} MB, as no bundle does"
        raise ArchiveError(archive, problem)


def extract(source: zipfile.ZipFile, files: list[BundleFile], folder: Path) -> None:
    """Unpack files into a folder, where there is room for all of them.

    Raises:
        OutputError: there is not.
    """
    needed = sum(file.size_bytes for file in files)
    free = shutil.disk_usage(folder).free
    if needed > free:
        problem = f"it takes {needed / 1e6:.0f} MB, only {free / 1e6:.0f} MB are free"
        raise OutputError(folder, problem)
    for file in files:
        with source.open(file.path) as stream, (folder / file.path).open("xb") as target:
            shutil.copyfileobj(stream, target, 1 << 20)


def plain_name(name: str, archive: Path, what: str, hint: str = "") -> str:
    """Give a name that can be a file's everywhere.

    Raises:
        ArchiveError: it cannot; says ``what`` of the archive is called so, and the ``hint``.
    """
    if not PLAIN_NAME.fullmatch(name):
        problem = f"{what} is called {name!r}, which is not a plain file name{hint}"
        raise ArchiveError(archive, problem)
    return name
