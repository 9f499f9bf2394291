"""``/info`` as text-embeddings-inference has it: its clients ask for the model and the limits."""

from typing import Annotated

import msgspec
from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.response import Response
from msgspec import UNSET, Meta, UnsetType

from ranklet import __version__

from .answers import JSON
from .catalog import Catalog
from .settings import Settings


class Labels(msgspec.Struct):
    """The labels of a classifier: a reranker has one."""

    id2label: dict[str, str]
    label2id: dict[str, int]


class ModelType(msgspec.Struct):
    """What kind of model it is."""

    reranker: Labels


class Info(msgspec.Struct, kw_only=True):
    """The default model and the limits of a request."""

    model_id: Annotated[str, Meta(description="The checkpoint behind the default model.")]
    model_sha: Annotated[str | UnsetType, Meta(description="Its revision, where known.")] = UNSET
    model_type: ModelType
    max_concurrent_requests: Annotated[int, Meta(description="Pairs that may wait.")]
    max_input_length: Annotated[
        int | UnsetType,
        Meta(description="The longest pair that the model reads; absent if it is not installed."),
    ] = UNSET
    max_client_batch_size: Annotated[int, Meta(description="Texts in a request.")]
    auto_truncate: Annotated[bool, Meta(description="Longer pairs are cut.")] = True
    version: str = __version__


_LABELS = ModelType(Labels(id2label={"0": "LABEL_0"}, label2id={"LABEL_0": 0}))


def info_route(settings: Settings, catalog: Catalog) -> HTTPRouteHandler:
    """Make the route."""

    @get(["/info", "/v1/info"])
    async def info() -> Response[bytes]:
        entry = catalog.default
        manifest = entry.manifest
        content = Info(
            model_id=manifest.source.checkpoint if manifest else entry.name,
            model_sha=(manifest.source.revision if manifest else None) or UNSET,
            model_type=_LABELS,
            max_concurrent_requests=settings.max_queued_pairs,
            max_input_length=manifest.window_tokens if manifest else UNSET,
            max_client_batch_size=settings.max_documents,
        )
        return Response(msgspec.json.encode(content), media_type=JSON)

    return info
