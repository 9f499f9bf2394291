"""The application as its lifespan starts and ends it."""

import asyncio
from pathlib import Path

import pytest

from ranklet.service.app import create_app
from ranklet.service.catalog import Catalog
from ranklet.service.settings import Settings


def test_models_are_unloaded_where_the_report_of_their_loading_fails(tiny_bundle: Path) -> None:
    """As the banner does on a pipe that nobody reads any more."""
    catalogs: list[Catalog] = []
    was_called = asyncio.Event()

    def fail(catalog: Catalog) -> None:
        catalogs.append(catalog)
        was_called.set()
        raise BrokenPipeError

    app = create_app(Settings(models=(tiny_bundle,)), on_loaded=fail)

    async def serve() -> None:
        async with app.lifespan():
            await was_called.wait()
            assert catalogs[0].loaded(catalogs[0].default) is not None

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(serve())
    assert isinstance(caught.value.exceptions[0], BrokenPipeError)
    assert catalogs[0].loaded(catalogs[0].default) is None
