"""Base URLs with a version too many, as clients build them that add ``/v1`` themselves."""

import logging
import re
from collections.abc import Collection

from litestar.types import ASGIApp, Receive, Scope, Send

_log = logging.getLogger(__name__)

_TOO_MANY = re.compile(r"(?:/v\d)+(?=/v\d/)")


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
            self._warn(path.rstrip("/"), wanted)
            scope["path"] = wanted
            scope["raw_path"] = wanted.encode()
        await self._app(scope, receive, send)

    def _warn(self, path: str, wanted: str) -> None:
        if path not in self._warned:
            self._warned.add(path)
            _log.warning(
                "a client asks for %s and is answered as for %s: leave %s out of its base URL",
                path,
                wanted,
                path.removesuffix(wanted),
            )
