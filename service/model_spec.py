"""What is loaded: a bundle and the options it is opened with."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ranklet.runtime.bundle import choose_variant
from ranklet.runtime.manifest import Manifest, read_manifest
from ranklet.runtime.processor import detect_processor
from ranklet.runtime.reranker import Reranker
from ranklet.runtime.score_cache import ScoreCache
from ranklet.runtime.sessions import cuda_is_available

from .errors import BundleRebuiltError


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Names with equal specifications share one reranker."""

    bundle: Path
    variant: str | None
    workers: int | None
    window_tokens: int | None
    """Shorter than the bundle's own window, which it has where None."""
    fingerprint: str
    """Of the manifest: a bundle that was built again is another model."""
    size_bytes: int
    """Of the files that run, tokenizer included."""


def specify(
    bundle: Path,
    manifest: Manifest,
    *,
    variant: str | None,
    workers: int | None,
    window_tokens: int | None = None,
) -> ModelSpec:
    """Say what is to be loaded, having checked that it can be.

    Args:
        bundle: The bundle's folder; links are followed.
        manifest: Its manifest.
        variant: Which variant to run; the best for this machine where None.
        workers: Pairs to score at the same time.
        window_tokens: The longest pair to read.

    Raises:
        VariantError: no variant of that name, or none that fits this machine.
    """
    choice = choose_variant(manifest, detect_processor(), cuda=cuda_is_available(), name=variant)
    return ModelSpec(
        bundle=bundle.resolve(),
        variant=variant,
        workers=workers,
        window_tokens=window_tokens,
        fingerprint=_fingerprint(manifest),
        size_bytes=choice.variant.size_bytes + manifest.tokenizer.size_bytes,
    )


def open_warm(spec: ModelSpec, *, cache: ScoreCache | None = None) -> Reranker:
    """Open a model and score a pair, so that the first request need not pay for that.

    Args:
        spec: What to open.
        cache: Where it keeps its scores; models may share it.

    Raises:
        BundleError: the bundle is incomplete or damaged.
        BundleRebuiltError: it is not the one that was specified.
        ScoringError: the graph fails.
    """
    _require_unchanged(spec)
    reranker = Reranker.open(
        spec.bundle,
        variant=spec.variant,
        workers=spec.workers,
        window_tokens=spec.window_tokens,
        cache=cache,
    )
    try:
        _require_unchanged(spec)  # nor built again while it was opened
        reranker.score("warm up", ["warm up"])
    except BaseException:
        reranker.close()
        raise
    return reranker


def _require_unchanged(spec: ModelSpec) -> None:
    """Refuse another manifest: all that is known of the model, as its activation, is the old's."""
    if _fingerprint(read_manifest(spec.bundle)) != spec.fingerprint:
        raise BundleRebuiltError(spec.bundle)


def _fingerprint(manifest: Manifest) -> str:
    return hashlib.sha256(msgspec.json.encode(manifest)).hexdigest()
