"""The wheel is whole, and serves where nothing but its own dependencies is installed."""

import json
import subprocess
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.packaging

ROOT = Path(__file__).parent.parent.parent
CONSTRAINTS = ROOT / "constraints/serving.txt"
PACKAGES = [path.name for path in (ROOT / "src/ranklet").iterdir() if path.is_symlink()]
FORBIDDEN = {"flashrank", "onnx", "optimum", "optimum-onnx", "scipy", "torch", "transformers"}


@pytest.fixture(scope="module")
def environment(wheel: Path, make_environment: Callable[..., Path]) -> Path:
    return make_environment(f"{wheel}[service]", constraints=CONSTRAINTS)


def test_the_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert {"export", "runtime", "service"} <= set(PACKAGES)
    expected = {
        f"ranklet/{path.relative_to(ROOT)}"
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    expected |= {f"ranklet/{name}" for name in ("__init__.py", "cli.py", "py.typed")}
    assert found == expected


def test_no_package_of_the_export_is_installed(
    environment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [str(environment / "bin/python"), "-m", "pip", "list", "--format", "json"]
    result = subprocess.run(command, check=True, capture_output=True)
    installed = {package["name"].lower() for package in json.loads(result.stdout)}
    assert {"ranklet", "onnxruntime", "litestar"} <= installed
    assert FORBIDDEN.isdisjoint(installed)
    site = next(environment.glob("lib/python*/site-packages"))
    folders = [folder for folder in site.iterdir() if not folder.name.startswith(("pip", "setup"))]
    sizes = {folder.name: _size_mb(folder) for folder in folders}
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:5]
    with capsys.disabled():
        print(f"\nserving needs {sum(sizes.values()):.0f} MB of packages, of which")
        print(", ".join(f"{name} {size:.0f} MB" for name, size in largest), end=" ")


def _size_mb(folder: Path) -> float:
    files = folder.rglob("*") if folder.is_dir() else [folder]
    return sum(path.stat().st_size for path in files if path.is_file()) / 1e6


def test_the_wheel_serves(
    environment: Path, bundle: Path, start_server: Callable[..., str], tmp_path: Path
) -> None:
    address = start_server(
        "--model", str(bundle), command=[str(environment / "bin/ranklet")], cwd=tmp_path
    )
    documents = ["The capital of France is Paris.", "Bread rises because of yeast."]
    body = json.dumps({"query": "why does bread rise", "documents": documents, "top_n": 1})
    request = urllib.request.Request(
        f"{address}/v1/rerank", body.encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as response:
        [result] = json.load(response)["results"]
    assert result["index"] == 1


def test_export_says_what_to_install(environment: Path, tmp_path: Path) -> None:
    command = [str(environment / "bin/ranklet"), "export", "nowhere", "--output", "bundle"]
    result = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 2
    assert "ranklet[export]" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_golden_scores_with_the_versions_that_serve(
    environment: Path, bundle: Path, make_environment: Callable[..., Path]
) -> None:
    """They are newer than the export's: tokenizers is held back there by transformers."""
    words = ["--group", f"{ROOT / 'pyproject.toml'}:test"]
    make_environment(*words, constraints=CONSTRAINTS, folder=environment)
    command = [str(environment / "bin/pytest"), f"--bundle={bundle}", "tests/test_golden.py"]
    result = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stdout
