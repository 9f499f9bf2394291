"""The routes: ranking in every dialect, and what operators and clients ask beside."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from litestar import get, post
from litestar.connection import Request
from litestar.handlers import HTTPRouteHandler
from litestar.response import Response
from msgspec import UNSET, Meta, UnsetType

from ranklet import __version__

from .admission import PairQueue
from .answers import JSON, answer_errors_with
from .body import decode_body, read_body
from .catalog import Catalog, CatalogEntry
from .dialect import Dialect, told_apart
from .errors import NotReadyError
from .scoring import check_size, rerank
from .settings import Settings


class Health(msgspec.Struct):
    """The server answers."""

    status: Literal["ok"] = "ok"


class Readiness(msgspec.Struct):
    """Every installed model is loaded and warm."""

    status: Literal["ready"] = "ready"


class Version(msgspec.Struct):
    """What runs here."""

    name: str
    version: str


class ModelSourceInfo(msgspec.Struct, kw_only=True):
    """Where a model's weights come from."""

    checkpoint: Annotated[str, Meta(description="A hub id, an alias or the name of a folder.")]
    revision: str | UnsetType = UNSET
    licence: Annotated[str | UnsetType, Meta(description="SPDX identifier.")] = UNSET


class ModelInfo(msgspec.Struct, kw_only=True):
    """A model that requests can name, and what is behind the name."""

    id: Annotated[str, Meta(description="What requests call it.")]
    object: Literal["model"] = "model"
    owned_by: str = "ranklet"
    status: Annotated[
        Literal["ready", "loading", "not_installed"],
        Meta(description="Only a ready model ranks; the others are answered with 503."),
    ]
    is_default: Annotated[bool, Meta(description="Whether it answers requests that name no model.")]
    bundle: Annotated[str, Meta(description="The model behind the name.")]
    source: ModelSourceInfo
    architecture: str | UnsetType = UNSET
    window_tokens: Annotated[
        int | UnsetType, Meta(description="The longest pair that the model reads.")
    ] = UNSET
    variant: Annotated[
        str | UnsetType, Meta(description="The graph that runs, as int8 or fp32.")
    ] = UNSET
    variant_reason: Annotated[str | UnsetType, Meta(description="Why that one.")] = UNSET
    install_command: Annotated[
        str | UnsetType, Meta(description="What builds the bundle of a model not installed.")
    ] = UNSET


class ModelList(msgspec.Struct):
    """All models, in OpenAI's shape."""

    data: list[ModelInfo]
    object: Literal["list"] = "list"


def rerank_route(
    path: str,
    dialects: Sequence[Dialect[Any, Any]],
    settings: Settings,
    catalog: Catalog,
    queue: PairQueue,
) -> HTTPRouteHandler:
    """Make the route of a path, where the first of ``dialects`` is spoken unless bodies differ."""

    @post(path, status_code=200)
    async def handle(request: Request[Any, Any, Any]) -> Response[bytes]:
        answer_errors_with(request, dialects[0].write_error)
        content = await read_body(request, limit=settings.max_body_bytes)
        dialect = told_apart(dialects, content)
        answer_errors_with(request, dialect.write_error)
        body = decode_body(content, dialect.body)
        wanted = dialect.read(body)
        check_size(wanted, settings, documents_field=dialect.documents_field)
        result = await rerank(wanted, catalog, queue, request)
        answer = msgspec.json.encode(dialect.write(body, wanted, result))
        headers = dialect.write_headers(wanted, result)
        return Response(answer, headers=headers, media_type=JSON)

    return handle


def operator_routes(catalog: Catalog) -> list[HTTPRouteHandler]:
    """Make the routes that tell about the server and its models."""

    @get("/v1/models")
    async def models() -> Response[bytes]:
        return json_response(ModelList([_model_info(entry, catalog) for entry in catalog.entries]))

    @get("/healthz")
    async def healthz() -> Response[bytes]:
        return json_response(Health())

    @get("/readyz")
    async def readyz() -> Response[bytes]:
        if not catalog.is_ready:
            raise NotReadyError(catalog.default.name)
        catalog.find(None)  # with no model installed there is nothing to be ready for
        return json_response(Readiness())

    @get("/version")
    async def version() -> Response[bytes]:
        return json_response(Version("ranklet", __version__))

    return [models, healthz, readyz, version]


def json_response(content: msgspec.Struct) -> Response[bytes]:
    """Answer with ``content`` as JSON."""
    return Response(msgspec.json.encode(content), media_type=JSON)


def _model_info(entry: CatalogEntry, catalog: Catalog) -> ModelInfo:
    info = ModelInfo(
        id=entry.name,
        status="not_installed",
        is_default=entry is catalog.default,
        bundle=entry.source.bundle.name,
        source=ModelSourceInfo(checkpoint=entry.source.checkpoint),
    )
    manifest = entry.manifest
    if manifest is None:
        info.install_command = entry.source.install_command
        return info
    info.status = "loading"
    info.bundle = manifest.name
    info.source = ModelSourceInfo(
        checkpoint=manifest.source.checkpoint,
        revision=manifest.source.revision or UNSET,
        licence=manifest.source.licence or UNSET,
    )
    info.architecture = manifest.architecture
    info.window_tokens = manifest.window_tokens
    reranker = catalog.loaded(entry)
    if reranker is not None:
        info.status = "ready"
        info.variant = reranker.variant
        info.variant_reason = reranker.variant_reason
    return info
