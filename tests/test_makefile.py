"""What the Makefile says and where it writes, without making anything."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *words], cwd=ROOT, check=False, capture_output=True, text=True, timeout=60
    )


def test_training_without_data_is_told_before_anything_is_installed(tmp_path: Path) -> None:
    lists, environment = tmp_path / "lists", tmp_path / "venv"
    # With a python that does nothing, an installation would fail at once.
    variables = (f"LISTS={lists}", f"VENV={environment}", "PYTHON=false", "TRAIN_DATA=")
    result = make("train", *variables)
    assert result.returncode != 0
    assert "Say where the pairs are: make train TRAIN_DATA=<folder>" in result.stdout
    for run in ("first", "second", "fifth", "pairs"):  # lists that are made already need no data
        (lists / run).mkdir(parents=True)
        (lists / run / "training.npz").touch()
    result = make("train", *variables)
    assert "Say where the pairs are" not in result.stdout


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer_config.json"])
def test_a_new_model_is_exported_before_it_is_served(name: str) -> None:
    changed = f"models/ranklet-mini/{name}"
    result = make("--dry-run", "run", f"--what-if={changed}", "SERVICE=", "EXPORT=")
    assert result.returncode == 0, result.stderr
    exported = result.stdout.index("export models/ranklet-mini --output models/built/ranklet-mini")
    assert exported < result.stdout.index("serve --model models/built/ranklet-mini")


def test_measuring_leaves_what_the_documents_show_alone() -> None:
    result = make("--dry-run", "bench", "BUNDLE=tests/tiny/bundle")
    assert result.returncode == 0, result.stderr
    assert "--output build/benchmarks/" in result.stdout
    assert "--output benchmarks/results/" not in result.stdout
