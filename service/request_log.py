"""The log line of a request."""

import logging

from .keys import OPEN_PATHS
from .observation import RequestRecord

METRICS_PATH = "/metrics"

_QUIET = OPEN_PATHS | {METRICS_PATH}
"""Asked every few seconds by machines; logged at debug."""

_log = logging.getLogger(__name__)


def log_request(record: RequestRecord) -> None:
    """Log a request that has been answered."""
    level = logging.DEBUG if record.route in _QUIET else logging.INFO
    if not _log.isEnabledFor(level):
        return
    fields = _fields(record)
    # With one mapping as its arguments, a record keeps them by name, for the JSON format.
    _log.log(level, " ".join(f"{name}=%({name})s" for name in fields), fields)


def _fields(record: RequestRecord) -> dict[str, object]:
    fields: dict[str, object] = {
        "id": record.id,
        "route": record.route,
        "status": record.status,
        "total_ms": _milliseconds(record.seconds),
    }
    if record.model is not None:
        fields["model"] = record.model
    if record.documents is not None:
        fields |= {"documents": record.documents, "characters": record.characters}
    if record.tokens is not None:
        fields |= {
            "tokens": record.tokens,
            "cut": record.documents_cut,
            "pairs": record.pairs,
            "cached": record.cached,
        }
    if record.times is not None:
        fields |= {
            "queue_ms": _milliseconds(record.times.queue_seconds),
            "tokenize_ms": _milliseconds(record.times.tokenization_seconds),
            "score_ms": _milliseconds(record.times.inference_seconds),
        }
    return fields


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 2)
