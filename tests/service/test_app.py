"""The application as its lifespan starts and ends it."""

import asyncio
import shutil
from pathlib import Path

import pytest

from ranklet.service.app import create_app
from ranklet.service.catalog import Catalog, build_catalog
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


def test_a_reload_makes_ready_what_could_not_be_loaded(tiny_bundle: Path, tmp_path: Path) -> None:
    bundle, states = tmp_path / "tiny", list[tuple[bool, bool]]()
    shutil.copytree(tiny_bundle, bundle)
    graphs = {graph: graph.read_bytes() for graph in bundle.glob("*.onnx")}
    for graph, content in graphs.items():
        graph.write_bytes(content[:-1] + b"x")

    async def serve() -> None:
        catalog = build_catalog(Settings(models=(bundle,)))
        await catalog.load()
        states.append((catalog.is_ready, catalog.failure is None))
        for graph, content in graphs.items():
            graph.write_bytes(content)
        await catalog.reload()
        states.append((catalog.is_ready, catalog.failure is None))
        await catalog.close()

    asyncio.run(serve())
    assert states == [(False, False), (True, True)]
