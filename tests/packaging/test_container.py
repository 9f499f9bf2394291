"""The Containerfile builds an image that serves, without torch, as a user without rights.

The base image is a bare Debian with Python, made here, since nothing is pulled from a registry.
What builds from it builds from ``python:3.12-slim`` as well. The image then runs in a chroot.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest

from ranklet import Reranker

ROOT = Path(__file__).parents[2]
CACHE = ROOT / "build/container"
TOOLS = ("buildah", "debootstrap", "chroot", "unshare")
PACKAGES = "python3,python3-pip,ca-certificates"
FORBIDDEN = {"torch", "transformers", "optimum", "onnx", "flashrank", "scipy", "nvidia", "triton"}
COMPILERS = {"cc", "gcc", "c++", "g++", "clang", "rustc", "make"}

MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]
pytestmark = [
    pytest.mark.packaging,
    pytest.mark.timeout(2400),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
    pytest.mark.skipif(os.geteuid() != 0, reason="changing the root folder needs root"),
]


def call(*words: str | Path, timeout: float = 1800) -> str:
    result = subprocess.run(
        [*map(str, words)], check=False, capture_output=True, text=True, timeout=timeout
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    return result.stdout


def buildah(storage: Path, *words: str | Path) -> str:
    """Call buildah with storage of its own: whatever this machine has is left alone."""
    places = ("--root", storage / "root", "--runroot", storage / "run")
    return call("buildah", *places, "--storage-driver", "vfs", *words)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("storage")


@pytest.fixture(scope="module")
def base_image(storage: Path) -> str:
    """A bare Debian with the Python of the distribution, made to look like ``python:slim``."""
    root = CACHE / "base"
    if not root.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        work = CACHE / "base.new"
        shutil.rmtree(work, ignore_errors=True)
        mirror = "http://deb.debian.org/debian"
        call("debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", work, mirror)
        (work / "usr/bin/python").symlink_to("python3")
        # Debian keeps pip away from its own packages; in an image there is nobody to keep it from.
        for mark in (work / "usr/lib").glob("python3*/EXTERNALLY-MANAGED"):
            mark.unlink()
        call("chroot", work, "apt-get", "clean")
        shutil.rmtree(work / "var/lib/apt/lists")
        work.rename(root)
    (CACHE / "Base").write_text("FROM scratch\nADD . /\n")
    name = "localhost/base"
    words = ("--isolation", "chroot", "--format", "docker", "--file", CACHE / "Base")
    buildah(storage, "bud", *words, "--tag", name, root)
    return name


@pytest.fixture(scope="module")
def pip_mounts(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Let pip in the build use the indexes and the certificates that it uses here.

    They are mounted while the image is built and are no part of it.
    """
    listed = call("pip", "config", "list")
    settings = dict(line.split("=", 1) for line in listed.splitlines())
    lines: dict[str, str] = {}
    folders: set[Path] = set()
    for key, quoted in settings.items():
        value = quoted.strip("'")
        lines[key.split(".")[-1]] = value
        places = [urlparse(word).path for word in value.split() if word.startswith(("/", "file:/"))]
        # An index in files refers to the folder beside it.
        folders |= {Path(place).parent for place in places if Path(place).exists()}
    file = tmp_path_factory.mktemp("pip") / "pip.conf"
    file.write_text("[global]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items()))
    # The shortest paths only: what lies in a mounted folder is there already.
    outer = [folder for folder in folders if not any(above in folders for above in folder.parents)]
    mounts = [f"{folder}:{folder}:ro" for folder in outer]
    return [word for mount in [*mounts, f"{file}:/etc/pip.conf:ro"] for word in ("--volume", mount)]


@dataclass(frozen=True, slots=True)
class Image:
    """An image, unpacked."""

    root: Path
    config: dict[str, Any]
    size_mb: float

    def run(self, *words: str, **variables: str) -> subprocess.Popen[str]:
        """Start a program as the image's configuration says; gives the program's own process."""
        environment = [*self.config["Env"], *(f"{key}={value}" for key, value in variables.items())]
        # Mounts end with the process. `exec` all the way, so that signals reach the program.
        mount = 'mount -t proc proc "$0/proc" && mount --bind /dev "$0/dev" && exec chroot "$@"'
        user = f"--userspec={self.config['User']}"
        program = ["env", "-i", "-C", self.config["WorkingDir"], *environment, *words]
        return subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", mount, self.root, user, self.root, *program],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def output(self, *words: str, **variables: str) -> tuple[int, str]:
        with self.run(*words, **variables) as process:
            output, _ = process.communicate(timeout=60)
        return process.returncode, output


@pytest.fixture(scope="module")
def image(storage: Path, base_image: str, pip_mounts: list[str]) -> Image:
    return build(storage, base_image, pip_mounts)


def build(storage: Path, base_image: str, pip_mounts: list[str], *more: str) -> Image:
    """Build the image with ``more`` options and unpack it."""
    index = os.environ.get("TORCH_INDEX_URL", "https://pypi.org/simple")
    arguments = ("--build-arg", f"BASE={base_image}", "--build-arg", f"TORCH_INDEX_URL={index}")
    words = ("--isolation", "chroot", "--format", "docker", "--tag", "localhost/ranklet")
    file = ("--file", ROOT / "Containerfile")
    buildah(storage, "bud", *words, *arguments, *more, *pip_mounts, *file, ROOT)
    described = json.loads(buildah(storage, "inspect", "--type", "image", "localhost/ranklet"))
    [listed] = json.loads(buildah(storage, "images", "--json", "localhost/ranklet"))
    container = buildah(storage, "from", "--pull-never", "localhost/ranklet").strip()
    root = Path(buildah(storage, "mount", container).strip())
    return Image(root, described["Docker"]["config"], float(listed["size"].split()[0]))


@contextmanager
def serving(image: Image) -> Generator[tuple[str, subprocess.Popen[str]]]:
    """Start the image as a container engine would; gives the address once it is healthy."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        variables = {"RANKLET_PORT": str(probe.getsockname()[1])}
    words: list[str] = [*image.config["Entrypoint"], *image.config["Cmd"]]
    check = image.config["Healthcheck"]["Test"][1:]
    with image.run(*words, **variables) as process:
        try:
            deadline = time.monotonic() + 60
            while image.output(*check, **variables)[0] != 0:
                if process.poll() is not None or time.monotonic() > deadline:
                    process.kill()
                    pytest.fail(f"it did not become healthy:\n{process.communicate()[0]}")
            yield f"http://127.0.0.1:{variables['RANKLET_PORT']}", process
        finally:
            process.kill()


def post(url: str, body: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def test_what_the_image_says_about_itself(image: Image) -> None:
    assert image.config["User"] == "ranklet"
    assert image.config["Entrypoint"] == ["ranklet"]
    assert image.config["Cmd"] == ["serve"]
    assert image.config["ExposedPorts"] == {"8080/tcp": {}}
    assert "RANKLET_HOST=0.0.0.0" in image.config["Env"]
    assert image.config["Healthcheck"]["Test"][0] == "CMD"


def test_it_ranks_is_healthy_and_ends_with_status_0(image: Image) -> None:
    case = json.loads((ROOT / "tests/golden/scores.json").read_bytes())[0]
    body = {"query": case["query"], "documents": case["documents"]}
    with serving(image) as (address, process):
        status = Path(f"/proc/{process.pid}/status").read_text()
        user = next(line.split()[1:] for line in status.splitlines() if line.startswith("Uid:"))
        assert "0" not in user
        results = post(f"{address}/v1/rerank", body)["results"]
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output
    bundle = image.root / "srv/ranklet/models/built/ranklet-mini"
    with Reranker.open(bundle) as reranker:  # with this environment's versions
        expected = reranker.score(case["query"], case["documents"])
    found = {result["index"]: result["relevance_score"] for result in results}
    assert [found[i] for i in range(len(expected))] == pytest.approx(expected.tolist(), abs=1e-4)


def test_a_request_in_flight_is_answered_after_sigterm(image: Image) -> None:
    body = {"query": "moon", "documents": [f"the moon {i} is old " * 200 for i in range(100)]}
    with serving(image) as (address, process):
        code = "import sys, urllib.request as r; print(r.urlopen(r.Request(sys.argv[1], "
        code += "sys.stdin.buffer.read(), {'Content-Type': 'application/json'})).status)"
        command = ["python3", "-c", code, f"{address}/v1/rerank"]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as client:
            assert client.stdin is not None
            client.stdin.write(json.dumps(body))
            client.stdin.close()
            time.sleep(0.5)
            assert client.poll() is None, "the request was too short for this test"
            process.send_signal(signal.SIGTERM)
            assert client.stdout is not None
            assert client.stdout.read().strip() == "200"
        process.communicate(timeout=30)
    assert process.returncode == 0


def test_the_health_check_fails_where_nothing_answers(image: Image) -> None:
    status, _ = image.output(*image.config["Healthcheck"]["Test"][1:], RANKLET_PORT="1")
    assert status != 0


def test_the_doctor_finds_nothing_wrong(image: Image) -> None:
    # Without its second output: onnxruntime may complain there that a bare chroot has no /sys.
    status, output = image.output("sh", "-c", "ranklet doctor --json 2>/dev/null")
    assert status == 0, output
    found = json.loads(output)
    assert found["problems"] == []
    assert set(found["names"]) == {"ranklet-mini", "jina-reranker-v1-base-en"}


def test_the_smaller_model_answers_by_all_its_names(
    storage: Path, base_image: str, pip_mounts: list[str]
) -> None:
    image = build(storage, base_image, pip_mounts, "--build-arg", "MODEL=ranklet-nano")
    status, output = image.output("sh", "-c", "ranklet doctor --json 2>/dev/null")
    assert status == 0, output
    found = json.loads(output)
    assert found["problems"] == []
    assert set(found["names"]) == {"ranklet-nano", "jina-reranker-v1-base-en"}


def test_the_catalog_is_there(image: Image) -> None:
    status, output = image.output("ranklet", "models", "list", "--json")
    assert status == 0, output
    assert "ranklet-mini" in output


def test_the_user_can_change_nothing(image: Image) -> None:
    code = "import pathlib, sys; pathlib.Path(sys.argv[1]).touch()"
    places = [f"{image.config['WorkingDir']}/x", f"{image.config['WorkingDir']}/models/built/x"]
    for place in [*places, "/usr/local/bin/x", "/etc/x"]:
        status, output = image.output("python", "-c", code, place)
        assert status != 0, f"{place} can be written"
        assert "PermissionError" in output


def test_neither_torch_nor_a_compiler(image: Image) -> None:
    packages = {
        path.name.lower().split("-")[0]
        for path in image.root.glob("usr/local/lib/python3*/*-packages/*")
    }
    assert "ranklet" in packages
    assert FORBIDDEN.isdisjoint(packages)
    programs = {path.name for path in image.root.glob("usr/**/bin/*")}
    assert "python3" in programs
    assert COMPILERS.isdisjoint(programs)


def test_nothing_of_the_build_is_left(image: Image) -> None:
    assert not any(image.root.glob("mnt/*/*"))
    assert not any(image.root.glob("etc/pip.conf/*"))
    conf = image.root / "etc/pip.conf"
    assert not conf.exists() or conf.read_text() == ""
    assert not any(image.root.rglob("ranklet*.whl"))


def size_mb(folders: Sequence[Path]) -> float:
    return sum(float(call("du", "-sk", folder).split()[0]) for folder in folders) * 1024 / 1e6


def test_its_size(image: Image, capsys: pytest.CaptureFixture[str]) -> None:
    install = list(image.root.glob("usr/local/lib/python3*/*-packages"))
    bundle = list(image.root.glob("srv/ranklet/models/built/*"))
    with capsys.disabled():
        print(f"\nimage {image.size_mb:.0f} MB, of which", end=" ")
        print(
            f"serving install {size_mb(install):.0f} MB, bundle {size_mb(bundle):.0f} MB", end=" "
        )
    assert size_mb(install) < 350
    assert image.size_mb < 700
