"""Opening a checkpoint: where it is, whether it can be exported, what a bundle says about it."""

from dataclasses import dataclass
from pathlib import Path

from ranklet.runtime.manifest import Activation, Prompt, Source

from . import hub
from .checkpoint_config import CheckpointConfig, read_config
from .checksum import sha256
from .errors import SourceNotFoundError, UnsupportedCheckpointError
from .head import Head
from .links import refuse_links_outside
from .model_card import read_licence
from .tokenizer_file import require_tokenizer
from .weights import require_whole, weight_files


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint in a local folder that was found fit to be exported."""

    folder: Path
    source: Source
    architecture: str
    head: Head
    window_tokens: int
    activation: Activation
    prompt: Prompt | None = None


def open_checkpoint(
    source: str, *, revision: str | None = None, template: str | None = None
) -> Checkpoint:
    """Find a checkpoint, on the hub if need be, and check that it can be exported.

    Args:
        source: A folder in Hugging Face layout, or a hub id, ``organisation/name``.
        revision: Branch, tag or commit on the hub.
        template: The prompt that a language model was trained to rerank with, by name.

    Raises:
        SourceNotFoundError: it is neither a folder nor a hub id.
        DownloadError: the hub did not give it.
        UnsupportedCheckpointError: it is something else than a reranker with a fast tokenizer and
            safetensors weights.
    """
    folder = Path(source).expanduser()
    if folder.exists():
        return _open_folder(source, folder, revision, template)
    if source.startswith("flashrank:"):
        problem = "FlashRank's archives cannot be imported; export the checkpoint behind this one"
        raise SourceNotFoundError(source, problem)
    if not hub.looks_like_hub_id(source):
        problem = "there is no such folder, and a model on the hub is called organisation/name"
        raise SourceNotFoundError(source, problem)
    return _open_hub_model(source, revision, template)


def _open_folder(
    source: str, folder: Path, revision: str | None, template: str | None
) -> Checkpoint:
    if revision is not None:
        raise SourceNotFoundError(source, "--revision is for models on the hub, this is a folder")
    if not folder.is_dir():
        raise SourceNotFoundError(source, "this is a file; name the checkpoint's folder")
    refuse_links_outside(source, folder)
    config = _check_description(source, folder, template)
    names = weight_files(source, folder, config.head, _file_names(folder))
    require_whole(source, folder, names)
    digest = "sha256:" + sha256(folder / name for name in names)
    return _describe(folder, config, Source(folder.resolve().name, digest, read_licence(folder)))


def _open_hub_model(source: str, revision: str | None, template: str | None) -> Checkpoint:
    model = hub.fetch_description(source, revision)
    config = _check_description(source, model.folder, template)
    present = model.files or _file_names(model.folder)
    names = weight_files(source, model.folder, config.head, present)
    hub.fetch_files(model, names)
    require_whole(source, model.folder, names)
    licence = read_licence(model.folder)
    return _describe(model.folder, config, Source(source, model.commit, licence))


def _file_names(folder: Path) -> list[str]:
    """Name the files in ``folder`` and right below it."""
    paths = [*folder.glob("*"), *folder.glob("*/*")]
    return [path.relative_to(folder).as_posix() for path in paths]


def _check_description(source: str, folder: Path, template: str | None) -> CheckpointConfig:
    """Check all that can be known before the weights are there."""
    config = read_config(source, folder, template=template)
    vocabulary_size = require_tokenizer(source, folder)
    if config.vocabulary_size is not None and vocabulary_size > config.vocabulary_size:
        found = (
            f"its tokenizer knows {vocabulary_size} tokens, its embeddings only "
            f"{config.vocabulary_size}: they do not belong together"
        )
        raise UnsupportedCheckpointError(source, found)
    return config


def _describe(folder: Path, config: CheckpointConfig, source: Source) -> Checkpoint:
    return Checkpoint(
        folder,
        source,
        config.architecture,
        config.head,
        config.window_tokens,
        config.activation,
        config.prompt,
    )
