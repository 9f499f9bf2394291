"""The application: settings in, ASGI out."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp, Receive, Scope, Send

from ranklet.runtime.errors import ClosedError, RankletError

from .admission import PairQueue
from .answers import answer_framework_error, answer_ranklet_error, answer_unknown_error
from .arrival import Arrivals
from .base_url import SurplusVersionRemover
from .catalog import Catalog, build_catalog
from .dialect import all_dialects, dialects_by_path
from .docs import docs_routes
from .info import info_route
from .keys import key_guard, read_api_keys
from .metrics import Metrics, metrics_route
from .model_routes import model_routes
from .observation import Observer, RequestRecord
from .reloading import reloading_on_hangup
from .request_log import log_request
from .routes import operator_routes, rerank_route
from .settings import Settings


def _ignore(_: Catalog) -> None:
    pass


def create_app(settings: Settings, *, on_loaded: Callable[[Catalog], None] = _ignore) -> Litestar:
    """Make the application; models are loaded when it starts.

    Args:
        settings: What to serve and within which limits.
        on_loaded: Called on the event loop when loading has ended, well or, as the catalog's
            ``failure`` tells, not.

    Raises:
        BundleError: a ``--model`` is not there or not a bundle.
        ModelConfigError: lists all problems of the model configuration.
        SettingsError: the API keys cannot be read.
    """
    keys = read_api_keys(settings)
    catalog = build_catalog(settings)
    arrivals = Arrivals(limit=settings.max_body_bytes)
    queue = PairQueue.from_settings(settings)
    metrics = _metrics(settings, catalog, queue)
    dialects = all_dialects()

    @asynccontextmanager
    async def loaded_models(_: Litestar) -> AsyncGenerator[None, None]:
        # Beside everything else: health checks are answered while models are being loaded.
        loading = asyncio.create_task(_load(catalog, on_loaded))
        try:
            with reloading_on_hangup(catalog):
                yield
        finally:
            try:
                await loading  # raises what ``on_loaded`` did
            finally:
                await catalog.close()

    app = Litestar(
        route_handlers=[
            *(
                rerank_route(path, spoken, settings, catalog, arrivals, queue)
                for path, spoken in dialects_by_path(dialects).items()
            ),
            *operator_routes(catalog),
            *model_routes(catalog),
            info_route(settings, catalog),
            metrics_route(metrics),
            *docs_routes(dialects, settings),
        ],
        guards=[key_guard(keys)] if settings.has_api_keys else [],
        cors_config=_cors(settings),
        middleware=[_ended_by_shutdown],
        lifespan=[loaded_models],
        exception_handlers={
            RankletError: answer_ranklet_error,
            HTTPException: answer_framework_error,
            Exception: answer_unknown_error,
        },
        openapi_config=None,  # see api_document
        logging_config=None,  # the command configures logging, programs that embed us their own
        request_max_body_size=None,  # see arrival
    )

    def report(record: RequestRecord) -> None:
        metrics.observe(record)
        log_request(record)

    # Around everything: Litestar's own middleware sees neither unknown routes nor preflights.
    paths = [route.path for route in app.routes]
    observed = Observer(SurplusVersionRemover(app.asgi_handler, paths), report)
    app.asgi_handler = _with_head(observed)
    return app


def _ended_by_shutdown(app: ASGIApp) -> ASGIApp:
    """Tell callers whose requests the server cancels when they take too long for it to end."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except asyncio.CancelledError as error:
            message = "the server shut down before the request was done; send it again"
            raise ClosedError(message) from error

    return answer


def _with_head(app: ASGIApp) -> ASGIApp:
    """Answer HEAD wherever GET is answered, with the same headers; servers leave out the body."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP and scope["method"] == "HEAD":
            scope = scope.copy()  # the server's own tells it later that there is no body
            scope["method"] = "GET"
        await app(scope, receive, send)

    return answer


def _cors(settings: Settings) -> CORSConfig | None:
    if not settings.cors_origins:
        return None
    return CORSConfig(
        allow_origins=list(settings.cors_origins),
        allow_methods=["GET", "POST"],
        expose_headers=["Retry-After", "X-Request-ID"],
    )


def _metrics(settings: Settings, catalog: Catalog, queue: PairQueue) -> Metrics:
    metrics = Metrics(has_cache=settings.score_cache_entries > 0)
    metrics.watch("queued_pairs", "Pairs that wait or are being scored.", lambda: queue.pairs)
    metrics.watch(
        "queued_characters", "Characters of the requests they are of.", lambda: queue.characters
    )
    metrics.watch("models_loaded", "Models in memory.", lambda: _models_loaded(catalog))
    return metrics


def _models_loaded(catalog: Catalog) -> int:
    rerankers = map(catalog.loaded, catalog.entries)
    return len({id(reranker) for reranker in rerankers if reranker is not None})


async def _load(catalog: Catalog, on_loaded: Callable[[Catalog], None]) -> None:
    await catalog.load()
    on_loaded(catalog)
