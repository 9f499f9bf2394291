"""Settings of the service: what it can be told. How it is told is in ``options``."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["plain", "json"]

MAX_WORKERS = 1024
"""As in ``runtime.reranker``, which is not imported here: ``--help`` does not wait for numpy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that the service can be told."""

    models: tuple[Path, ...] = ()
    """Bundles to serve under their own names; the first is the default model."""
    config: Path | None = None
    """Model configuration in LocalAI's YAML: a file, or a folder of files."""
    models_dir: Path = Path("models/built")
    """Where the models that the configuration names have their bundles."""
    host: str = "127.0.0.1"
    port: int = 8080
    """0 takes a free port."""
    variant: str | None = None
    """Variant of every bundle; where None, the one that fits the processor best."""
    workers: int | None = None
    """Pairs scored at the same time; as many as there are cores where None."""
    max_documents: int = 1_000
    """Documents in a request; what Cohere recommends as the most."""
    max_document_chars: int = 2_000_000
    """Characters in a query or a document. Length costs little, a model reads only its window."""
    max_request_chars: int = 8_000_000
    """Characters in a request, query and documents together."""
    max_body_bytes: int = 16_777_216
    """Bytes of a request's body. Decoding holds up everything else, so this also bounds how long a
    health check may have to wait: about 1 ms a megabyte, but 100 ms a megabyte where a document is
    an object of nothing but very many fields."""
    max_queued_pairs: int = 10_000
    """Pairs of all requests that may wait; each window of a long document is one. The largest
    request of Cohere's clients: 1,000 documents in ten windows each."""
    max_model_bytes: int | None = None
    """Memory of all loaded models together, counted as in ``model_pool``; no limit where None."""
    max_queued_chars: int = 32_000_000
    """Characters of all requests that may wait: four of the largest requests. Bounds their memory,
    one to four bytes a character."""
    score_cache_entries: int = 0
    """Scores to keep for pairs that come again, about 300 bytes each; none where 0."""
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    """Keys that open the server, from the variable alone: flags show in the list of processes."""
    api_keys_file: Path | None = None
    """More keys, one a line."""
    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may call from a browser; ``*`` is any."""
    log_level: LogLevel = "info"
    log_format: LogFormat = "plain"

    @property
    def has_api_keys(self) -> bool:
        """Whether only those may call who have a key."""
        return bool(self.api_keys) or self.api_keys_file is not None
