"""The OpenAPI document and the page that shows it, all from this server: no network is needed."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from litestar import get
from litestar.connection import Request
from litestar.handlers import HTTPRouteHandler
from litestar.response import Response

from .answers import JSON
from .api_document import build_document
from .dialect import Dialect
from .settings import Settings

DOCUMENT_PATHS = ("/openapi.json", "/schema/openapi.json")
PAGE_PATHS = ("/", "/docs", "/schema")

_ASSETS = {"page.css": "text/css", "page.js": "text/javascript"}  # Litestar adds the charset
_FOLDER = Path(__file__).parent / "docs_page"

_POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'"
"""The browser itself makes sure that the page loads nothing from elsewhere."""


def docs_routes(
    dialects: Sequence[Dialect[Any, Any]], settings: Settings
) -> list[HTTPRouteHandler]:
    """Make the routes of the document, the page and its assets."""

    @cache
    def document() -> bytes:
        return build_document(dialects, settings)  # on first use: starting does not wait for it

    @get(list(DOCUMENT_PATHS))
    async def openapi() -> Response[bytes]:
        return Response(document(), media_type=JSON)

    @get(list(PAGE_PATHS))
    async def page(request: Request[Any, Any, Any]) -> Response[bytes]:
        path, path_as_it_came = request.scope["path"], request.scope["raw_path"]
        slashes = len(path_as_it_came) - len(path_as_it_came.rstrip(b"/"))
        if slashes and path != "/":
            # The page's links are relative to its address without them. So is this one, for
            # proxies with a path of their own.
            location = "../" * slashes + path.rpartition("/")[2]
            return Response(b"", status_code=308, headers={"Location": location})
        return _file("page.html", "text/html")

    return [openapi, page, *(_asset_route(name) for name in _ASSETS)]


def _asset_route(name: str) -> HTTPRouteHandler:
    @get(f"/docs/{name}")
    async def asset() -> Response[bytes]:
        return _file(name, _ASSETS[name])

    return asset


def _file(name: str, media_type: str) -> Response[bytes]:
    content = (_FOLDER / name).read_bytes()
    return Response(content, media_type=media_type, headers={"Content-Security-Policy": _POLICY})
