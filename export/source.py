"""From what the user names to a model that can be exported."""

from collections.abc import Collection
from pathlib import Path

from ranklet.runtime.placement import expanded

from . import hub
from .checkpoint import Checkpoint, file_names, open_folder, open_hub_model
from .checkpoint_config import needs_program_code
from .errors import ExportError, SourceNotFoundError
from .flashrank_archive import PREFIX
from .onnx_source import (
    open_archive,
    open_flashrank_model,
    open_graph_folder,
    open_graph_on_hub,
    prefers_graph,
)
from .request import ExportRequest, looks_like_hub_id


def open_source(request: ExportRequest, unpacked: Path) -> Checkpoint:
    """Find the request's model, on the hub if need be, and check that it can be exported.

    Args:
        request: What to export.
        unpacked: A folder for what lies in an archive.

    Raises:
        SourceNotFoundError: there is no such folder or file, and it is no name of a model.
        DownloadError: the hub did not give it.
        UnsupportedCheckpointError: it is no reranker with a fast tokenizer, in safetensors or as a
            graph.
        ExportError: an option means nothing for it.
    """
    source, revision = request.source, request.revision
    if source.startswith(PREFIX):
        _require_graph_options(request)
        return open_flashrank_model(source, revision, unpacked, graph=request.graph)
    path = expanded(source)
    if path.exists() and not request.means_hub:
        return _open_path(request, path, unpacked)
    if path.is_symlink() and not request.means_hub:
        raise SourceNotFoundError(source, "this is a link that leads nowhere")
    if not looks_like_hub_id(source):
        problem = "there is no such folder, and a model on the hub is called organisation/name"
        raise SourceNotFoundError(source, problem)
    if path.parent.is_dir() and revision is None:
        problem = f"there is no such folder in {path.parent}; --revision main seeks it on the hub"
        raise SourceNotFoundError(source, problem)
    model = hub.fetch_description(source, revision)
    present = file_names(model.folder) if model.files is None else model.files
    if _takes_graph(request, model.folder, present):
        return open_graph_on_hub(source, model, graph=request.graph)
    return open_hub_model(source, model, request.template)


def _open_path(request: ExportRequest, path: Path, unpacked: Path) -> Checkpoint:
    source = request.source
    if request.revision is not None:
        problem = "--revision is for models on the hub, this is a folder or a file"
        raise SourceNotFoundError(source, problem)
    if path.is_dir():
        if _takes_graph(request, path, file_names(path)):
            return open_graph_folder(source, path, graph=request.graph)
        return open_folder(source, path, request.template)
    if path.suffix == ".zip":
        _require_graph_options(request)
        return open_archive(source, path, unpacked, graph=request.graph)
    problem = "this is a file; name the checkpoint's folder, or a zip archive of FlashRank's"
    raise SourceNotFoundError(source, problem)


def _takes_graph(request: ExportRequest, folder: Path, present: Collection[str]) -> bool:
    if request.graph is None:
        needs_code = needs_program_code(request.source, folder)
        if not prefers_graph(request.origin, present, needs_code=needs_code):
            return False
    _require_graph_options(request)
    return True


def _require_graph_options(request: ExportRequest) -> None:
    """Check that nothing was asked for that only the conversion of weights can do.

    Raises:
        ExportError: something was; left aside, the bundle would be another one than was meant.
    """
    if request.template is not None:
        message = (
            "--template is for weights that torch converts, and this is a ready graph: leave it "
            "out, or convert the weights with --from torch"
        )
        raise ExportError(message)
    if request.origin == "torch":
        message = "--from torch converts weights, and FlashRank's models are ready graphs"
        raise ExportError(message)
