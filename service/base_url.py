"""Base URLs with a version too many, as clients build them that add ``/v1`` themselves."""

import logging
import re
from collections.abc import Collection

from litestar.types import ASGIApp, Receive, Scope, Send

_log = logging.getLogger(__name__)

_TOO_MANY = re.compile(r"(?:/v[0-9]){1,3}(?=/v[0-9]/)")
"""A few are a mistake in a base URL, many are not; so what is logged of a path is short, too."""


class SurplusVersionRemover:
    """Wraps an application: ``/v1/v2/rerank`` is answered as ``/v2/rerank``, and warned of once."""

    def __init__(self, app: ASGIApp, paths: Collection[str]) -> None:
        """Lead to ``paths`` of ``app``; other paths stay as they are."""
        self._app = app
        self._paths = frozenset(paths)
        self._warned: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request as ``app`` does."""
        path = scope.get("path", "")  # the lifespan has none
        surplus = _TOO_MANY.match(path)
        if surplus and (wanted := path[surplus.end() :].rstrip("/")) in self._paths:
            self._warn(surplus[0], wanted)
            scope["path"] = wanted
            scope["raw_path"] = wanted.encode()
        await self._app(scope, receive, send)

    def _warn(self, surplus: str, wanted: str) -> None:
        if wanted not in self._warned:
            self._warned.add(wanted)
            _log.warning(
                "a client asks for %s%s and is answered as for %s: leave %s out of its base URL",
                surplus,
                wanted,
                wanted,
                surplus,
            )
