"""The application: settings in, ASGI out."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from litestar import Litestar
from litestar.exceptions import HTTPException

from ranklet.runtime.errors import RankletError

from .answers import answer_framework_error, answer_ranklet_error, answer_unknown_error
from .catalog import Catalog, build_catalog
from .dialect import all_dialects
from .docs import docs_routes
from .routes import operator_routes, rerank_route
from .scoring import PairQueue
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
    """
    catalog = build_catalog(settings)
    queue = PairQueue(settings.max_queued_pairs)
    dialects = all_dialects()

    @asynccontextmanager
    async def loaded_models(_: Litestar) -> AsyncGenerator[None, None]:
        # In a thread: the server answers health checks while models are being loaded.
        loading = asyncio.create_task(_load(catalog, on_loaded))
        try:
            yield
        finally:
            await loading
            await asyncio.to_thread(catalog.close)

    return Litestar(
        route_handlers=[
            *(rerank_route(dialect, settings, catalog, queue) for dialect in dialects),
            *operator_routes(catalog),
            *docs_routes(dialects),
        ],
        lifespan=[loaded_models],
        exception_handlers={
            RankletError: answer_ranklet_error,
            HTTPException: answer_framework_error,
            Exception: answer_unknown_error,
        },
        openapi_config=None,  # see api_document
        logging_config=None,  # the command configures logging, programs that embed us their own
        request_max_body_size=None,  # see body
    )


async def _load(catalog: Catalog, on_loaded: Callable[[Catalog], None]) -> None:
    await asyncio.to_thread(catalog.load)
    on_loaded(catalog)
