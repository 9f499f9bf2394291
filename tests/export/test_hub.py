"""Checkpoints from the hub, played by a server of our own that speaks its protocol."""

import hashlib
import json
import random
import shutil
import subprocess
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import onnx
import pytest
from huggingface_hub.constants import DOWNLOAD_CHUNK_SIZE

from ranklet.export.request import ExportRequest
from ranklet.runtime.bundle import check_all_files
from ranklet.runtime.manifest import Source, read_manifest

pytestmark = pytest.mark.torch

REPO_ID = "someone/tiny-reranker"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
REVISIONS = ("main", "v1", COMMIT)
WEIGHTS = (".safetensors", ".onnx", ".onnx_data", ".zip")

FLASHRANK = "ms-marco-MiniLM-L-12-v2"
"""A name that the flashrank package knows."""

Run = Callable[..., subprocess.CompletedProcess[str]]
StartHub = Callable[..., "StandInHub"]


@dataclass
class StandInHub:
    """What the server serves, how it misbehaves, and what it was asked for."""

    folder: Path
    repo_id: str = REPO_ID
    address: str = ""
    token: str | None = None
    """Asked for where given."""
    refusal: tuple[int, str] | None = None
    """Status and error code for everything."""
    cuts: int = 0
    """How many downloads of weights break off in their middle."""
    fetched: list[str] = field(default_factory=list[str])
    """Names of the files whose content was sent, in part or in full."""
    ranges: list[str] = field(default_factory=list[str])
    """Parts of files that were asked for, as their clients wrote it."""
    changed: dict[str, bytes] = field(default_factory=dict[str, bytes])
    """By name: what is sent in place of the file that was announced."""

    def environment(self, cache: Path) -> dict[str, str]:
        """Give the variables that send the hub's client here."""
        return {
            "HF_ENDPOINT": self.address,
            "HF_HOME": str(cache),
            "HF_HUB_OFFLINE": "0",
            "HF_TOKEN": "",
        }


class Handler(BaseHTTPRequestHandler):
    hub: StandInHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""

    def _answer(self) -> None:
        hub = self.hub
        if hub.refusal is not None:
            return self._refuse(*hub.refusal)
        if hub.token is not None and self.headers["Authorization"] != f"Bearer {hub.token}":
            return self._refuse(401, "RepoNotFound")
        path = self.path.partition("?")[0]
        if path.startswith(f"/api/models/{hub.repo_id}"):
            _, _, revision = path.partition("/revision/")
            return self._describe(revision or "main")
        _, found, rest = path.partition(f"/{hub.repo_id}/resolve/")
        revision, _, name = rest.partition("/")
        if not found or revision not in REVISIONS:
            return self._refuse(404, "RepoNotFound")
        if not (hub.folder / name).is_file():
            return self._refuse(404, "EntryNotFound")
        return self._send_file(name)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _describe(self, revision: str) -> None:
        if revision not in REVISIONS:
            return self._refuse(404, "RevisionNotFound")
        files = sorted(
            str(path.relative_to(self.hub.folder))
            for path in self.hub.folder.rglob("*")
            if path.is_file()
        )
        description = {
            "id": self.hub.repo_id,
            "sha": COMMIT,
            "siblings": [{"rfilename": name} for name in files],
        }
        content = json.dumps(description).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        return None

    def _send_file(self, name: str) -> None:
        content = (self.hub.folder / name).read_bytes()
        etag = hashlib.sha256(content).hexdigest()
        content = self.hub.changed.get(name, content)
        total, start = len(content), 0
        if asked := self.headers["Range"]:
            self.hub.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{etag}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(total - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.end_headers()
        if self.command == "HEAD":
            return
        self.hub.fetched.append(name)
        content = content[start:]
        if name.endswith(WEIGHTS) and self.hub.cuts > 0:
            self.hub.cuts -= 1
            content = content[: len(content) // 2]
            self.close_connection = True
        self.wfile.write(content)


@pytest.fixture
def start_hub() -> Iterator[StartHub]:
    """Start hubs, each with the files of a folder; they end with the test."""
    with ExitStack() as stack:

        def start(folder: Path, repo_id: str = REPO_ID) -> StandInHub:
            served = StandInHub(folder, repo_id)

            class HandlerOfThis(Handler):
                hub = served

            server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), HandlerOfThis))
            served.address = f"http://127.0.0.1:{server.server_port}"
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return served

        yield start


@pytest.fixture
def hub(checkpoint: Path, start_hub: StartHub) -> StandInHub:
    """A hub with the tiny checkpoint and files that an export has no use for."""
    (checkpoint / "onnx").mkdir()
    (checkpoint / "onnx/config.json").write_text("{}")
    (checkpoint / "training_log.bin").write_bytes(b"pickled")
    return start_hub(checkpoint)


@pytest.fixture
def environment(hub: StandInHub, tmp_path: Path) -> dict[str, str]:
    return hub.environment(tmp_path / "cache")


def export(run_export: Run, tmp_path: Path, *words: str, environment: dict[str, str]) -> str:
    """Run an export that must fail, and give the one line that it says."""
    output = tmp_path / "built/bundle"
    result = run_export(REPO_ID, "--output", output, *words, environment=environment)
    assert result.returncode == 2, result.stderr
    assert not (tmp_path / "built").exists()
    errors = [line for line in result.stderr.splitlines() if line.startswith("ranklet: error: ")]
    assert len(errors) == 1
    assert "Traceback" not in result.stderr
    return errors[0]


def test_model_from_the_hub_then_from_the_cache(
    hub: StandInHub, environment: dict[str, str], run_export: Run, tmp_path: Path
) -> None:
    environment["HF_TOKEN"] = hub.token = "hf_secret"
    words = (REPO_ID, "--variants", "fp32", "--verify-pairs", "32", "--output")
    result = run_export(*words, tmp_path / "first", "--revision", "v1", environment=environment)
    assert result.returncode == 0, result.stderr
    manifest = read_manifest(tmp_path / "first")
    check_all_files(tmp_path / "first", manifest)
    assert manifest.source.checkpoint == REPO_ID
    assert manifest.source.revision == COMMIT
    assert manifest.source.licence == "cc-by-4.0"
    assert sorted(hub.fetched) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
    ]
    assert hub.fetched[-1] == "model.safetensors"

    hub.refusal = (500, "")
    offline = environment | {"HF_HUB_OFFLINE": "1"}
    result = run_export(*words, tmp_path / "second", "--revision", "v1", environment=offline)
    assert result.returncode == 0, result.stderr
    assert read_manifest(tmp_path / "second").source == manifest.source
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "cache",
        "first",
        "second",
        "source",
    ]


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        ((401, ""), "answered 401: there is no such model, or HF_TOKEN gives no access to it"),
        ((401, ""), "gives no access to it (and there is no such folder here)"),
        ((403, ""), "answered 403"),
        ((403, "GatedRepo"), "access must be granted first"),
        ((404, "RepoNotFound"), "answered 404: there is no such model, and no such folder here"),
        ((429, ""), "answered 429; try again later"),
        ((500, ""), "answered 500; try again later"),
    ],
)
def test_refusals_of_the_hub(  # noqa: PLR0917 - fixtures
    refusal: tuple[int, str],
    message: str,
    hub: StandInHub,
    environment: dict[str, str],
    run_export: Run,
    tmp_path: Path,
) -> None:
    hub.refusal = refusal
    assert message in export(run_export, tmp_path, environment=environment)


def test_unknown_revision(environment: dict[str, str], run_export: Run, tmp_path: Path) -> None:
    line = export(run_export, tmp_path, "--revision", "v2", environment=environment)
    assert "it has no revision 'v2'" in line


def test_no_network(environment: dict[str, str], run_export: Run, tmp_path: Path) -> None:
    environment["HF_ENDPOINT"] = "http://127.0.0.1:9"
    line = export(run_export, tmp_path, environment=environment)
    assert "cannot be reached" in line
    assert line.endswith("(and there is no such folder here)")


def test_a_revision_seeks_on_the_hub_what_no_folder_here_holds(
    environment: dict[str, str], run_ranklet: Run
) -> None:
    words = ("export", "models/nope", "--revision", "main")
    result = run_ranklet(*words, environment=environment)
    assert "cannot download models/nope: " in result.stderr
    assert "answered 404: there is no such model, and no such folder here" in result.stderr


def test_a_revision_means_the_hub_also_where_there_is_such_a_folder(
    environment: dict[str, str], run_ranklet: Run
) -> None:
    words = ("export", "models/ranklet-mini", "--revision", "main")
    result = run_ranklet(*words, environment=environment)
    assert "cannot download models/ranklet-mini: " in result.stderr
    assert result.stderr.rstrip().endswith("answered 404: there is no such model")


def test_the_name_is_the_ids_whatever_a_folder_of_that_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    Path("some").mkdir()
    Path("some/model").symlink_to(tmp_path / "elsewhere")
    assert ExportRequest("some/model").place()[0] == "elsewhere"
    assert ExportRequest("some/model", revision="main").place()[0] == "model"


def test_offline_without_the_model(
    environment: dict[str, str], run_export: Run, tmp_path: Path
) -> None:
    environment["HF_HUB_OFFLINE"] = "1"
    assert "HF_HUB_OFFLINE is set" in export(run_export, tmp_path, environment=environment)


def test_refused_before_the_weights_are_fetched(
    hub: StandInHub, environment: dict[str, str], run_export: Run, tmp_path: Path
) -> None:
    (hub.folder / "model.safetensors").rename(hub.folder / "pytorch_model.bin")
    line = export(run_export, tmp_path, environment=environment)
    assert "its weights are pickled (pytorch_model.bin)" in line
    assert "pytorch_model.bin" not in hub.fetched


def test_broken_download_is_completed_by_the_next_export(
    hub: StandInHub, environment: dict[str, str], run_export: Run, tmp_path: Path
) -> None:
    hub.cuts = 1
    line = export(run_export, tmp_path, environment=environment)
    assert "the connection broke off: run the same command again to resume" in line
    offline = environment | {"HF_HUB_OFFLINE": "1"}
    line = export(run_export, tmp_path, environment=offline)
    assert "the cache holds only a part of the model" in line

    words = ("--variants", "fp32", "--verify-pairs", "32", "--output")
    result = run_export(REPO_ID, *words, tmp_path / "bundle", environment=environment)
    assert result.returncode == 0, result.stderr
    assert hub.fetched.count("config.json") == 1
    assert hub.fetched.count("model.safetensors") == 2


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_file_that_changes_on_its_way(
    name: str, hub: StandInHub, environment: dict[str, str], run_export: Run, tmp_path: Path
) -> None:
    content = bytearray((hub.folder / name).read_bytes())
    content[-2] ^= 1
    hub.changed[name] = bytes(content)
    line = export(run_export, tmp_path, environment=environment)
    assert f"{name} has another checksum than the hub announced" in line
    assert not list((tmp_path / "cache").rglob(name))
    hub.changed.clear()
    words = ("--variants", "fp32", "--verify-pairs", "32", "--output")
    result = run_export(REPO_ID, *words, tmp_path / "bundle", environment=environment)
    assert result.returncode == 0, result.stderr
    assert hub.fetched.count(name) == 2


def test_licence_that_restricts_is_told(
    hub: StandInHub, environment: dict[str, str], run_export: Run, tmp_path: Path
) -> None:
    (hub.folder / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
    words = ("--variants", "fp32", "--verify-pairs", "32", "--output")
    result = run_export(REPO_ID, *words, tmp_path / "bundle", environment=environment)
    assert "Licence: cc-by-nc-4.0, which forbids commercial use" in result.stderr
    assert read_manifest(tmp_path / "bundle").source.licence == "cc-by-nc-4.0"


def test_ready_graph_without_torch(
    tiny_graph: Path, start_hub: StartHub, run_without_torch: Run, tmp_path: Path
) -> None:
    """Of what lies on the hub only the graph and its data are fetched."""
    folder = shutil.copytree(tiny_graph, tmp_path / "served")
    (folder / "onnx").mkdir()
    graph = onnx.load(folder / "model.onnx")
    (folder / "model.onnx").unlink()
    onnx.save(
        graph, folder / "onnx/model.onnx", save_as_external_data=True, location="model.onnx_data"
    )
    (folder / "onnx/model_fp16.onnx").write_bytes(b"another")
    hub = start_hub(folder)
    words = ("export", REPO_ID, "--variants", "fp32", "--verify-pairs", "32", "--output")
    environment = hub.environment(tmp_path / "cache")
    result = run_without_torch(*words, tmp_path / "bundle", environment=environment)
    assert result.returncode == 0, result.stderr
    manifest = read_manifest(tmp_path / "bundle")
    assert manifest.source.revision == COMMIT
    assert "torch" not in manifest.tool_versions
    fetched = {name for name in hub.fetched if name.startswith("onnx/")}
    assert fetched == {"onnx/model.onnx", "onnx/model.onnx_data"}


def test_model_of_flashrank_by_its_name(
    flashrank_folder: Path, start_hub: StartHub, run_without_torch: Run, tmp_path: Path
) -> None:
    """The archive breaks off once; the next export goes on where it stopped."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "README.md").write_text("---\nlicense: cc-by-sa-4.0\n---\n")
    with zipfile.ZipFile(folder / f"{FLASHRANK}.zip", "w") as archive:
        for path in flashrank_folder.iterdir():
            archive.write(path, f"{FLASHRANK}/{path.name}")
        archive.writestr("padding", random.Random(7).randbytes(3 * DOWNLOAD_CHUNK_SIZE))
    hub = start_hub(folder, "prithivida/flashrank")
    hub.cuts = 1
    environment = hub.environment(tmp_path / "cache")
    words = ("export", f"flashrank:{FLASHRANK}", "--verify-pairs", "32", "--output")
    result = run_without_torch(*words, tmp_path / "bundle", environment=environment)
    assert result.returncode == 2
    assert "the connection broke off" in result.stderr
    assert not (tmp_path / "bundle").exists()
    result = run_without_torch(*words, tmp_path / "bundle", environment=environment)
    assert result.returncode == 0, result.stderr
    assert hub.ranges == [f"bytes={DOWNLOAD_CHUNK_SIZE}-"]
    manifest = read_manifest(tmp_path / "bundle")
    assert manifest.source == Source(f"flashrank:{FLASHRANK}", COMMIT, "cc-by-sa-4.0")
    assert list(manifest.variants) == ["source"]


def test_install_from_the_gallery(
    checkpoint: Path, start_hub: StartHub, run_ranklet: Run, tmp_path: Path
) -> None:
    hub = start_hub(checkpoint, "cross-encoder/ms-marco-MiniLM-L6-v2")
    environment = hub.environment(tmp_path / "cache")
    words = ("models", "install", "ms-marco-minilm-l-6", "--output", tmp_path / "bundle", "--json")
    result = run_ranklet(*words, environment=environment)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["manifest"]["name"] == "ms-marco-minilm-l-6"
    check_all_files(tmp_path / "bundle", read_manifest(tmp_path / "bundle"))
