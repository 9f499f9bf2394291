"""Logs: one line a request, plain or JSON, without a word of what was asked."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from .settings import Settings

_PLAIN = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class JsonFormatter(logging.Formatter):
    """Writes each record as one JSON object; what it was given as a mapping becomes fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the record on one line."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {
            "time": time,
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        if isinstance(record.args, Mapping):
            line |= record.args
        else:
            line["message"] = record.getMessage()
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def configure_logging(settings: Settings) -> None:
    """Send the process's log to stderr, as the settings say."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        JsonFormatter() if settings.log_format == "json" else logging.Formatter(_PLAIN)
    )
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler])
