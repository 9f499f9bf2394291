"""A disk that fills up is told in one line, and nothing is left behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.torch

ROOT = Path(__file__).parents[2]

# Files beyond the limit cannot be written; the system answers much as a full disk does.
LIMITED_EXPORT = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
from ranklet.cli import main
raise SystemExit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("largest_file_bytes", [100_000, 2_000_000], ids=["tokenizer", "graph"])
def test_disk_full(largest_file_bytes: int, tiny_checkpoint: Path, tmp_path: Path) -> None:
    words = ["export", str(tiny_checkpoint), "--output", str(tmp_path / "models/built/tiny")]
    result = subprocess.run(
        [sys.executable, "-c", LIMITED_EXPORT, str(largest_file_bytes), *words],
        cwd=ROOT,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 2, result.stderr
    assert result.stderr.splitlines()[-1].startswith("ranklet: error: cannot write the bundle to")
    assert "a file grew larger than this system allows" in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []
