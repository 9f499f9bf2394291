"""Files as a manifest lists them."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from ranklet.runtime.manifest import BundleFile

_CHUNK_BYTES = 1 << 20


def describe_file(path: Path) -> BundleFile:
    """Give a file's entry in the manifest."""
    return BundleFile(path.name, sha256([path]), path.stat().st_size)


def sha256(paths: Iterable[Path]) -> str:
    """Give the hexadecimal digest of the files' contents, one after another."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()
