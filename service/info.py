"""``/info`` as text-embeddings-inference has it: its clients ask for the model and the limits."""

from typing import Annotated

import msgspec
from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.response import Response
from msgspec import UNSET, Meta, UnsetType

from ranklet import __version__
from ranklet.runtime.manifest import Precision
from ranklet.runtime.reranker import Reranker

from .answers import JSON
from .catalog import Catalog
from .entries import CatalogEntry
from .settings import Settings


class Labels(msgspec.Struct):
    """The labels of a classifier: a reranker has one."""

    id2label: dict[str, str]
    label2id: dict[str, int]


class ModelType(msgspec.Struct):
    """What kind of model it is."""

    reranker: Labels


class Info(msgspec.Struct, kw_only=True):
    """The default model and the limits of a request.

    Some clients require every field that TEI has, those too that mean nothing here.
    """

    model_id: Annotated[str, Meta(description="The checkpoint behind the default model.")]
    model_sha: Annotated[str | UnsetType, Meta(description="Its revision, where known.")] = UNSET
    model_dtype: Annotated[
        str, Meta(description="What the graph computes in, as int8; empty while it is not loaded.")
    ]
    model_type: ModelType
    max_concurrent_requests: Annotated[int, Meta(description="Pairs that may wait.")]
    max_input_length: Annotated[
        int | UnsetType,
        Meta(description="The longest pair that the model reads; absent if it is not installed."),
    ] = UNSET
    max_batch_tokens: Annotated[
        int,
        Meta(
            description="What is read at once at least, the longest pair; 0 if it is not installed."
        ),
    ]
    max_batch_requests: Annotated[int, Meta(description="Always 0: there is no such limit.")] = 0
    max_client_batch_size: Annotated[int, Meta(description="Texts in a request.")]
    auto_truncate: Annotated[bool, Meta(description="Longer pairs are cut.")] = True
    tokenization_workers: Annotated[
        int, Meta(description="Threads that tokenize and score; 0 while the model is not loaded.")
    ]
    version: str = __version__
    sha: Annotated[str, Meta(description="Always empty: the version tells all.")] = ""
    docker_label: Annotated[str, Meta(description="Always empty.")] = ""


_DTYPES: dict[Precision, str] = {"fp32": "float32", "fp16": "float16", "int8": "int8"}
_LABELS = ModelType(Labels(id2label={"0": "LABEL_0"}, label2id={"LABEL_0": 0}))


def info_route(settings: Settings, catalog: Catalog) -> HTTPRouteHandler:
    """Make the route."""

    @get(["/info", "/v1/info"])
    async def info() -> Response[bytes]:
        entry = catalog.default
        manifest = entry.manifest
        reranker = catalog.loaded(entry)
        content = Info(
            model_id=manifest.source.checkpoint if manifest else entry.name,
            model_sha=(manifest.source.revision if manifest else None) or UNSET,
            model_dtype=_dtype(reranker) if reranker else "",
            model_type=_LABELS,
            max_concurrent_requests=settings.max_queued_pairs,
            max_input_length=manifest.window_tokens if manifest else UNSET,
            max_batch_tokens=manifest.window_tokens if manifest else 0,
            max_client_batch_size=_most_texts(entry, settings),
            tokenization_workers=reranker.workers if reranker else 0,
        )
        return Response(msgspec.json.encode(content), media_type=JSON)

    return info


def _dtype(reranker: Reranker) -> str:
    return _DTYPES[reranker.manifest.variants[reranker.variant].precision]


def _most_texts(entry: CatalogEntry, settings: Settings) -> int:
    """Give how many texts a request may have, however long they are."""
    return min(settings.max_documents, max(1, settings.max_queued_pairs // entry.max_windows))
