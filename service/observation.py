"""What becomes known of a request while it is answered: for the log, the metrics and its id.

Nothing here holds text of the caller's: no query, no document, no key, no path that is not a route.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid4

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from ranklet.runtime.scoring_request import StageTimes

UNMATCHED = "unmatched"
"""The route of everything that no route matches: paths are endless, labels may not be."""

_HEADER = b"x-request-id"
_SOUND_ID = re.compile(rb"[A-Za-z0-9._:/+=@~-]{1,128}")
_RECORD = "ranklet_record"


@dataclass(slots=True)
class RequestRecord:
    """A request as operators see it; filled in while it is answered."""

    id: str
    started: float = field(default_factory=time.perf_counter)
    route: str = UNMATCHED
    status: int = 0
    """0 until an answer begins."""
    seconds: float = 0.0
    model: str | None = None
    """The configured name of the model, not what the caller called it."""
    documents: int | None = None
    characters: int = 0
    """Of query and documents."""
    tokens: int | None = None
    """None where nothing was scored."""
    pairs: int = 0
    """Pairs that the graph was run for: neither repeated nor cached."""
    cached: int = 0
    times: StageTimes | None = None
    query_was_cut: bool = False
    documents_cut: int = 0
    """How many of them were not read to their end."""


def record_of(scope: Scope) -> RequestRecord:
    """Give the record of the request that ``scope`` belongs to."""
    record: RequestRecord = scope["state"][_RECORD]
    return record


class Observer:
    """Wraps an application: each request gets a record, an id and, when it is over, a report."""

    def __init__(self, app: ASGIApp, report: Callable[[RequestRecord], None]) -> None:
        """Observe ``app`` and call ``report`` when a request has been answered."""
        self._app = app
        self._report = report

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request as ``app`` does, with its id in the headers."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        record = RequestRecord(_request_id(scope))
        scope["state"][_RECORD] = record

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                message["headers"] = [*message["headers"], (_HEADER, record.id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            record.seconds = time.perf_counter() - record.started
            record.route = scope.get("path_template") or UNMATCHED
            self._report(record)


def _request_id(scope: Scope) -> str:
    """Give the caller's id where it is sound, else a new one."""
    for name, value in scope["headers"]:
        if name == _HEADER and _SOUND_ID.fullmatch(value):
            return value.decode()
    return uuid4().hex
