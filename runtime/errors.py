"""What can go wrong, by whose fault it is.

``BundleError`` is for the operator (a file is missing or damaged), ``InputError`` for the caller,
``OverloadedError`` asks to try again, ``ScoringError`` is ours. The service maps these classes to
HTTP statuses, the command line prints their message in one line and exits with 2.
"""

from pathlib import Path
from typing import Any


class RankletError(Exception):
    """Base of every error that ranklet raises on purpose."""

    def __reduce__(self) -> tuple[object, ...]:
        """Let it be pickled: what builds a message cannot be called again with the message."""
        return rebuild, (type(self), self.args), self.__dict__


def rebuild(kind: type[RankletError], arguments: tuple[object, ...]) -> RankletError:
    """Make a pickled error again, without what builds its message."""
    # Of several builtins above, Python makes objects with the one that lays them out.
    builtin: Any = kind
    while builtin.__module__ != "builtins":
        builtin = builtin.__base__
    error: RankletError = builtin.__new__(kind)
    error.args = arguments
    return error


class BundleError(RankletError):
    """A bundle cannot be used; the message names the file and the way out."""


class BundleFileMissingError(BundleError, FileNotFoundError):
    """A file that the bundle needs is not there."""

    def __init__(self, path: Path, *, hint: str) -> None:
        """Name the missing ``path`` and, in ``hint``, what to do about it."""
        super().__init__(f"{path} does not exist; {hint}")
        self.path = path

    def __str__(self) -> str:
        """Give the message alone: OSError would print a tuple."""
        return str(self.args[0])


class BundleFileUnreadableError(BundleError):
    """A file of the bundle is there, but the operating system does not let it be read."""

    def __init__(self, path: Path, error: OSError) -> None:
        """Name the ``path`` and say what the operating system says."""
        super().__init__(f"{path} cannot be read: {error.strerror or error}")
        self.path = path


class ChecksumError(BundleError):
    """A file of the bundle does not hold the bytes that the manifest promises."""

    def __init__(self, path: Path, *, expected: str, found: str) -> None:
        """Name ``path`` and give both numbers: the ``expected`` and the ``found`` one."""
        super().__init__(
            f"{path} is damaged: its manifest says {expected}, the file has {found}; "
            "copy the bundle again or export it again"
        )
        self.path = path


class SchemaVersionError(BundleError):
    """The manifest was written for a newer version of the bundle format."""

    def __init__(self, path: Path, *, found: int, supported: int) -> None:
        """Name the manifest's ``path``, the schema ``found`` there and the newest ``supported``."""
        super().__init__(
            f"{path} has schema version {found}, this ranklet reads up to {supported}; "
            "upgrade ranklet or export the model again"
        )
        self.found = found
        self.supported = supported


class InvalidManifestError(BundleError, ValueError):
    """The manifest is not JSON or lacks what a manifest must have."""


class VariantError(BundleError, LookupError):
    """No variant of the bundle fits the request or the processor."""


class ProviderError(BundleError):
    """The onnxruntime installation cannot run what was asked for."""


class ArchiveError(BundleError, ValueError):
    """An archive does not hold a whole bundle and nothing else."""

    def __init__(self, archive: Path, problem: str) -> None:
        """Name the ``archive`` and say what is wrong with it."""
        super().__init__(f"cannot install {archive}: {problem}")


class OutputError(RankletError):
    """A bundle cannot be written where it was asked for."""

    def __init__(self, path: Path, problem: str) -> None:
        """Name the ``path`` and say what is in the way."""
        super().__init__(f"cannot write the bundle to {path}: {problem}")


class InputError(RankletError, ValueError):
    """The caller's query, documents or options are wrong."""


class OverloadedError(RankletError):
    """Too much is waiting already; try again later."""


class ClosedError(RankletError, RuntimeError):
    """The reranker was closed while or before the request was made."""


class ScoringError(RankletError):
    """A score could not be computed although the input was sound."""
