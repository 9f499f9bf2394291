"""The manifest: what a bundle holds, as ``manifest.json`` in its folder.

It is the contract between the export, which writes it, and the runtime, which reads it:

    <bundle>/manifest.json     the structs below, as JSON
    <bundle>/tokenizer.json    the fast tokenizer, all that tokenization needs
    <bundle>/<variant>.onnx    one graph a variant (and <variant>.onnx.data for external weights)
"""

import re
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from .errors import (
    BundleFileMissingError,
    BundleFileUnreadableError,
    InvalidManifestError,
    SchemaVersionError,
)

SCHEMA_VERSION = 2
"""The newest manifest schema that this version reads, and the one that it writes. Version 2 added
prompts, without which a language model's scores would be wrong."""

MANIFEST_NAME = "manifest.json"
TOKENIZER_NAME = "tokenizer.json"

_CHECKPOINT_CONFIG = "config.json"
"""What every checkpoint has and no bundle."""

PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*")
"""Names of files and bundles that mean the same on every system and lead nowhere else."""

Precision = Literal["fp32", "int8", "fp16"]

ProcessorFamily = Literal["any", "int8-dot", "avx2", "cuda"]
"""What a variant's files are made for: ``int8-dot`` is every processor that sums products of 8-bit
integers exactly in 32 bits (AVX-VNNI, AVX512-VNNI, AMX, ARM dot product), ``avx2`` is x86 with AVX2
but without those, ``cuda`` an NVIDIA GPU, ``any`` runs everywhere."""

Activation = Literal["sigmoid", "identity"]

GraphInput = Annotated[str, Meta(pattern="^(input_ids|attention_mask|token_type_ids)$")]
"""What the runtime can make of a pair."""

_TEXT_INPUT = "input_ids"
"""The input without which a graph could not see what it reads."""


class BundleFile(msgspec.Struct, frozen=True):
    """A file of the bundle."""

    path: str
    """Relative to the bundle's folder, a plain file name."""
    sha256: str
    """Hexadecimal, 64 digits."""
    size_bytes: int


class Source(msgspec.Struct, frozen=True):
    """Where the bundle's weights come from."""

    checkpoint: str
    """A hub id, or the name of a local folder (never its path)."""
    revision: str | None = None
    """The hub's commit; for a local folder the sha256 of its weights."""
    licence: str | None = None
    """SPDX identifier as the model card gives it."""


class VariantReport(msgspec.Struct, frozen=True):
    """How a variant's logits compare with those of the original on the verification pairs.

    Differences are given relative to the standard deviation of its logits, so that models
    with different logit scales can be compared.
    """

    max_difference: float
    mean_difference: float
    kendall_tau: float
    """Rank agreement, Kendall's tau-b over all verification pairs, in [-1, 1]."""
    passed: bool
    degraded_allowed: bool = False
    """True where the variant failed and ``--allow-degraded`` kept it."""
    session_options: dict[str, str] = {}
    """onnxruntime session options in force during verification, beyond the defaults."""

    @property
    def verdict(self) -> str:
        """What came of it, in words."""
        if self.passed:
            return "ok"
        return "degraded, allowed" if self.degraded_allowed else "failed"


class Verification(msgspec.Struct, frozen=True):
    """What the export proved before it wrote the bundle."""

    pairs: int
    logit_std: float
    """Standard deviation of the original logits: the unit of the differences."""
    max_difference_fp32: float
    """The limit for fp32 variants."""
    min_kendall_tau: float
    """The limit for int8 variants."""


class Prompt(msgspec.Struct, frozen=True):
    """The text in which a language model reads a pair."""

    prefix: str
    """Comes first and is never cut; tokenized by itself, as ``suffix`` is."""
    body: str
    """Holds ``{instruction}``, ``{query}`` and, at its end, ``{document}``; tokenized as one text
    and cut at the end."""
    suffix: str
    """Comes last and is never cut."""
    instruction: str
    """What counts as relevant."""


class CollectionQuality(msgspec.Struct, frozen=True):
    """How a variant ranks a test collection."""

    collection: str
    queries: int
    metric: str
    value: float
    kept: float | None = None
    """Share of what the fp32 variant reaches; None for that one itself."""
    kept_interval: tuple[float, float] | None = None
    """Where ``kept`` lies with 95 % confidence, by a bootstrap over the queries."""


class Variant(msgspec.Struct, frozen=True):
    """One graph of the bundle."""

    precision: Precision
    processors: ProcessorFamily
    files: Annotated[tuple[BundleFile, ...], Meta(min_length=1)]
    """The graph first, then its external data if there is any."""
    recipe: str = ""
    """In words: how the graph was quantized or converted."""
    report: VariantReport | None = None
    recipe_name: str = ""
    """What ``ranklet export --recipe`` calls it; empty where nothing was quantized."""
    quality: tuple[CollectionQuality, ...] = ()
    """On the test collections of the export's ``--verify-data``."""

    @property
    def size_bytes(self) -> int:
        """Size of all files together."""
        return sum(file.size_bytes for file in self.files)


class Manifest(msgspec.Struct, frozen=True):
    """Everything the runtime has to know about a bundle."""

    name: str
    source: Source
    architecture: str
    """The class of the checkpoint, as ``BertForSequenceClassification``."""
    window_tokens: Annotated[int, Meta(ge=1)]
    """Longest sequence that the model reads, special tokens included."""
    graph_inputs: tuple[GraphInput, ...]
    """Names of the graph's inputs, each int64 of shape (pairs, tokens)."""
    tokenizer: BundleFile
    variants: Annotated[dict[str, Variant], Meta(min_length=1)]
    output_activation: Activation = "sigmoid"
    logit: str = ""
    """In words: what the graph's logit is."""
    prompt: Prompt | None = None
    """How query and document are put to a language model; None where the tokenizer joins them."""
    first_token_pruned: bool = False
    """True where the last layer computes only what the first token's row needs."""
    tool_versions: dict[str, str] = {}
    verification: Verification | None = None
    schema_version: int = SCHEMA_VERSION

    @property
    def files(self) -> list[BundleFile]:
        """What a bundle holds beside its manifest; a file that variants share is there once."""
        files = [file for variant in self.variants.values() for file in variant.files]
        return list(dict.fromkeys([self.tokenizer, *files]))


class _SchemaProbe(msgspec.Struct):
    schema_version: int


def read_manifest(folder: Path) -> Manifest:
    """Read ``manifest.json`` of a bundle.

    Raises:
        BundleFileMissingError: the folder or its manifest is not there.
        BundleFileUnreadableError: it cannot be read.
        SchemaVersionError: a newer ranklet wrote it.
        InvalidManifestError: it is not JSON or not a manifest.
    """
    path = folder / MANIFEST_NAME
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BundleFileMissingError(path, hint=_way_to_a_bundle(folder)) from error
    except OSError as error:
        raise BundleFileUnreadableError(path, error) from error
    except ValueError as error:  # no file can have that name
        message = f"{path} cannot be read: {error}"
        raise InvalidManifestError(message) from error
    return decode_manifest(content, path)


def _way_to_a_bundle(folder: Path) -> str:
    if any(folder.glob(_CHECKPOINT_CONFIG)):
        return (
            "this is a checkpoint and no bundle: build one with: "
            f"ranklet export {folder} --output ANOTHER_FOLDER, and serve that"
        )
    return f"build a bundle there with: ranklet export SOURCE --output {folder}"


def decode_manifest(content: bytes, path: Path) -> Manifest:
    """Decode a manifest that was read from ``path``; raises as ``read_manifest`` does."""
    try:
        version = msgspec.json.decode(content, type=_SchemaProbe).schema_version
        if version > SCHEMA_VERSION:
            raise SchemaVersionError(path, found=version, supported=SCHEMA_VERSION)
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = f"{path} is not a manifest: {error}; export the model again"
        raise InvalidManifestError(message) from error
    if _TEXT_INPUT not in manifest.graph_inputs:
        found = ", ".join(manifest.graph_inputs) or "none"
        problem = f"graph_inputs must name {_TEXT_INPUT}, not {found}"
        message = f"{path} is not a manifest: {problem}; export the model again"
        raise InvalidManifestError(message)
    if len({file.path for file in manifest.files}) < len(manifest.files):
        message = f"{path} promises a file with two contents; export the model again"
        raise InvalidManifestError(message)
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write ``manifest`` as indented JSON, readable by people and by ``read_manifest``."""
    content = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    (folder / MANIFEST_NAME).write_bytes(content + b"\n")
