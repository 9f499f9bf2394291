"""Failures of the machine, told in one line."""

import errno
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from ranklet.runtime.errors import OutputError, RankletError

from .errors import DownloadError, ExportError, first_line

_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a file grew larger than this system allows",
}

_FULL_IN_WORDS = {
    "No space left on device": errno.ENOSPC,
    "Disk quota exceeded": errno.EDQUOT,
    "File too large": errno.EFBIG,
}
"""Libraries in C++ and Rust raise errors of their own with these words in them."""


@contextmanager
def named_failures(output: Path, work: Path | None = None) -> Generator[None, None, None]:
    """Turn what the operating system refuses into an ``ExportError``.

    Args:
        output: Where the bundle goes.
        work: The folder that is written to inside.

    Raises:
        OutputError: the disk below ``output`` is full.
        ExportError: a file cannot be read or written.
    """
    try:
        yield
    except (DownloadError, OutputError):  # they tell already; a download fills another disk
        raise
    except Exception as error:
        if (problem := _lack_of_space(error) or _lack_of_room(error, work)) is not None:
            raise OutputError(output, problem) from error
        if isinstance(error, OSError) and not isinstance(error, ExportError):
            raise ExportError(first_line(error)) from error
        raise


def _lack_of_room(error: Exception, work: Path | None) -> str | None:
    """Tell whether too little room explains an error that does not speak of it.

    Some tools cut their files short without noticing, and fail when they read them back.
    """
    if work is None or isinstance(error, RankletError):
        return None
    free = shutil.disk_usage(work).free
    written = sum(path.stat().st_size for path in work.rglob("*"))
    if free > written:
        return None
    return f"the disk is full, only {free / 1e6:.0f} MB are left, or: {first_line(error)}"


def _lack_of_space(error: BaseException | None) -> str | None:
    """Look for a full disk among the causes of ``error``."""
    while error is not None:
        number = error.errno if isinstance(error, OSError) else None
        found = (code for words, code in _FULL_IN_WORDS.items() if words in str(error))
        if (problem := _FULL.get(number or next(found, 0))) is not None:
            return problem
        error = error.__cause__ or error.__context__
    return None
