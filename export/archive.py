"""Unpacking a zip archive that somebody else made."""

import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath

from ranklet.runtime.archive_contents import MAX_FILES

from .errors import UnsupportedCheckpointError

_MAX_BYTES = 8_000_000_000
"""Of all files together; a reranker for a small device has less."""

_MAX_RATIO = 100
"""Weights hardly shrink and a vocabulary to a fifth: what shrinks more is a trap."""

_ENCRYPTED = 0x1


def unpack(source: str, archive: Path, target: Path) -> None:
    """Unpack ``archive`` into the folder ``target``.

    Raises:
        UnsupportedCheckpointError: it is damaged, or made to write elsewhere or to fill the disk.
    """
    try:
        with zipfile.ZipFile(archive) as content:
            entries = content.infolist()
            for entry in entries:
                _require_harmless(source, entry)
            _require_bounded(source, archive, entries)
            content.extractall(target)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError) as error:
        found = f"{archive.name} is a damaged or unknown kind of zip archive: {error}"
        raise UnsupportedCheckpointError(source, found) from error


def _require_harmless(source: str, entry: zipfile.ZipInfo) -> None:
    name = entry.filename
    problem = None
    if PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor:
        problem = "an absolute path"
    elif ".." in PureWindowsPath(name).parts:  # splits at slashes of both kinds
        problem = "a path that leaves the archive"
    elif stat.S_ISLNK(entry.external_attr >> 16):
        problem = "a link"
    elif entry.flag_bits & _ENCRYPTED:
        problem = "an encrypted file"
    if problem is not None:
        raise UnsupportedCheckpointError(source, f"the archive holds {problem}: {name!r}")


def _require_bounded(source: str, archive: Path, entries: list[zipfile.ZipInfo]) -> None:
    size = sum(entry.file_size for entry in entries)
    limit = min(_MAX_BYTES, _MAX_RATIO * archive.stat().st_size)
    if size > limit or len(entries) > MAX_FILES:
        found = (
            f"{archive.name} would unpack to {size} bytes in {len(entries)} files; the limits are "
            f"{limit} bytes, {_MAX_RATIO} times its size, and {MAX_FILES} files"
        )
        raise UnsupportedCheckpointError(source, found)
