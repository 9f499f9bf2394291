"""Where a bundle is built, and how it takes its place: at once, or not at all.

A bundle is built in a hidden folder beside its place. A process that was killed leaves that folder,
which the next one to write there removes: nobody holds its lock any more.
"""

import ctypes
import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from .errors import BundleError, BundleFileUnreadableError, OutputError, SchemaVersionError
from .manifest import MANIFEST_NAME, Manifest, read_manifest, write_manifest

_REPLACED = "replaced"
"""Name of an old bundle on its way out."""

_SWAP_CALLS = {"linux": ("renameat2", -100), "darwin": ("renameatx_np", -2)}
"""By platform: the function that exchanges two folders, and what stands for the current one."""

_MODE = 0o644
"""Of the bundle's files: some tools write for their user alone, and another one may serve."""

_FOLDER_MODE = 0o755
"""Of the bundle itself, for the same reason: a umask of 077 would keep the service's user out."""

_SWAP = 2
"""``RENAME_EXCHANGE`` of Linux, ``RENAME_SWAP`` of macOS."""


def expanded(path: str | Path) -> Path:
    """Give ``path`` with the home folder for its ``~``; as it is where there is no such user."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path's own raises RuntimeError


def real_path(path: str | Path) -> Path:
    """Give the absolute path that ``path`` leads to, also where a link leads to itself.

    ``Path.resolve`` raises RuntimeError for such links. What is there may then be asked of the
    path, which is none that can be opened.
    """
    return Path(os.path.realpath(expanded(path)))


def require_replaceable(output: Path) -> None:
    """Check that a bundle may be written to ``output``: nothing but a bundle is ever replaced.

    Raises:
        OutputError: something else is there, or nobody may look.
    """
    try:
        _require_replaceable(output)
    except OSError as error:
        raise OutputError(output, _reason(error)) from error


def _require_replaceable(output: Path) -> None:
    if output.is_symlink() and not output.exists():
        problem = "a link that leads nowhere is there; remove it or choose another folder"
        raise OutputError(output, problem)
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    try:
        manifest = read_manifest(output)
    except (SchemaVersionError, BundleFileUnreadableError) as error:
        raise OutputError(output, f"{error}; or choose another folder") from error
    except BundleError as error:
        problem = "something that is not a bundle is there; remove it or choose another folder"
        raise OutputError(output, problem) from error
    ours = {MANIFEST_NAME, *(file.path for file in manifest.files)}
    for path in output.iterdir():
        if path.name not in ours and not path.name.startswith("."):
            problem = f"{path.name} in it does not belong to the bundle there; move it elsewhere"
            raise OutputError(output, problem)


@dataclass(frozen=True, slots=True)
class WorkFolder:
    """Where a bundle is built."""

    path: Path

    @property
    def bundle(self) -> Path:
        """The bundle, without its manifest until the last moment."""
        return self.path / "bundle"


@contextmanager
def work_folder(output: Path) -> Generator[WorkFolder, None, None]:
    """Make a hidden folder beside ``output``, remove it at the end whatever happens.

    Folders that killed processes left beside the same place are removed first. Temporary files that
    libraries make meanwhile go into the folder, too.

    Raises:
        OutputError: the folder cannot be made.
    """
    try:
        made = _make_parents(output)
        _remove_stale(output)
        work, lock = _make_locked(output)
    except OSError as error:
        raise OutputError(output, _reason(error)) from error
    before = tempfile.tempdir
    try:
        tempfile.tempdir = str(work)
        folder = WorkFolder(work)
        folder.bundle.mkdir()
        yield folder
    finally:
        tempfile.tempdir = before
        try:
            _bring_back(work, output)
            shutil.rmtree(work, ignore_errors=True)
        finally:
            os.close(lock)
        for parent in made:
            with suppress(OSError):  # not empty: the bundle is there
                parent.rmdir()


def place(work: WorkFolder, output: Path, manifest: Manifest) -> None:
    """Complete a bundle by its manifest and move it to ``output``, in place of the one there.

    At every moment ``output`` is the old bundle or the new one. Only where the file system cannot
    swap two folders, there is none between two renames; what goes wrong then brings the old one
    back, or the next writer does. The manifest comes last: without it a folder is no bundle.
    """
    apart = work.path / "manifest"  # right in the work folder it would make that a bundle
    apart.mkdir()
    write_manifest(apart, manifest)
    written = apart / MANIFEST_NAME
    for path in [*work.bundle.iterdir(), written]:
        path.chmod(_MODE)
        _flush(path)
    work.bundle.chmod(_FOLDER_MODE)
    _flush(work.bundle)
    written.rename(work.bundle / MANIFEST_NAME)
    if not (output.exists() and _swap(work.bundle, output)):
        if output.exists():
            output.rename(work.path / _REPLACED)
        work.bundle.rename(output)
    _flush(output.parent)


def place_file(written: Path, output: Path) -> None:
    """Move a file to ``output``: at every moment the old one is there or the new one, whole."""
    _flush(written)
    written.replace(output)
    _flush(output.parent)


def _swap(left: Path, right: Path) -> bool:
    """Exchange two folders in one step; False where the system cannot."""
    if sys.platform not in _SWAP_CALLS:
        return False
    name, here = _SWAP_CALLS[sys.platform]
    call = getattr(ctypes.CDLL(None), name, None)
    return call is not None and call(here, bytes(left), here, bytes(right), _SWAP) == 0


def _flush(path: Path) -> None:
    """Have a file or a folder written to the disk, so that no power cut comes between."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_parents(output: Path) -> list[Path]:
    """Make the folders above ``output``; gives those that were missing, deepest first."""
    missing = [path for path in output.parents if not path.exists()]
    output.parent.mkdir(parents=True, exist_ok=True)
    return missing


def _prefix(output: Path) -> str:
    return f".{output.name}.building-"


def _make_locked(output: Path) -> tuple[Path, int]:
    """Make a work folder and give it with its lock."""
    while True:
        work = Path(tempfile.mkdtemp(prefix=_prefix(output), dir=output.parent))
        lock = _lock_new(work)
        if lock is not None:
            return work, lock


def _lock_new(work: Path) -> int | None:
    """Lock a new folder; None where another process, which met it without a lock, removed it."""
    try:
        lock = os.open(work, os.O_RDONLY)
    except FileNotFoundError:
        return None
    with suppress(OSError):  # a file system without locks: others then let the folder be
        fcntl.flock(lock, fcntl.LOCK_EX)
    if work.exists():
        return lock
    os.close(lock)
    return None


def _reason(error: OSError) -> str:
    return f"{error.strerror} ({error.filename})"


def _remove_stale(output: Path) -> None:
    """Remove the work folders whose processes are gone."""
    for path in output.parent.iterdir():
        if path.name.startswith(_prefix(output)):
            _remove_if_stale(path, output)


def _bring_back(work: Path, output: Path) -> None:
    """Put an old bundle back to its place where the new one did not get there."""
    if (work / _REPLACED).exists() and not output.exists():
        (work / _REPLACED).rename(output)


def _remove_if_stale(work: Path, output: Path) -> None:
    try:
        lock = os.open(work, os.O_RDONLY)
    except OSError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _bring_back(work, output)
        shutil.rmtree(work, ignore_errors=True)
    except OSError:  # another process is building the same bundle
        return
    finally:
        os.close(lock)
