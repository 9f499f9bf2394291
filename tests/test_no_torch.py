"""What serves never imports what exports."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

FORBIDDEN = ["flashrank", "onnx", "optimum", "scipy", "torch", "transformers"]

# Goes before all other importers, and fails what asks for one of them, even where it is installed.
BLOCKER = f"""
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {FORBIDDEN!r}:
            print("asked for", name, file=sys.stderr, flush=True)
            raise ImportError(name)

sys.meta_path.insert(0, Blocker())
"""

IMPORT_ALL = """
import pkgutil
from importlib import import_module

import ranklet.cli
import ranklet.runtime
import ranklet.service

names = ["ranklet.Reranker"]
for package in (ranklet.runtime, ranklet.service):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        import_module(module.name)
        names.append(module.name)
getattr(ranklet, "Reranker")
print(len(names))
"""


def test_the_blocker_blocks() -> None:
    """Else the tests below would prove nothing."""
    result = subprocess.run(
        [sys.executable, "-c", BLOCKER + "import onnx"], capture_output=True, text=True, check=False
    )
    assert result.returncode != 0
    assert "asked for onnx" in result.stderr


def test_importing_every_module() -> None:
    result = subprocess.run(
        [sys.executable, "-c", BLOCKER + IMPORT_ALL], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "asked for" not in result.stderr
    assert int(result.stdout) > 20


def test_the_light_packages_import_nothing_heavy() -> None:
    """A command's help shall not wait for onnxruntime and the web framework."""
    program = "import sys, ranklet.cli, ranklet.service.settings; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert {"litestar", "numpy", "onnxruntime", "tokenizers"}.isdisjoint(result.stdout.split())


def test_serving(start_server: Callable[..., str], tiny_bundle: Path, tmp_path: Path) -> None:
    program = BLOCKER + "import ranklet.cli; raise SystemExit(ranklet.cli.main(sys.argv[1:]))"
    address = start_server(
        "--model", str(tiny_bundle), command=[sys.executable, "-W", "error", "-c", program]
    )
    body = json.dumps({"query": "organic soap", "documents": ["yoga mats", "organic soap"]})
    request = urllib.request.Request(
        f"{address}/v1/rerank", body.encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as response:
        results = json.load(response)["results"]
    assert [result["index"] for result in results] == [1, 0]
    [log] = tmp_path.glob("server-*.log")
    assert "asked for" not in log.read_text()
