"""An export that is killed leaves nothing that looks like a model, and the next one just works."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ranklet.runtime.bundle import check_all_files
from ranklet.runtime.manifest import MANIFEST_NAME, read_manifest

pytestmark = pytest.mark.torch

ROOT = Path(__file__).parents[2]

MOMENTS = (
    "bundle",  # the work folder was just made
    "exported/model.onnx",
    "plain.onnx",
    "bundle/fp32.onnx",
    "bundle/int8.onnx",
    f"manifest/{MANIFEST_NAME}",
)
"""Files of the work folder whose appearance starts the killing, in their order."""


def start_export(checkpoint: Path, output: Path) -> subprocess.Popen[str]:
    words = ["export", str(checkpoint), "--output", str(output)]
    return subprocess.Popen(
        [sys.executable, "-m", "ranklet.cli", *words, "--allow-degraded", "--verify-pairs", "32"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(process: subprocess.Popen[str], folder: Path, name: str) -> bool:
    """Wait until the work folder has a file of that name; False if the export ended before."""
    while process.poll() is None:
        if any(path.joinpath(name).exists() for path in folder.glob(".*.building-*")):
            return True
        time.sleep(0.0005)
    return False


def models_below(folder: Path) -> list[Path]:
    """Give every folder that has a manifest and a tokenizer, hidden ones included."""
    return [
        Path(root)
        for root, _, names in os.walk(folder)
        if MANIFEST_NAME in names and "tokenizer.json" in names
    ]


@pytest.fixture(scope="module")
def built(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that was built without being disturbed."""
    output = tmp_path_factory.mktemp("undisturbed") / "bundle"
    with start_export(tiny_checkpoint, output) as process:
        process.communicate(timeout=300)
    assert process.returncode == 0
    return output


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_export_leaves_no_model(moment: str, tiny_checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "built/bundle"
    with start_export(tiny_checkpoint, output) as process:
        was_running = wait_for(process, output.parent, moment)
        process.kill()
    if was_running and process.returncode != 0:
        assert not output.exists()
        assert models_below(tmp_path) == []
    else:  # it was faster than we were; then it must have finished
        assert models_below(tmp_path) == [output]
        check_all_files(output, read_manifest(output))


def test_next_export_cleans_up_and_works(tiny_checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "built/bundle"
    with start_export(tiny_checkpoint, output) as process:
        assert wait_for(process, output.parent, "plain.onnx")
        process.kill()
    assert len(list(output.parent.iterdir())) == 1
    with start_export(tiny_checkpoint, output) as process:
        process.communicate(timeout=300)
    assert process.returncode == 0
    assert list(output.parent.iterdir()) == [output]
    check_all_files(output, read_manifest(output))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_replacement_keeps_the_old_bundle(
    number: signal.Signals, built: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    output = shutil.copytree(built, tmp_path / "built/bundle")
    before = (output / MANIFEST_NAME).read_bytes()
    with start_export(tiny_checkpoint, output) as process:
        assert wait_for(process, output.parent, "bundle/int8.onnx")
        process.send_signal(number)
    assert process.returncode != 0
    assert (output / MANIFEST_NAME).read_bytes() == before
    check_all_files(output, read_manifest(output))
    assert models_below(tmp_path) == [output]
    if number != signal.SIGKILL:  # it could clean up
        assert list(output.parent.iterdir()) == [output]


def test_two_exports_to_the_same_place(tiny_checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "built/bundle"
    with (
        start_export(tiny_checkpoint, output) as first,
        start_export(tiny_checkpoint, output) as second,
    ):
        first.communicate(timeout=300)
        second.communicate(timeout=300)
    assert [first.returncode, second.returncode] == [0, 0]
    assert list(output.parent.iterdir()) == [output]
    check_all_files(output, read_manifest(output))
