"""Other projects' clients, in an environment of their own that is kept between runs."""

import re
import subprocess
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.packaging

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "build/clients"
CONSTRAINTS = ROOT / "constraints/clients.txt"


@pytest.fixture(scope="module")
def environment(make_environment: Callable[..., Path]) -> Path:
    """Made once, about a minute; later calls only install what has changed."""
    if not FOLDER.exists():
        venv.create(FOLDER, with_pip=True)
    make_environment("--upgrade", "pip", "setuptools", constraints=CONSTRAINTS, folder=FOLDER)
    groups = [f"{ROOT / 'pyproject.toml'}:{name}" for name in ("test", "clients")]
    words = ["--no-build-isolation", "--editable", f"{ROOT}[service]"]
    for group in groups:
        words += ["--group", group]
    return make_environment(*words, constraints=CONSTRAINTS, folder=FOLDER)


def test_real_clients(environment: Path, bundle: Path) -> None:
    command = [str(environment / "bin/pytest"), f"--bundle={bundle}", "tests/clients"]
    result = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stdout
    assert re.search(r"\d+ passed", result.stdout)
    assert "skipped" not in result.stdout  # nothing is left out where everything is installed
