"""What can be wrong with a test collection, a run or a metric; all of it is for the caller."""

import importlib.util
from pathlib import Path

from ranklet.runtime.errors import InputError, RankletError

_PACKAGES = ("bm25s", "ir_measures", "rich", "scipy")


class CollectionError(InputError):
    """A file of a test collection does not hold what it should."""

    def __init__(self, path: Path, line: int | None, problem: str) -> None:
        """Name the file, the line where there is one, counted from 1, and the problem."""
        place = f"{path}" if line is None else f"{path}, line {line}"
        super().__init__(f"{place}: {problem}")
        self.path = path
        self.line = line


class CollectionFileMissingError(CollectionError, FileNotFoundError):
    """A file that the test collection needs is not there."""

    def __init__(self, path: Path, *, hint: str) -> None:
        """Name the missing ``path`` and, in ``hint``, what to do about it."""
        super().__init__(path, None, f"does not exist; {hint}")

    def __str__(self) -> str:
        """Give the message alone: OSError would print a tuple."""
        return str(self.args[0])


class MetricError(InputError):
    """``ir-measures`` does not know or cannot compute a metric."""

    def __init__(self, metric: str, problem: str) -> None:
        """Name the ``metric`` as it was given and the problem."""
        super().__init__(
            f"metric {metric!r}: {problem}; "
            "write metrics as ir-measures does: nDCG@10, RR@10, AP, RR(rel=2)@10"
        )


class CacheError(InputError):
    """Scores cannot be kept."""

    def __init__(self, path: Path, error: OSError) -> None:
        """Name the file and what the system says."""
        super().__init__(
            f"cannot keep scores in {path}: {error.strerror}; name another folder with --cache"
        )


class MissingPackageError(RankletError, ImportError):
    """A package that measuring quality needs is not installed."""

    def __init__(self, package: str) -> None:
        """Name the ``package`` and the extra that brings it."""
        super().__init__(
            f"measuring quality needs {package}; install it with: pip install 'ranklet[eval]'"
        )


def require_packages() -> None:
    """Check that all packages are installed that measuring quality needs.

    Raises:
        MissingPackageError: one is not.
    """
    for package in _PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise MissingPackageError(package)
