"""Opening a checkpoint: whether it can be exported, and what a bundle says about it."""

from dataclasses import dataclass
from pathlib import Path

from ranklet.runtime.manifest import Activation, Prompt, Source

from .checkpoint_config import CheckpointConfig, read_config
from .checksum import sha256
from .errors import UnsupportedCheckpointError
from .head import Head
from .hub import HubModel, fetch_files
from .links import refuse_links_outside
from .model_card import read_licence
from .onnx_graph import ReadyGraph
from .tokenizer_file import can_be_converted, require_tokenizer
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
    graph: ReadyGraph | None = None
    """What is imported; None where torch converts the weights."""
    keeps_tokenizer: bool = False
    """Whether ``tokenizer.json`` alone counts, whatever the files beside it say."""


def open_folder(source: str, folder: Path, template: str | None = None) -> Checkpoint:
    """Open a folder in Hugging Face layout.

    Args:
        source: The folder as the user named it.
        folder: Where it is.
        template: The prompt that a language model was trained to rerank with, by name.

    Raises:
        UnsupportedCheckpointError: it is something else than a reranker with a fast tokenizer and
            safetensors weights.
    """
    refuse_links_outside(source, folder)
    config = _check_description(source, folder, template)
    names = weight_files(source, folder, config.head, file_names(folder))
    require_whole(source, folder, names)
    digest = "sha256:" + sha256(folder / name for name in names)
    return _describe(folder, config, Source(folder.resolve().name, digest, read_licence(folder)))


def open_hub_model(source: str, model: HubModel, template: str | None) -> Checkpoint:
    """Open a model on the hub; arguments and errors as for a folder.

    Raises:
        DownloadError: the hub did not give its weights.
    """
    config = _check_description(source, model.folder, template)
    present = model.files or file_names(model.folder)
    names = weight_files(source, model.folder, config.head, present)
    fetch_files(model, names)
    require_whole(source, model.folder, names)
    licence = read_licence(model.folder)
    return _describe(model.folder, config, Source(source, model.commit, licence))


def file_names(folder: Path) -> list[str]:
    """Name the files in ``folder`` and right below it."""
    paths = [*folder.glob("*"), *folder.glob("*/*")]
    return [path.relative_to(folder).as_posix() for path in paths]


def require_own_vocabulary(source: str, folder: Path, config: CheckpointConfig) -> None:
    """Check that there is a fast tokenizer, and that it belongs to the model.

    Raises:
        UnsupportedCheckpointError: there is none, or it knows more tokens than the model.
    """
    vocabulary_size = require_tokenizer(source, folder)
    if config.vocabulary_size is not None and vocabulary_size > config.vocabulary_size:
        found = (
            f"its tokenizer knows {vocabulary_size} tokens, its embeddings only "
            f"{config.vocabulary_size}: they do not belong together"
        )
        raise UnsupportedCheckpointError(source, found)


def _check_description(source: str, folder: Path, template: str | None) -> CheckpointConfig:
    """Check all that can be known before the weights are there."""
    config = read_config(source, folder, template=template)
    if not can_be_converted(folder):  # else its vocabulary is known only when it is converted
        require_own_vocabulary(source, folder, config)
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
