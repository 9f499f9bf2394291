"""The models that are served, by the names that callers use."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ranklet.runtime.errors import BundleFileMissingError
from ranklet.runtime.manifest import Manifest, read_manifest
from ranklet.runtime.reranker import Reranker

from .errors import ModelConfigError, ModelNotInstalledError, NotReadyError, UnknownModelError
from .model_config import read_model_configs
from .resolution import ModelSource, UnresolvableError, resolve
from .settings import Settings

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A name and what is behind it."""

    name: str
    source: ModelSource
    manifest: Manifest | None
    """None where the bundle has not been built yet."""


class Catalog:
    """All models; names that lead to the same bundle share one reranker."""

    def __init__(
        self, entries: Sequence[CatalogEntry], *, variant: str | None, workers: int | None
    ) -> None:
        """Take the models in order; the first that is installed is the default one."""
        self.entries = tuple(entries)
        self.failure: Exception | None = None
        """Why a bundle could not be opened."""
        self.is_ready = False
        """True once every installed model is loaded and has scored a pair."""
        self._by_name = {entry.name: entry for entry in entries}
        self._folders = {entry.name: entry.source.bundle.resolve() for entry in entries}
        self._rerankers: dict[Path, Reranker] = {}
        self._variant = variant
        self._workers = workers

    @property
    def default(self) -> CatalogEntry:
        """The model that answers when a request names none."""
        installed = (entry for entry in self.entries if entry.manifest is not None)
        return next(installed, self.entries[0])

    def load(self) -> None:
        """Open the installed bundles and score a pair with each; takes a while.

        Raises nothing: what went wrong is in ``failure``.
        """
        try:
            for entry in self.entries:
                if entry.manifest is not None:
                    self._open(self._folders[entry.name])
        except Exception as error:  # noqa: BLE001 - reported by whoever asked for the models
            self.failure = error
        else:
            self.is_ready = True

    def _open(self, bundle: Path) -> None:
        if bundle in self._rerankers:
            return
        reranker = Reranker.open(bundle, variant=self._variant, workers=self._workers)
        reranker.score("warm up", ["warm up"])
        self._rerankers[bundle] = reranker
        _log.debug("loaded %s", bundle)

    def find(self, name: str | None) -> tuple[CatalogEntry, Reranker]:
        """Give the model called ``name``, the default model where None or empty.

        Raises:
            UnknownModelError: no such name.
            ModelNotInstalledError: its bundle has not been built.
            NotReadyError: it is being loaded.
        """
        entry = self._by_name.get(name) if name else self.default
        if entry is None:
            raise UnknownModelError(name or "", known=list(self._by_name))
        source = entry.source
        if entry.manifest is None:
            raise ModelNotInstalledError(
                entry.name, bundle=source.bundle, command=source.install_command
            )
        reranker = self.loaded(entry)
        if reranker is None:
            raise NotReadyError(entry.name)
        return entry, reranker

    def loaded(self, entry: CatalogEntry) -> Reranker | None:
        """Give the entry's reranker, None while it is not loaded."""
        return self._rerankers.get(self._folders[entry.name])

    def close(self) -> None:
        """Close all rerankers."""
        self.is_ready = False
        for reranker in self._rerankers.values():
            reranker.close()


def build_catalog(settings: Settings) -> Catalog:
    """Look up every model that the settings name, without loading any.

    Raises:
        BundleError: a ``--model`` is not there or not a bundle.
        ModelConfigError: lists all problems of the configuration.
    """
    entries = [_named_bundle(folder) for folder in settings.models]
    problems: list[str] = []
    if settings.config is not None:
        for model in read_model_configs(settings.config):
            try:
                source = resolve(model, settings.models_dir)
            except UnresolvableError as error:
                problems.append(f"{model.place}: {error}")
            else:
                entries.append(CatalogEntry(model.config.name, source, _installed(source.bundle)))
    names = [entry.name for entry in entries]
    repeated = sorted({name for name in names if names.count(name) > 1})
    problems += [f"more than one model is called {name!r}" for name in repeated]
    if problems:
        raise ModelConfigError(problems)
    return Catalog(entries, variant=settings.variant, workers=settings.workers)


def _named_bundle(folder: Path) -> CatalogEntry:
    manifest = read_manifest(folder)
    return CatalogEntry(manifest.name, ModelSource(manifest.source.checkpoint, folder), manifest)


def _installed(bundle: Path) -> Manifest | None:
    try:
        return read_manifest(bundle)
    except BundleFileMissingError:
        return None
