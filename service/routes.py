"""The routes: ranking in every dialect, and what operators and clients ask beside."""

from collections.abc import Sequence
from typing import Any, Literal, TypeVar

import msgspec
from litestar import get, post
from litestar.connection import Request
from litestar.handlers import HTTPRouteHandler
from litestar.response import Response

from ranklet import __version__

from .admission import PairQueue
from .answers import ERROR_WRITER, JSON, answer_errors_with
from .arrival import Arrivals
from .body import check_lists, decode_body, drop_texts, readable
from .catalog import Catalog
from .dialect import Dialect, told_apart
from .errors import MalformedBodyError, NotReadyError
from .scoring import check_size, rerank
from .settings import Settings

_Body = TypeVar("_Body", bound=msgspec.Struct)


class Health(msgspec.Struct):
    """The server answers."""

    status: Literal["ok"] = "ok"


class Readiness(msgspec.Struct):
    """Every model to be loaded at start is loaded and warm."""

    status: Literal["ready"] = "ready"


class Version(msgspec.Struct):
    """What runs here."""

    name: str
    version: str


def rerank_route(  # noqa: PLR0913, PLR0917 - what all of these routes share
    path: str,
    dialects: Sequence[Dialect[Any, Any]],
    settings: Settings,
    catalog: Catalog,
    arrivals: Arrivals,
    queue: PairQueue,
) -> HTTPRouteHandler:
    """Make the route of a path, where the first of ``dialects`` is spoken unless bodies differ."""

    @post(path, status_code=200, opt={ERROR_WRITER: dialects[0].write_error})
    async def handle(request: Request[Any, Any, Any]) -> Response[bytes]:
        content = readable(await arrivals.read(request))
        dialect = told_apart(dialects, content)
        answer_errors_with(request, dialect.write_error)
        body = _decoded(content, dialect, request)
        del content  # what waits with the documents takes memory that nobody counts
        check_lists(body, limit=settings.max_documents, documents_field=dialect.documents_field)
        wanted = dialect.read(body)
        drop_texts(body)
        check_size(wanted, settings, documents_field=dialect.documents_field)
        result = await rerank(wanted, catalog, queue, request)
        answer = msgspec.json.encode(dialect.write(body, wanted, result))
        headers = dialect.write_headers(wanted, result)
        return Response(answer, headers=headers, media_type=JSON)

    return handle


def _decoded(
    content: bytes, dialect: Dialect[_Body, Any], request: Request[Any, Any, Any]
) -> _Body:
    if not content or content.isspace():
        fields = " and ".join(list(dialect.example)[:2])
        message = f"the body is empty; send a JSON object with {fields}"
        raise MalformedBodyError(message)
    try:
        return decode_body(content, dialect.body)
    except MalformedBodyError as error:
        encoding = request.headers.get("content-encoding", "identity")
        if encoding.lower() == "identity":
            raise
        # Not before: some proxies decompress a body and leave the header.
        message = f"the body has Content-Encoding: {encoding}; send it uncompressed"
        raise MalformedBodyError(message) from error


def operator_routes(catalog: Catalog) -> list[HTTPRouteHandler]:
    """Make the routes that tell about the server."""

    @get(["/healthz", "/health", "/ping"])
    async def healthz() -> Response[bytes]:
        return json_response(Health())

    @get("/readyz")
    async def readyz() -> Response[bytes]:
        if not catalog.is_ready:
            raise NotReadyError(catalog.default.name)
        catalog.require_installed(catalog.default)  # without a model there is nothing to be ready
        return json_response(Readiness())

    @get("/version")
    async def version() -> Response[bytes]:
        return json_response(Version("ranklet", __version__))

    return [healthz, readyz, version]


def json_response(content: msgspec.Struct) -> Response[bytes]:
    """Answer with ``content`` as JSON."""
    return Response(msgspec.json.encode(content), media_type=JSON)
