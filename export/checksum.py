"""Files as a manifest lists them."""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from ranklet.runtime.manifest import BundleFile


def describe_file(path: Path) -> BundleFile:
    """Give a file's entry in the manifest."""
    return BundleFile(path.name, sha256([path]), path.stat().st_size)


def sha256(paths: Iterable[Path]) -> str:
    """Give the hexadecimal digest of the files' contents, one after another."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as stream:
            hashlib.file_digest(stream, lambda: digest)
    return digest.hexdigest()


def matches_etag(path: Path, etag: str) -> bool:
    """Whether a file has the checksum that the hub gave it: sha256, or git's sha1 for small files.

    True for an etag that is neither.
    """
    if re.fullmatch("[0-9a-f]{64}", etag):
        return sha256([path]) == etag
    if re.fullmatch("[0-9a-f]{40}", etag):
        content = path.read_bytes()
        # What git calls a blob; nothing here depends on sha1 being hard to forge.
        blob = b"blob %d\0" % len(content) + content
        return hashlib.sha1(blob, usedforsecurity=False).hexdigest() == etag
    return True
