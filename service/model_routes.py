"""The routes that tell about the models and reload them."""

from typing import Annotated, Any, Literal

import msgspec
from litestar import get, post
from litestar.connection import Request
from litestar.handlers import HTTPRouteHandler
from litestar.response import Response
from msgspec import UNSET, Meta, UnsetType

from ranklet.runtime.manifest import Manifest

from .answers import JSON
from .catalog import Catalog, ModelStatus
from .entries import CatalogEntry

MODELS_PATH = "/v1/models"
MODEL_PATH = "/v1/models/{name}"
RELOAD_PATH = "/v1/models/reload"


class ModelSourceInfo(msgspec.Struct, kw_only=True):
    """Where a model's weights come from."""

    checkpoint: Annotated[str, Meta(description="A hub id, an alias or the name of a folder.")]
    revision: str | UnsetType = UNSET
    licence: Annotated[str | UnsetType, Meta(description="SPDX identifier.")] = UNSET


class ModelInfo(msgspec.Struct, kw_only=True):
    """A model that requests can name, and what is behind the name."""

    id: Annotated[str, Meta(description="What requests call it.")]
    object: Literal["model"] = "model"
    created: Annotated[int, Meta(description="When it was built, in seconds since 1970.")]
    owned_by: str = "ranklet"
    aliases: Annotated[
        list[str] | UnsetType,
        Meta(description="More names for it; * answers to every name that is not taken."),
    ] = UNSET
    status: Annotated[
        ModelStatus,
        Meta(
            description="An unloaded model is loaded for its next request, which waits for that; "
            "one that is not_installed or failed is answered with 503."
        ),
    ]
    reason: Annotated[str | UnsetType, Meta(description="Why it failed.")] = UNSET
    is_default: Annotated[bool, Meta(description="Whether it answers requests that name no model.")]
    bundle: Annotated[str, Meta(description="The model behind the name.")]
    source: ModelSourceInfo
    architecture: str | UnsetType = UNSET
    window_tokens: Annotated[int | UnsetType, Meta(description="The longest pair it reads.")] = (
        UNSET
    )
    max_windows: Annotated[
        int | UnsetType,
        Meta(description="Windows of a long document it reads, where the request does not say."),
    ] = UNSET
    size_bytes: Annotated[
        int | UnsetType, Meta(description="What it counts for while it is loaded.")
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


def model_routes(catalog: Catalog) -> list[HTTPRouteHandler]:
    """Make the routes that tell of all models and of one, and reload their configuration."""

    @get([MODELS_PATH, "/models"])
    async def models() -> Response[bytes]:
        return _listing(catalog)

    @get([f"{path}/{{name:path}}" for path in (MODELS_PATH, "/models")])
    async def model(request: Request[Any, Any, Any]) -> Response[bytes]:
        path: str = request.path_params["name"]
        entry = catalog.find(path.removeprefix("/"))
        return Response(msgspec.json.encode(_model_info(entry, catalog)), media_type=JSON)

    @post(RELOAD_PATH, status_code=200)
    async def reload_models() -> Response[bytes]:
        await catalog.reload()
        return _listing(catalog)

    return [models, model, reload_models]


def _listing(catalog: Catalog) -> Response[bytes]:
    infos = [_model_info(entry, catalog) for entry in catalog.entries]
    return Response(msgspec.json.encode(ModelList(infos)), media_type=JSON)


def _model_info(entry: CatalogEntry, catalog: Catalog) -> ModelInfo:
    status, reason = catalog.status(entry)
    info = ModelInfo(
        id=entry.name,
        created=entry.created,
        aliases=list(entry.aliases) or UNSET,
        status=status,
        reason=reason or UNSET,
        is_default=entry is catalog.default,
        bundle=entry.source.bundle.name,
        source=ModelSourceInfo(checkpoint=entry.source.checkpoint),
    )
    if entry.manifest is None or entry.spec is None:
        info.install_command = entry.source.install_command
        return info
    _describe(info, entry.manifest)
    info.max_windows = entry.max_windows
    info.size_bytes = entry.spec.size_bytes
    reranker = catalog.loaded(entry)
    if reranker is not None:
        info.variant = reranker.variant
        info.variant_reason = reranker.variant_reason
    return info


def _describe(info: ModelInfo, manifest: Manifest) -> None:
    info.bundle = manifest.name
    info.architecture = manifest.architecture
    info.window_tokens = manifest.window_tokens
    info.source = ModelSourceInfo(
        checkpoint=manifest.source.checkpoint,
        revision=manifest.source.revision or UNSET,
        licence=manifest.source.licence or UNSET,
    )
