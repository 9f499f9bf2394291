"""Many models behind one server: what their configuration asks for, and its reloading."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from ranklet.runtime.reranker import Reranker
from ranklet.service.catalog import build_catalog
from ranklet.service.model_config import ModelConfig, read_model_configs
from ranklet.service.reloading import reloading_on_hangup
from ranklet.service.settings import Settings

StartServer = Callable[..., tuple["subprocess.Popen[str]", httpx.Client]]
Eventually = Callable[[Callable[[], bool]], None]

ROOT = Path(__file__).parent.parent.parent

QUERY = "skin care"
DOCUMENTS = ["yoga mats", "skin care for sensitive skin", "skin"]
LONG = "garden tools " * 200 + "skin care"


class Models:
    """A folder of bundles and of files that configure them."""

    def __init__(self, folder: Path, bundle: Path) -> None:
        self.config = folder / "config"
        self.bundles = folder / "bundles"
        self.config.mkdir()
        self.bundles.mkdir()
        self._bundle = bundle

    def install(self, *names: str) -> None:
        for name in names:
            shutil.copytree(self._bundle, self.bundles / name)

    def configure(self, name: str, *lines: str, bundle: str | None = None) -> None:
        head = [f"name: {name}", "backend: rerankers", f"parameters: {{model: ./{bundle or name}}}"]
        (self.config / f"{name}.yaml").write_text("\n".join([*head, *lines, ""]))

    @property
    def words(self) -> tuple[str | Path, ...]:
        return ("--config", self.config, "--models-dir", self.bundles)


@pytest.fixture
def models(tmp_path: Path, tiny_bundle: Path) -> Models:
    return Models(tmp_path, tiny_bundle)


def rerank(client: httpx.Client, model: str | None, **more: Any) -> httpx.Response:  # noqa: ANN401 - any field
    body = {"query": QUERY, "documents": DOCUMENTS, "model": model, **more}
    return client.post("/v1/rerank", json=body)


def statuses(client: httpx.Client) -> dict[str, str]:
    return {model["id"]: model["status"] for model in client.get("/v1/models").json()["data"]}


def scores(response: httpx.Response) -> list[float]:
    assert response.status_code == 200, response.text
    results = sorted(response.json()["results"], key=lambda result: int(result["index"]))
    return [result["relevance_score"] for result in results]


def test_models_are_loaded_at_start_or_on_first_use(
    start_server: StartServer, models: Models
) -> None:
    models.install("a", "b", "c")
    models.configure("a")
    models.configure("b", "preload: true")
    models.configure("c")
    models.configure("d", bundle="c")
    _, client = start_server(*models.words)
    assert statuses(client) == {"a": "ready", "b": "ready", "c": "unloaded", "d": "unloaded"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(rerank, [client] * 8, ["c"] * 8))
    assert len({tuple(scores(answer)) for answer in answers}) == 1
    assert statuses(client)["d"] == "ready"  # the same bundle, opened alike


def test_nothing_is_loaded_at_start_where_that_is_not_wanted(
    start_server: StartServer, models: Models
) -> None:
    models.install("a")
    models.configure("a", "preload: false")
    _, client = start_server(*models.words)
    assert client.get("/readyz").status_code == 200
    assert statuses(client) == {"a": "unloaded"}
    assert rerank(client, None).status_code == 200
    assert statuses(client) == {"a": "ready"}


def test_aliases_and_a_name_for_everything_else(start_server: StartServer, models: Models) -> None:
    models.install("a", "b")
    models.configure("a", "aliases: [rerank-v3.5, 1.10]")
    models.configure("b", 'aliases: ["*"]', "score: raw")
    _, client = start_server(*models.words)
    own, other = scores(rerank(client, "a")), scores(rerank(client, "b"))
    assert own != other
    for name, expected in {"rerank-v3.5": own, "1.10": own, "whatever": other}.items():
        answer = rerank(client, name)
        assert scores(answer) == expected
        assert answer.json()["model"] == name
    for nothing in (None, "", "default/not-specified"):
        assert scores(rerank(client, nothing)) == own
    models.configure("b", "aliases: [default/not-specified]", "score: raw")
    client.post("/v1/models/reload")
    assert scores(rerank(client, "default/not-specified")) == other


def test_a_model_is_told_by_its_name(start_server: StartServer, models: Models) -> None:
    """As OpenAI's client retrieves it, which writes a slash as %2F."""
    models.install("a")
    models.configure("a", "aliases: [BAAI/bge-reranker-base]")
    absent = "name: b\nbackend: rerankers\nparameters: {model: cross-encoder}\n"
    (models.config / "b.yaml").write_text(absent)
    _, client = start_server(*models.words)
    listed = client.get("/v1/models").json()["data"]
    assert [model["id"] for model in listed] == ["a", "b"]
    assert listed[0]["created"] == int((models.bundles / "a/manifest.json").stat().st_mtime)
    assert abs(listed[1]["created"] - time.time()) < 100
    for name in ("a", "BAAI/bge-reranker-base", "BAAI%2Fbge-reranker-base"):
        for path in ("/v1/models", "/models"):
            assert client.get(f"{path}/{name}").json() == listed[0]
    for name in ("c", "BAAI/bge", "a/b"):
        answer = client.get(f"/v1/models/{name}")
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "model_not_found"
    assert client.get("/v1/models/").json()["object"] == "list"


def test_options_do_what_they_say(
    start_server: StartServer, models: Models, tiny_bundle: Path
) -> None:
    models.install("a")
    models.configure("a")
    models.configure("raw", "score: raw", bundle="a")
    models.configure("short", "max_length: 16", bundle="a")
    models.configure("fp32", "variant: fp32", "workers: 1", bundle="a")
    _, client = start_server(*models.words)
    with Reranker.open(tiny_bundle) as reranker:
        assert scores(rerank(client, "a")) == reranker.score(QUERY, DOCUMENTS).tolist()
        raw = reranker.score(QUERY, DOCUMENTS, raw_scores=True).tolist()
        assert scores(rerank(client, "raw")) == raw
        assert scores(rerank(client, "a", raw_scores=True)) == raw
    with Reranker.open(tiny_bundle, variant="fp32") as reranker:
        assert scores(rerank(client, "fp32")) == reranker.score(QUERY, DOCUMENTS).tolist()
    assert rerank(client, "short", documents=[LONG]).json()["usage"]["total_tokens"] == 16
    infos = {model["id"]: model for model in client.get("/v1/models").json()["data"]}
    assert infos["fp32"]["variant"] == "fp32"
    assert infos["short"]["window_tokens"] == 16


def test_long_documents_are_read_in_windows(
    start_server: StartServer, models: Models, tiny_bundle: Path
) -> None:
    models.install("a")
    models.configure("cut", bundle="a")
    models.configure("chunk", "long_documents: chunk", bundle="a")
    _, client = start_server(*models.words)
    with Reranker.open(tiny_bundle) as reranker:
        for model, fields, windows in [
            ("cut", {}, 1),
            ("cut", {"max_chunks_per_doc": 4}, 4),
            ("chunk", {}, 10),
            ("chunk", {"max_chunks_per_doc": 2}, 2),
        ]:
            answer = rerank(client, model, documents=[LONG], **fields)
            expected = reranker.submit(QUERY, [LONG], max_windows=windows).result()
            assert answer.json()["usage"]["total_tokens"] == int(expected.tokens.sum())
            whole = reranker.score(QUERY, [LONG], max_windows=windows).tolist()
            assert scores(answer) == whole


def test_a_budget_is_kept_while_requests_run(start_server: StartServer, models: Models) -> None:
    names = ["a", "b", "c"]
    models.install(*names)
    for name in names:
        models.configure(name)
    _, client = start_server(*models.words, "--max-model-bytes", "30KiB")
    documents = [f"{number} skin care" for number in range(300)]
    reference = scores(rerank(client, "a", documents=documents))
    with ThreadPoolExecutor(6) as pool:
        asking = [pool.submit(rerank, client, name, documents=documents) for name in names * 6]
        answers = [asked.result() for asked in asking]
        assert all(scores(answer) == reference for answer in answers)
    assert sorted(statuses(client).values()) == ["ready", "unloaded", "unloaded"]


def test_a_damaged_model_fails_alone_and_says_why(
    start_server: StartServer, models: Models
) -> None:
    models.install("a", "b")
    for graph in (models.bundles / "b").glob("*.onnx"):
        graph.write_bytes(graph.read_bytes()[:-1] + b"x")
    models.configure("a")
    models.configure("b")
    _, client = start_server(*models.words)
    answer = rerank(client, "b")
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "model_failed"
    assert int(answer.headers["retry-after"]) > 1
    assert rerank(client, "a").status_code == 200
    assert client.get("/readyz").status_code == 200
    info = client.get("/v1/models").json()["data"][1]
    assert info["status"] == "failed"
    assert "is damaged" in info["reason"]


def test_reload_adds_removes_and_keeps(start_server: StartServer, models: Models) -> None:
    models.install("a", "b", "c")
    models.configure("a")
    models.configure("b", "preload: true")
    _, client = start_server(*models.words)
    (models.config / "b.yaml").unlink()
    models.configure("c", "preload: true")
    models.configure("d")  # not installed: named, but nothing stands still for it
    (models.config / "d.yaml").write_text(
        "name: d\nbackend: rerankers\nparameters: {model: org/d}\n"
    )
    answer = client.post("/v1/models/reload")
    assert answer.status_code == 200
    listed = {model["id"]: model["status"] for model in answer.json()["data"]}
    assert listed == {"a": "ready", "c": "ready", "d": "not_installed"}
    assert rerank(client, "b").status_code == 404
    models.install("d")
    client.post("/v1/models/reload")
    assert rerank(client, "d").status_code == 200


def test_a_bundle_that_was_built_again_waits_for_a_reload(
    start_server: StartServer, models: Models
) -> None:
    """Else the new graph would run as the old manifest says."""
    models.install("a", "b")
    models.configure("a")
    models.configure("b")
    _, client = start_server(*models.words)
    expected = scores(rerank(client, "a"))
    manifest = models.bundles / "b" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"sigmoid"', '"identity"'))
    answer = rerank(client, "b")
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "model_failed"
    assert "b was built again" in answer.json()["message"]
    assert "/v1/models/reload" in answer.json()["message"]
    assert client.post("/v1/models/reload").status_code == 200
    assert scores(rerank(client, "b")) == expected


def test_every_model_gives_probabilities_unless_it_is_told_otherwise(
    start_server: StartServer, models: Models
) -> None:
    """Clients compare scores with thresholds, whatever the checkpoint's authors preferred."""
    models.install("a", "b")
    manifest = models.bundles / "b" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"sigmoid"', '"identity"'))
    models.configure("a")
    models.configure("b")
    models.configure("c", "score: raw", bundle="b")
    _, client = start_server(*models.words)
    assert scores(rerank(client, "b")) == scores(rerank(client, "a"))
    raw = scores(rerank(client, "a", raw_scores=True))
    assert scores(rerank(client, "b", raw_scores=True)) == scores(rerank(client, "c")) == raw


def test_a_broken_configuration_changes_nothing(start_server: StartServer, models: Models) -> None:
    models.install("a", "b")
    models.configure("a")
    _, client = start_server(*models.words)
    before = client.get("/v1/models").json()
    models.configure("b", "typ: x", "max_length: 9999")
    models.configure("c", "max_length: 9999", "aliases: [a]", bundle="a")
    models.configure("d", "preload: 2001-99-99", "workers: !foo 3", bundle="a")
    (models.config / "z.yaml").write_text("name: z\n")
    for _ in range(2):
        answer = client.post("/v1/models/reload")
        assert answer.status_code == 409
        assert answer.json()["error"]["code"] == "invalid_configuration"
        parts = (
            "b.yaml:4: unknown key 'typ'",
            "c.yaml:1: 'a' is configured",
            "c.yaml:1: max_length is 9999, more than the model's window",
            "d.yaml:4: preload: not a valid timestamp",
            "d.yaml:5: workers: not a valid !foo",
            "z.yaml:1: the key 'backend'",
        )
        for part in parts:
            assert part in answer.json()["message"], answer.text
        assert client.get("/v1/models").json() == before
    assert rerank(client, "a").status_code == 200
    (models.config / "z.yaml").unlink()
    models.configure("b")
    models.configure("c", "variant: int3", bundle="a")
    assert "no variant 'int3'" in client.post("/v1/models/reload").json()["message"]


def test_a_damaged_model_to_preload_changes_nothing(
    start_server: StartServer, models: Models
) -> None:
    models.install("a", "b")
    models.configure("a")
    _, client = start_server(*models.words)
    graphs = {graph: graph.read_bytes() for graph in (models.bundles / "b").glob("*.onnx")}
    for graph, content in graphs.items():
        graph.write_bytes(content[:-1] + b"x")
    models.configure("b", "preload: true")
    answer = client.post("/v1/models/reload")
    assert answer.status_code == 409
    assert "is damaged" in answer.json()["message"]
    assert statuses(client) == {"a": "ready"}
    for graph, content in graphs.items():
        graph.write_bytes(content)
    assert client.post("/v1/models/reload").status_code == 200  # at once, not after a while
    assert statuses(client) == {"a": "ready", "b": "ready"}


def test_a_removed_model_finishes_its_requests(start_server: StartServer, models: Models) -> None:
    models.install("a", "b")
    models.configure("a")
    models.configure("b", "workers: 1")
    _, client = start_server(*models.words)
    documents = [f"{number} " + "skin care " * 200 for number in range(1000)]
    answers: list[httpx.Response] = []
    asking = threading.Thread(
        target=lambda: answers.append(rerank(client, "b", documents=documents))
    )
    asking.start()
    while statuses(client)["b"] != "ready":
        pass
    (models.config / "b.yaml").unlink()
    assert client.post("/v1/models/reload").status_code == 200
    assert statuses(client) == {"a": "ready"}
    asking.join()
    assert len(scores(answers[0])) == 1000


def test_sighup_reloads(
    start_server: StartServer, models: Models, eventually: Eventually, tmp_path: Path
) -> None:
    models.install("a", "b")
    models.configure("a")
    # Under nohup the signal is ignored; the server would inherit that, and leave it so.
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    log = tmp_path / "server.log"
    process, client = start_server(*models.words, log=log)
    signal.signal(signal.SIGHUP, before)
    models.configure("b")
    process.send_signal(signal.SIGHUP)
    eventually(lambda: "b" in statuses(client))
    (models.config / "c.yaml").write_text("nmae: c\npreload: 2001-99-99\n")
    process.send_signal(signal.SIGHUP)
    eventually(lambda: "c.yaml:2: preload: not a valid timestamp" in log.read_text())
    assert "Traceback" not in log.read_text()
    (models.config / "b.yaml").unlink()
    assert rerank(client, "a").status_code == 200
    (models.config / "c.yaml").unlink()
    process.send_signal(signal.SIGHUP)
    eventually(lambda: statuses(client) == {"a": "ready"})


def test_a_bug_while_reloading_is_logged(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    catalog = build_catalog(Settings(models=(tiny_bundle,)))
    entries = catalog.entries

    def fail(_: Settings) -> None:
        message = "what nobody thought of"
        raise KeyError(message)

    async def hang_up() -> None:
        with reloading_on_hangup(catalog):
            os.kill(os.getpid(), signal.SIGHUP)
            async with asyncio.timeout(30):
                while "nothing was reloaded" not in caplog.text:  # noqa: ASYNC110 - no event tells it
                    await asyncio.sleep(0.01)

    monkeypatch.setattr("ranklet.service.catalog.read_entries", fail)
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        asyncio.run(hang_up())
    finally:
        signal.signal(signal.SIGHUP, before)
    assert "KeyError: 'what nobody thought of'" in caplog.text
    assert catalog.entries is entries


def test_models_beyond_the_budget_are_a_problem_at_start(models: Models) -> None:
    models.install("a", "b")
    models.configure("a")
    models.configure("b", "preload: true")
    problems = {
        "1KiB": r"'a' takes 0\.0 MB, more than the 0\.0 MB that",
        "30KiB": "to preload take",
    }
    for size, part in problems.items():
        message = failing_start(*models.words, "--max-model-bytes", size)
        assert re.search(part, message)
        assert "RANKLET_MAX_MODEL_BYTES" in message


def failing_start(*words: str | Path) -> str:
    command = [sys.executable, "-m", "ranklet.cli", "serve", "--port", "0", *map(str, words)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2
    return result.stderr


def test_the_page_shows_sound_configurations_and_all_keys(tmp_path: Path) -> None:
    page = (ROOT / "docs/models.md").read_text()
    examples = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert examples
    for example in examples:
        (tmp_path / "models.yaml").write_text(example)
        found, problems = read_model_configs(tmp_path)
        assert found
        assert not problems
    for key in ModelConfig.__struct_fields__:
        assert f"`{key}" in page
