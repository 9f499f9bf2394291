"""FlashRank's models: zip archives on the hub, each a folder with a graph and a tokenizer."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from . import hub
from .errors import MissingToolError, SourceNotFoundError, UnsupportedCheckpointError

PREFIX = "flashrank:"

_PACKAGE = "flashrank"

_URL = re.compile(r"https://huggingface\.co/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/")


@dataclass(frozen=True, slots=True)
class FetchedArchive:
    """An archive in the hub's cache."""

    path: Path
    model: hub.HubModel
    """The repository that it lies in."""


def fetch_archive(source: str, revision: str | None) -> FetchedArchive:
    """Fetch the archive of a model, as the ``flashrank`` package knows it.

    It lies on the hub, so the hub's own client fetches it: mirrors, tokens, the cache, resuming and
    checksums work as for every other model.

    Args:
        source: ``flashrank:`` and the name that the package has for the model.
        revision: Branch, tag or commit; the package's own where None.

    Raises:
        MissingToolError: the package is not installed.
        SourceNotFoundError: it has no model of that name.
        UnsupportedCheckpointError: it is no cross-encoder.
        DownloadError: the hub did not give it.
    """
    try:
        from flashrank import Config  # noqa: PLC0415 - only for its names
    except ImportError as error:
        raise MissingToolError(_PACKAGE) from error
    name = source.removeprefix(PREFIX)
    graphs: dict[str, str] = Config.model_file_map
    _require_graph(source, name, graphs)
    location = _URL.match(Config.model_url)
    if location is None:
        message = f"this version of flashrank keeps its models elsewhere: {Config.model_url}"
        raise SourceNotFoundError(source, message)
    model = hub.fetch_description(location["repo"], revision or location["revision"])
    archive = f"{name}.zip"
    if model.files is not None and archive not in model.files:
        raise SourceNotFoundError(source, f"{location['repo']} has no {archive}")
    hub.fetch_files(model, [archive])
    return FetchedArchive(model.folder / archive, model)


def _require_graph(source: str, name: str, graphs: dict[str, str]) -> None:
    usable = [known for known, file in graphs.items() if file.endswith(".onnx")]
    if name in usable:
        return
    if name in graphs:
        found = (
            f"{graphs[name]} is a language model that orders lists and gives no scores; "
            f"FlashRank's cross-encoders are {', '.join(usable)}"
        )
        raise UnsupportedCheckpointError(source, found)
    problem = f"FlashRank has no such model; its cross-encoders are {', '.join(usable)}"
    raise SourceNotFoundError(source, problem)


def unpacked_folder(source: str, folder: Path) -> Path:
    """Give the folder of the model in what was unpacked: most archives hold one folder."""
    for place in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
        if any(place.glob("*.onnx")):
            return place
    raise UnsupportedCheckpointError(source, "the archive holds no model: no .onnx file")


def is_flashrank_layout(present: Collection[str]) -> bool:
    """Whether a folder is FlashRank's: one graph beside the tokenizer, not called ``model``."""
    graphs = [name for name in present if name.endswith(".onnx")]
    return len(graphs) == 1 and "/" not in graphs[0] and not graphs[0].startswith("model")
