"""The runtime works with the lowest versions that pyproject.toml allows."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
LOWEST = ROOT / "constraints/lowest.txt"
RUNTIME_TESTS = [
    f"tests/test_{name}.py"
    for name in ("bundle", "cli", "golden", "processor", "ranking", "reranker", "tokenization")
]


def pins(path: Path) -> dict[str, str]:
    """Read a constraints file."""
    lines = (line for line in path.read_text().splitlines() if not line.startswith("#"))
    pairs = (line.split("==") for line in lines if line)
    return {name.lower(): pinned for name, pinned in pairs}


def test_the_constraints_are_what_pyproject_allows() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = [*project["dependencies"], *project["optional-dependencies"]["service"]]
    bounds = (re.match(r"([\w-]+)>=([\d.]+)", requirement) for requirement in requirements)
    assert {bound[1]: bound[2] for bound in bounds if bound} == pins(LOWEST)


@pytest.mark.packaging
@pytest.mark.skipif(sys.version_info >= (3, 13), reason="the lowest numpy has no wheel for it")
def test_the_runtime_with_the_lowest_versions(
    wheel: Path, bundle: Path, make_environment: Callable[..., Path], tmp_path: Path
) -> None:
    others = pins(ROOT / "constraints/development.txt") | pins(LOWEST)
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("\n".join(f"{name}=={pinned}" for name, pinned in others.items()))
    group = f"{ROOT / 'pyproject.toml'}:test"
    environment = make_environment(str(wheel), "--group", group, constraints=constraints)
    command = [str(environment / "bin/pytest"), f"--bundle={bundle}", *RUNTIME_TESTS]
    result = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stdout
    for name in ("onnxruntime", "numpy", "tokenizers"):
        assert f"{name} {pins(LOWEST)[name]}" in result.stdout  # in the header
