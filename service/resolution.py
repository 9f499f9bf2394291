"""From what a configuration names to the bundle that answers.

LocalAI hands ``parameters.model``, ``type`` and the language to a library that takes a name apart
by its substrings: ``jina`` anywhere in it means a remote API, ``t5`` another family. Here ``type``
decides first and names are compared whole.
"""

import os
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ranklet.runtime.errors import BundleError
from ranklet.runtime.manifest import MANIFEST_NAME, read_manifest

from .model_config import ConfiguredModel

_SHIPPED = "ranklet-mini"
_SHIPPED_CHECKPOINT = "models/ranklet-mini"

_ENGLISH = "en"

_CROSS_ENCODERS = {
    "fr": "antoinelouis/crossencoder-camembert-base-mmarcoFR",
    "zh": "BAAI/bge-reranker-base",
}
_OTHER_CROSS_ENCODER = "cross-encoder/mmarco-mMiniLMv2-L12-H384-v1"
"""What LocalAI takes corrius's copy of, which has no safetensors."""

_FLASHRANK_ENGLISH = "ms-marco-MiniLM-L-12-v2"
_FLASHRANK_OTHER = "ms-marco-MultiBERT-L-12"

_FLASHRANK_PREFIX = "flashrank:"

_ALIASES = {"cross-encoder", "flashrank"}
"""Names that LocalAI's users write for a family; ``type`` says which, where both are given."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)

_OUR_FOLDER = "models/"
"""Nobody of that name is on the hub; whoever writes it means a folder, as a checkout has it."""


@dataclass(frozen=True, slots=True)
class ModelSource:
    """What is behind a name."""

    checkpoint: str
    """What ``ranklet export`` makes the bundle of."""
    bundle: Path
    """Where the bundle is, or will be once it is built."""
    is_named: bool = False
    """Whether the configuration names the bundle itself, not what it is made of."""

    @property
    def install_command(self) -> str:
        """The command that builds the bundle, typed where the server runs."""
        return self._export_to(str(self.bundle))

    @property
    def installation(self) -> str:
        """What the operator can do, whatever the current folder is."""
        output = os.path.abspath(self.bundle)  # noqa: PTH100 - Path's own follows links
        where = ", in a checkout of ranklet" if self.checkpoint == _SHIPPED_CHECKPOINT else ""
        unpack = shlex.join(["ranklet", "bundle", "install", "FILE", "--output", output])
        return f"build it with `{self._export_to(output)}`{where}, or unpack one with `{unpack}`"

    def _export_to(self, output: str) -> str:
        return shlex.join(["ranklet", "export", self.checkpoint, "--output", output])


class UnresolvableError(Exception):
    """A configuration names nothing that is known; says what was looked for."""


def resolve(model: ConfiguredModel, models_dir: Path) -> ModelSource:
    """Give what is behind a configured model.

    Args:
        model: The model's configuration.
        models_dir: Where aliases and hub ids have their bundles.

    Raises:
        UnresolvableError: it is neither an alias, nor a folder, nor a hub id.
    """
    config = model.config
    name = config.parameters.model
    language = _language(config.diffusers.pipeline_type)
    kind = config.type or name
    if name not in _ALIASES:
        return _named(name, model.file.parent, models_dir, is_flashrank=kind == "flashrank")
    if kind == "flashrank":
        is_english = language == _ENGLISH
        return _flashrank(_FLASHRANK_ENGLISH if is_english else _FLASHRANK_OTHER, models_dir)
    return _cross_encoder(language, models_dir)


def _language(text: str | None) -> str:
    """Give the language alone: ``en`` of ``en-US``, ``EN`` or ``en_GB``."""
    return re.split("[-_]", (text or _ENGLISH).strip().lower())[0]


def _flashrank(name: str, models_dir: Path) -> ModelSource:
    return ModelSource(f"{_FLASHRANK_PREFIX}{name}", models_dir / name)


def _cross_encoder(language: str, models_dir: Path) -> ModelSource:
    if language == _ENGLISH:
        return ModelSource(_SHIPPED_CHECKPOINT, models_dir / _SHIPPED)
    return _from_hub(_CROSS_ENCODERS.get(language, _OTHER_CROSS_ENCODER), models_dir)


def _named(name: str, config_dir: Path, models_dir: Path, *, is_flashrank: bool) -> ModelSource:
    """Find a bundle, a checkpoint's folder or, where neither is there, what could be fetched."""
    try:
        places = [config_dir / Path(name).expanduser(), models_dir / Path(name).expanduser()]
        found = _in_folder(name, places, models_dir)
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        message = f"parameters.model is {name!r}, which cannot be looked for: {reason}"
        raise UnresolvableError(message) from error
    if found is not None:
        return found
    if name.startswith(_FLASHRANK_PREFIX) or (is_flashrank and "/" not in name):
        return _flashrank(name.removeprefix(_FLASHRANK_PREFIX), models_dir)
    if _is_hub_id(name):
        return _from_hub(name, models_dir)
    looked_in = " nor ".join(str(place) for place in places)
    message = (
        f"parameters.model is {name!r}: neither an alias (cross-encoder, flashrank), nor a hub id "
        f"(org/name), nor a folder: there is no bundle in {looked_in}"
    )
    raise UnresolvableError(message)


def _in_folder(name: str, places: list[Path], models_dir: Path) -> ModelSource | None:
    for place in places:
        if (place / MANIFEST_NAME).is_file():
            return ModelSource(name, place, is_named=True)
    for place in places:
        if (place / "config.json").is_file():
            return ModelSource(str(place), models_dir / place.name)
    return None


def _is_hub_id(name: str) -> bool:
    return _HUB_ID.fullmatch(name) is not None and not name.startswith(_OUR_FOLDER)


def _from_hub(hub_id: str, models_dir: Path) -> ModelSource:
    """Expect the bundle under the last part; one of another name may have been made of it."""
    place = models_dir / hub_id.rpartition("/")[2]
    if not (place / MANIFEST_NAME).exists():
        place = next(_bundles_of(hub_id, models_dir), place)
    return ModelSource(hub_id, place)


def _bundles_of(hub_id: str, models_dir: Path) -> Iterator[Path]:
    for path in sorted(models_dir.glob(f"*/{MANIFEST_NAME}")):
        with suppress(BundleError):  # what is damaged is nobody's who does not name it
            if read_manifest(path.parent).source.checkpoint == hub_id:
                yield path.parent
