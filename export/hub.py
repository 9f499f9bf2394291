"""Fetching a checkpoint from the hub, into the cache of the hub's own client.

The client reads ``HF_HOME``, ``HF_TOKEN``, ``HF_ENDPOINT`` and ``HF_HUB_OFFLINE`` by itself, shows
progress and resumes what broke off. Only what an export reads is fetched, and the weights last, so
that a model that is refused costs little. Every file is compared with its checksum.
"""

import glob
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import chain
from pathlib import Path

import huggingface_hub
from huggingface_hub import HfApi, constants
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RevisionNotFoundError,
)

from .checksum import matches_etag
from .errors import DownloadError, first_line

_DESCRIPTION = ("*.json", "*.model", "*.txt", "README.md")
"""All of a checkpoint but its weights."""

_SUBFOLDERS = "*/*"
"""Mostly conversions for other programs; what of them is read is fetched by name."""

_MODULE_CONFIG = re.compile(r"\d+_\w+/config\.json")
"""Describes a module that sentence-transformers keeps beside the encoder."""

_WEIGHTS = frozenset({".onnx", ".safetensors", ".zip"})

_PART_OF_MODEL = (
    "the cache holds only a part of the model; run the same command again, without HF_HUB_OFFLINE, "
    "to fetch the rest"
)


@dataclass(frozen=True, slots=True)
class HubModel:
    """A model on the hub, at one commit of it."""

    repo_id: str
    commit: str
    files: tuple[str, ...] | None
    """All files of the commit; None in offline mode, where only the cache is known."""
    folder: Path
    """Where the files lie that were fetched so far."""


def fetch_description(repo_id: str, revision: str | None) -> HubModel:
    """Fetch all but the weights.

    Raises:
        DownloadError: the hub cannot be reached or does not give the model.
    """
    if constants.HF_HUB_OFFLINE:
        folder = _snapshot(repo_id, revision, ["*"])
        if not any(path.suffix in _WEIGHTS for path in folder.rglob("*")):
            raise DownloadError(repo_id, _PART_OF_MODEL)
        return HubModel(repo_id, folder.name, None, folder)
    folder = _snapshot(repo_id, revision, _DESCRIPTION, ignored=[_SUBFOLDERS])
    _require_checksums(repo_id, chain.from_iterable(map(folder.glob, _DESCRIPTION)))
    commit = folder.name
    try:
        info = HfApi().model_info(repo_id, revision=commit)
    except (OSError, ValueError) as error:
        raise DownloadError(repo_id, _explain(repo_id, error, revision)) from error
    files = tuple(sibling.rfilename for sibling in info.siblings or ())
    model = HubModel(repo_id, commit, files, folder)
    fetch_files(model, [name for name in files if _MODULE_CONFIG.fullmatch(name)])
    return model


def fetch_files(model: HubModel, names: Sequence[str]) -> None:
    """Fetch the files called ``names`` into the model's folder.

    Raises:
        DownloadError: a file could not be fetched in full, or is another one than was announced.
    """
    if names and model.files is not None:
        _snapshot(model.repo_id, model.commit, [glob.escape(name) for name in names])
    for name in names:
        if not (model.folder / name).exists():
            raise DownloadError(model.repo_id, f"{name} did not arrive: {_PART_OF_MODEL}")
    _require_checksums(model.repo_id, (model.folder / name for name in names))


def _require_checksums(repo_id: str, paths: Iterable[Path]) -> None:
    """Check files in the cache, where each lies under its checksum; remove one that differs.

    The client compares sizes alone.
    """
    for path in paths:
        stored = path.resolve()
        if stored.parent.name == "blobs" and not matches_etag(stored, stored.name):
            stored.unlink()
            path.unlink()
            problem = (
                f"{path.name} has another checksum than the hub announced: it was changed "
                "meanwhile or damaged on its way; it is removed, run the same command again"
            )
            raise DownloadError(repo_id, problem)


def _snapshot(
    repo_id: str, revision: str | None, patterns: Sequence[str], *, ignored: Sequence[str] = ()
) -> Path:
    try:
        folder = huggingface_hub.snapshot_download(
            repo_id,
            revision=revision,
            allow_patterns=list(patterns),
            ignore_patterns=list(ignored),
            local_files_only=constants.HF_HUB_OFFLINE,
        )
    except (OSError, ValueError) as error:
        raise DownloadError(repo_id, _explain(repo_id, error, revision)) from error
    return Path(folder)


def _explain(repo_id: str, error: Exception, revision: str | None) -> str:
    """Say in a line what went wrong and what to do about it."""
    status = _status(error)
    if isinstance(error, RevisionNotFoundError):
        return f"it has no revision {revision!r}"
    if isinstance(error, GatedRepoError):
        return "access must be granted first: accept its terms on the hub and set HF_TOKEN"
    if status is not None:
        return _explain_status(repo_id, status)
    if isinstance(error, LocalEntryNotFoundError) and constants.HF_HUB_OFFLINE:
        return f"HF_HUB_OFFLINE is set, and it is not in the cache{_nor_here(repo_id)}"
    if isinstance(error, OSError) and error.errno is None:
        return (
            f"{constants.ENDPOINT} cannot be reached, or the connection broke off: run the same "
            "command again to resume; HF_HUB_OFFLINE=1 takes a model from the cache"
            f"{_nor_here(repo_id)}"
        )
    return first_line(error)


def _nor_here(repo_id: str) -> str:
    """Say that the name is that of no folder either: one may have been meant."""
    return "" if Path(repo_id).exists() else " (and there is no such folder here)"


def _explain_status(repo_id: str, status: int) -> str:
    answer = f"{constants.ENDPOINT} answered {status}"
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        problem = "there is no such model, or HF_TOKEN gives no access to it"
        return f"{answer}: {problem}{_nor_here(repo_id)}"
    if status == HTTPStatus.NOT_FOUND:
        nor_here = "" if Path(repo_id).exists() else ", and no such folder here"
        return f"{answer}: there is no such model{nor_here}"
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return f"{answer}; try again later"
    return answer


def _status(error: BaseException | None) -> int | None:
    """Find the HTTP status, of the error itself or of the one that led to it."""
    while error is not None:
        if isinstance(error, HfHubHTTPError) and error.response is not None:
            return error.response.status_code
        error = error.__cause__
    return None
