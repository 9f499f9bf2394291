"""Opening a checkpoint: where it is, whether it can be exported, what a bundle says about it."""

from dataclasses import dataclass
from pathlib import Path

from ranklet.runtime.manifest import Activation, Source

from . import hub
from .checkpoint_config import CheckpointConfig, read_config
from .checksum import sha256
from .errors import SourceNotFoundError, UnsupportedCheckpointError
from .model_card import read_licence
from .tokenizer_file import require_tokenizer
from .weights import require_whole, weight_files


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint in a local folder that was found fit to be exported."""

    folder: Path
    source: Source
    architecture: str
    window_tokens: int
    activation: Activation


def open_checkpoint(source: str, *, revision: str | None = None) -> Checkpoint:
    """Find a checkpoint, on the hub if need be, and check that it can be exported.

    Args:
        source: A folder in Hugging Face layout, or a hub id, ``organisation/name``.
        revision: Branch, tag or commit on the hub.

    Raises:
        SourceNotFoundError: it is neither a folder nor a hub id.
        DownloadError: the hub did not give it.
        UnsupportedCheckpointError: it is something else than a one-logit cross-encoder with a fast
            tokenizer and safetensors weights.
    """
    folder = Path(source).expanduser()
    if folder.exists():
        return _open_folder(source, folder, revision)
    if source.startswith("flashrank:"):
        problem = "FlashRank's archives cannot be imported; export the checkpoint behind this one"
        raise SourceNotFoundError(source, problem)
    if not hub.looks_like_hub_id(source):
        problem = "there is no such folder, and a model on the hub is called organisation/name"
        raise SourceNotFoundError(source, problem)
    return _open_hub_model(source, revision)


def _open_folder(source: str, folder: Path, revision: str | None) -> Checkpoint:
    if revision is not None:
        raise SourceNotFoundError(source, "--revision is for models on the hub, this is a folder")
    if not folder.is_dir():
        raise SourceNotFoundError(source, "this is a file; name the checkpoint's folder")
    config = _check_description(source, folder)
    names = weight_files(source, folder, [path.name for path in folder.iterdir()])
    require_whole(source, folder, names)
    digest = "sha256:" + sha256(folder / name for name in names)
    return _describe(folder, config, Source(folder.resolve().name, digest, read_licence(folder)))


def _open_hub_model(source: str, revision: str | None) -> Checkpoint:
    model = hub.fetch_description(source, revision)
    config = _check_description(source, model.folder)
    present = model.files or [path.name for path in model.folder.iterdir()]
    names = weight_files(source, model.folder, present)
    hub.fetch_weights(model, names)
    require_whole(source, model.folder, names)
    licence = read_licence(model.folder)
    return _describe(model.folder, config, Source(source, model.commit, licence))


def _check_description(source: str, folder: Path) -> CheckpointConfig:
    """Check all that can be known before the weights are there."""
    config = read_config(source, folder)
    vocabulary_size = require_tokenizer(source, folder)
    if config.vocabulary_size is not None and vocabulary_size > config.vocabulary_size:
        found = (
            f"its tokenizer knows {vocabulary_size} tokens, its embeddings only "
            f"{config.vocabulary_size}: they do not belong together"
        )
        raise UnsupportedCheckpointError(source, found)
    return config


def _describe(folder: Path, config: CheckpointConfig, source: Source) -> Checkpoint:
    return Checkpoint(folder, source, config.architecture, config.window_tokens, config.activation)
