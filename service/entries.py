"""The models that the settings and their configuration name, checked before any is loaded."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ranklet.runtime.errors import BundleError, BundleFileMissingError
from ranklet.runtime.manifest import MANIFEST_NAME, Activation, Manifest, read_manifest

from .errors import ModelConfigError
from .model_config import ConfiguredModel, ModelConfig, read_model_configs
from .model_spec import ModelSpec, specify
from .resolution import ModelSource, UnresolvableError, resolve
from .settings import Settings

_CHUNK_WINDOWS = 10
"""Windows of a long document where its model is configured to read all of it: Cohere's default for
``max_chunks_per_doc``, about 3,500 words for a window of 512 tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogEntry:
    """A name, what is behind it and how it scores."""

    name: str
    aliases: tuple[str, ...] = ()
    source: ModelSource
    manifest: Manifest | None
    """With the window that is read here; None where the bundle has not been built yet."""
    spec: ModelSpec | None
    """What is to be loaded, None as above."""
    created: int
    """When the bundle was built, in seconds since 1970; where it has not been, when it was looked
    for."""
    preload: bool | None = None
    """Whether it is loaded at start; where None, only if it is the default model."""
    max_windows: int = 1
    """Windows of a long document, where the request does not say."""
    activation: Activation = "sigmoid"
    """What makes scores of logits, where the request does not ask for raw ones. Clients compare
    scores with thresholds from 0 to 1, whatever the bundle's authors gave out."""


def read_entries(settings: Settings) -> tuple[CatalogEntry, ...]:
    """Look up every model that the settings name.

    Raises:
        BundleError: a ``--model`` is not there, not a bundle or without the variant.
        ModelConfigError: lists all problems of the configuration.
    """
    bundles = [_named_bundle(folder, settings) for folder in settings.models]
    configured, problems = _configured_models(settings)
    problems += _name_problems(bundles, configured)
    entries = [*bundles, *configured]
    problems += _memory_problems(entries, settings)
    if problems:
        raise ModelConfigError(problems)
    return tuple(entries)


def default_of(entries: Sequence[CatalogEntry]) -> CatalogEntry:
    """Give the model that answers when a request names none: the first that is installed."""
    return next((entry for entry in entries if entry.spec is not None), entries[0])


def preloaded(entries: Sequence[CatalogEntry]) -> list[ModelSpec]:
    """Give what is to be loaded before anybody asks for it, each once."""
    found: dict[ModelSpec, None] = {}
    for entry in entries:
        is_wanted = entry is default_of(entries) if entry.preload is None else entry.preload
        if entry.spec is not None and is_wanted:
            found[entry.spec] = None
    return list(found)


def _named_bundle(folder: Path, settings: Settings) -> CatalogEntry:
    manifest = read_manifest(folder)
    return CatalogEntry(
        name=manifest.name,
        source=ModelSource(manifest.source.checkpoint, folder),
        manifest=manifest,
        spec=specify(folder, manifest, variant=settings.variant, workers=settings.workers),
        created=_created(folder),
    )


def _configured_models(settings: Settings) -> tuple[list[CatalogEntry], list[str]]:
    if settings.config is None:
        return [], []
    models, problems = read_model_configs(settings.config)
    entries: list[CatalogEntry] = []
    for model in models:
        try:
            entries.append(_configured(model, settings))
        except (UnresolvableError, BundleError) as error:
            problems.append(f"{model.place}: {error}")
    return entries, problems + _bundle_problems(entries)


def _configured(model: ConfiguredModel, settings: Settings) -> CatalogEntry:
    config = model.config
    source = resolve(model, settings.models_dir)
    manifest = _installed(source.bundle)
    spec = None if manifest is None else _spec(config, source.bundle, manifest, settings)
    if manifest is not None and config.max_length is not None:
        manifest = msgspec.structs.replace(manifest, window_tokens=config.max_length)
    return CatalogEntry(
        name=config.name,
        aliases=config.aliases,
        source=source,
        manifest=manifest,
        spec=spec,
        created=_created(source.bundle),
        preload=config.preload,
        max_windows=_CHUNK_WINDOWS if config.long_documents == "chunk" else 1,
        activation="identity" if config.score == "raw" else "sigmoid",
    )


def _created(bundle: Path) -> int:
    try:
        return int((bundle / MANIFEST_NAME).stat().st_mtime)
    except OSError:
        return int(time.time())


def _installed(bundle: Path) -> Manifest | None:
    try:
        return read_manifest(bundle)
    except BundleFileMissingError:
        return None


def _spec(config: ModelConfig, bundle: Path, manifest: Manifest, settings: Settings) -> ModelSpec:
    window = manifest.window_tokens
    if config.max_length is not None and config.max_length > window:
        message = f"max_length is {config.max_length}, more than the model's window of {window}"
        raise UnresolvableError(message)
    return specify(
        bundle,
        manifest,
        variant=config.variant or settings.variant,
        workers=config.workers or settings.workers,
        # The whole window, given or not, is the same model.
        window_tokens=None if config.max_length == window else config.max_length,
    )


def _name_problems(bundles: list[CatalogEntry], configured: list[CatalogEntry]) -> list[str]:
    """Find names that a ``--model`` shares; files have been compared with each other already."""
    taken = {name for entry in configured for name in (entry.name, *entry.aliases)}
    problems: list[str] = []
    for entry in bundles:
        if entry.name in taken:
            problems.append(f"more than one model is called {entry.name!r}, one with --model")
        taken.add(entry.name)
    return problems


def _bundle_problems(configured: list[CatalogEntry]) -> list[str]:
    """Find checkpoints whose bundles would be looked for in one folder: each has its own."""
    first: dict[Path, CatalogEntry] = {}
    problems: list[str] = []
    for entry in configured:
        source = entry.source
        if source.is_named:
            continue
        other = first.setdefault(source.bundle, entry)
        if other.source.checkpoint != source.checkpoint:
            problems.append(
                f"the models {other.name!r} and {entry.name!r} are made of different checkpoints, "
                f"{other.source.checkpoint} and {source.checkpoint}, and would both have their "
                f"bundle in {source.bundle}; export one to a folder of another name and give that "
                "folder as its parameters.model"
            )
    return problems


def _memory_problems(entries: list[CatalogEntry], settings: Settings) -> list[str]:
    budget = settings.max_model_bytes
    if budget is None:
        return []
    problems = [
        f"the model {entry.name!r} takes {_megabytes(entry.spec.size_bytes)}, {_beyond(budget)}"
        for entry in entries
        if entry.spec is not None and entry.spec.size_bytes > budget
    ]
    together = sum(spec.size_bytes for spec in preloaded(entries)) if entries else 0
    if not problems and together > budget:
        problems.append(
            f"the models to preload take {_megabytes(together)} together, {_beyond(budget)}"
        )
    return problems


def _beyond(budget: int) -> str:
    return f"more than the {_megabytes(budget)} that RANKLET_MAX_MODEL_BYTES allows"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
