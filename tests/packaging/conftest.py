"""The wheel, built once, and environments of its own to install it into."""

import subprocess
import sys
import venv
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

Environment = Callable[..., Path]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution as an index would do it."""
    if find_spec("build") is None:
        pytest.skip("build is not installed")
    output = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(output), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    [path] = output.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def make_environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Make an environment with nothing in it but ``words``, which are arguments of pip.

    The fixture is a function ``(*words, constraints) -> folder``; calling it with ``folder`` adds
    to an environment.
    """

    def make(*words: str, constraints: Path, folder: Path | None = None) -> Path:
        if folder is None:
            folder = tmp_path_factory.mktemp("environment")
            venv.create(folder, with_pip=True)
            # The pip that comes with Python may not know dependency groups.
            _pip(folder, "--upgrade", "pip", constraints=constraints)
        _pip(folder, *words, constraints=constraints)
        return folder

    return make


def _pip(folder: Path, *words: str, constraints: Path) -> None:
    command = [folder / "bin/python", "-m", "pip", "install", "--quiet"]
    options = ["--disable-pip-version-check", "--constraint", constraints]
    result = subprocess.run(
        [*map(str, command), *map(str, options), *words],
        check=False,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
