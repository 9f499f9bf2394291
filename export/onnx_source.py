"""Ready graphs in a folder, on the hub or in FlashRank's archives: found, and found fit."""

import importlib.util
from collections.abc import Collection
from pathlib import Path

from ranklet.runtime.manifest import Source

from . import flashrank_archive, hub
from .archive import unpack
from .checkpoint import Checkpoint, file_names, require_own_vocabulary
from .checkpoint_config import read_graph_config
from .checksum import sha256
from .errors import UnsupportedCheckpointError
from .links import refuse_links_outside
from .model_card import read_licence
from .onnx_graph import describe_graph, external_files
from .request import Origin

_USUAL = ("onnx/model.onnx", "model.onnx")
"""Where optimum, sentence-transformers and transformers.js keep the fp32 graph."""


def prefers_graph(origin: Origin, present: Collection[str], *, needs_code: bool) -> bool:
    """Whether to import a ready graph rather than convert with torch.

    Left to itself, an export takes what it can prove best: the weights, with torch beside them as
    the judge. It takes a graph where there are no safetensors, or no torch, or where the weights
    need program code of their own, which is never run.
    """
    if origin != "auto":
        return origin == "onnx"
    has_weights = any(name.endswith(".safetensors") for name in present)
    has_graph = any(name.endswith(".onnx") for name in present)
    can_convert = has_weights and not needs_code and importlib.util.find_spec("torch") is not None
    return has_graph and not can_convert


def open_graph_folder(
    source: str, folder: Path, *, graph: str | None, name: str | None = None
) -> Checkpoint:
    """Open a folder with a ready graph.

    Args:
        source: The folder as the user named it.
        folder: Where it is.
        graph: Which ``.onnx`` file to take; the usual or only one where None.
        name: What the manifest says that the weights come from; the folder's name where None.

    Raises:
        UnsupportedCheckpointError: it cannot be imported.
    """
    refuse_links_outside(source, folder)
    present = file_names(folder)
    path = folder / _choose_graph(source, present, graph)
    data = [path.with_name(name) for name in external_files(source, path)]
    is_flashrank = flashrank_archive.is_flashrank_layout(present)
    missing = [file.name for file in data if not file.is_file()]
    if missing:
        found = f"it lacks {missing[0]}, the weights of {path.name}"
        raise UnsupportedCheckpointError(source, found)
    digest = "sha256:" + sha256([path, *data])
    record = Source(name or folder.resolve().name, digest, read_licence(folder))
    return _describe(source, folder, path, record, is_flashrank=is_flashrank)


def open_graph_on_hub(source: str, model: hub.HubModel, *, graph: str | None) -> Checkpoint:
    """Open a ready graph on the hub; arguments and errors as for a folder.

    Raises:
        DownloadError: the hub did not give a file.
    """
    present = file_names(model.folder) if model.files is None else model.files
    chosen = Path(_choose_graph(source, present, graph))
    hub.fetch_files(model, [chosen.as_posix()])
    data = external_files(source, model.folder / chosen)
    hub.fetch_files(model, [chosen.with_name(name).as_posix() for name in data])
    record = Source(source, model.commit, read_licence(model.folder))
    path = model.folder / chosen
    return _describe(source, model.folder, path, record, is_flashrank=False)


def open_archive(source: str, archive: Path, unpacked: Path, *, graph: str | None) -> Checkpoint:
    """Open a zip archive in FlashRank's layout, unpacked into ``unpacked``.

    Raises:
        UnsupportedCheckpointError: it is harmful or cannot be imported.
    """
    unpack(source, archive, unpacked)
    folder = flashrank_archive.unpacked_folder(source, unpacked)
    return open_graph_folder(source, folder, graph=graph, name=archive.name)


def open_flashrank_model(
    source: str, revision: str | None, unpacked: Path, *, graph: str | None
) -> Checkpoint:
    """Fetch and open one of FlashRank's own models; errors as those of ``fetch_archive``."""
    fetched = flashrank_archive.fetch_archive(source, revision)
    unpack(source, fetched.path, unpacked)
    folder = flashrank_archive.unpacked_folder(source, unpacked)
    path = folder / _choose_graph(source, file_names(folder), graph)
    record = Source(source, fetched.model.commit, read_licence(fetched.model.folder))
    return _describe(source, folder, path, record, is_flashrank=True)


def _choose_graph(source: str, present: Collection[str], wanted: str | None) -> str:
    graphs = sorted(name for name in present if name.endswith(".onnx"))
    if wanted is not None and wanted in graphs:
        return wanted
    known = ", ".join(graphs)
    if wanted is not None and graphs:
        raise UnsupportedCheckpointError(source, f"it has no graph {wanted}, only: {known}")
    for name in _USUAL:
        if name in graphs:
            return name
    if len(graphs) == 1:
        return graphs[0]
    found = (
        f"it holds several graphs; choose one with --graph: {known}"
        if graphs
        else "there is no .onnx file in it, nor in its folder onnx"
    )
    raise UnsupportedCheckpointError(source, found)


def _describe(
    source: str, folder: Path, path: Path, record: Source, *, is_flashrank: bool
) -> Checkpoint:
    graph = describe_graph(source, path, keep=is_flashrank)
    config = read_graph_config(source, folder, labels=graph.labels)
    require_own_vocabulary(source, folder, config)
    return Checkpoint(
        folder,
        record,
        config.architecture,
        config.head,
        config.window_tokens,
        # FlashRank does so whatever the configuration says, on the tokenizer, too.
        "sigmoid" if is_flashrank else config.activation,
        graph=graph,
        keeps_tokenizer=is_flashrank,
    )
