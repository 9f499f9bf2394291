"""On 64-bit ARM, emulated: the wheels are there, and the scores are those of this machine.

Debian's Python for ARM and the wheels that pip finds for it are unpacked side by side and run by
``qemu-aarch64-static``, as the processors of two Raspberry Pis: one sums products of 8-bit integers
exactly, the other does not.
"""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from ranklet.runtime.arrays import Float32Array
from ranklet.runtime.reranker import Reranker

ROOT = Path(__file__).parents[2]
CACHE = ROOT / "build/arm64"
CASES = ROOT / "tests/golden/scores.json"
SCRIPT = Path(__file__).parent / "arm64_scores.py"
TOOLS = ("debootstrap", "dpkg-deb", "qemu-aarch64-static")
PYTHON = "3.11"
"""Of Debian bookworm."""

PLATFORMS = [f"manylinux_2_{minor}_aarch64" for minor in (36, 35, 34, 31, 28, 27, 17)]
"""What wheels for Debian bookworm may be made for; the last one is also called manylinux2014."""

FP32_TOLERANCE = 1e-4
"""In standard deviations of the logits: ARM sums in another order."""
INT8_TOLERANCE = 0.05
"""The same; int8 rounds, so that a last bit can become a step of a whole activation."""


@dataclass(frozen=True, slots=True)
class Board:
    """A processor as qemu calls it and as Linux describes it."""

    cpu: str
    part: str
    features: str
    variant: str
    """What is to be chosen for it."""
    tolerance: float
    """How far scores may be from those of this machine."""

    @property
    def cpuinfo(self) -> str:
        """What ``/proc/cpuinfo`` says; onnxruntime crashes where the part is missing."""
        return (
            f"processor\t: 0\nFeatures\t: {self.features}\nCPU implementer\t: 0x41\n"
            f"CPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: {self.part}\nCPU revision\t: 3\n"
        )


PI4 = Board("cortex-a72", "0xd08", "fp asimd evtstrm crc32 cpuid", "fp32", FP32_TOLERANCE)
PI5 = Board(
    "cortex-a76",
    "0xd0b",
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop "
    "asimddp",
    "int8",
    INT8_TOLERANCE,
)

MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]
pytestmark = [
    pytest.mark.packaging,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
    pytest.mark.skipif(os.geteuid() != 0, reason="debootstrap needs root"),
]


def call(*words: str | Path) -> str:
    result = subprocess.run([*map(str, words)], check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    return result.stdout


@pytest.fixture(scope="module")
def system() -> Path:
    """The files of a Debian for ARM; none of its programs has to run for that."""
    root = CACHE / "system"
    if not root.exists():
        work = CACHE / "work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        words = ("--foreign", "--arch=arm64", "--variant=minbase", "--include=python3", "bookworm")
        call("debootstrap", *words, work / "download", "http://deb.debian.org/debian")
        for package in work.glob("download/var/cache/apt/archives/*.deb"):
            call("dpkg-deb", "--extract", package, work / "system")
        (work / "system").rename(root)
        shutil.rmtree(work)
    return root


@pytest.fixture(scope="module")
def packages(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that serving needs, as wheels for ARM, and nothing that would have to be compiled."""
    downloads = tmp_path_factory.mktemp("wheels")
    target = [
        word for name in (*PLATFORMS, "manylinux2014_aarch64") for word in ("--platform", name)
    ]
    target += ["--python-version", PYTHON, "--implementation", "cp", "--only-binary", ":all:"]
    pinned = ("--constraint", ROOT / "constraints/serving.txt", f"{wheel}[service]")
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--dest", downloads)
    call(*pip, *target, *pinned)
    folder = tmp_path_factory.mktemp("site")
    for path in downloads.glob("*.whl"):
        assert path.stem.endswith(("any", "aarch64")), path.name
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
    return folder


@dataclass(frozen=True, slots=True)
class Scores:
    """What the golden cases score."""

    variant: str
    reason: str
    logits: Float32Array


@dataclass(frozen=True, slots=True)
class Emulator:
    """Runs Python for ARM."""

    system: Path
    packages: Path

    def scores(self, bundle: Path, board: Board) -> Scores:
        """Score the golden cases with the variant that the board chooses."""
        # qemu looks below `-L` first, so that programs see the processor that is emulated. The
        # version in Debian would show them the one that emulates.
        (self.system / "proc").mkdir(exist_ok=True)
        (self.system / "proc/cpuinfo").write_text(board.cpuinfo)
        paths = (f"PYTHONPATH={self.packages}", f"PYTHONHOME={self.system}/usr")
        environment = [word for path in paths for word in ("-E", path)]
        python = self.system / f"usr/bin/python{PYTHON}"
        words: list[str | Path] = [
            "qemu-aarch64-static",
            "-L",
            self.system,
            "-cpu",
            board.cpu,
            *environment,
            python,
        ]
        output = call(*words, SCRIPT, bundle, CASES)
        found = json.loads(output)
        assert found["machine"] == "aarch64"
        return Scores(found["variant"], found["reason"], flat(found["logits"]))


def flat(logits: list[list[float]]) -> Float32Array:
    result: Float32Array = np.concatenate([np.array(row, np.float32) for row in logits])
    return result


@pytest.fixture(scope="module")
def emulator(system: Path, packages: Path) -> Emulator:
    return Emulator(system, packages)


def scores_here(bundle: Path, variant: str) -> Float32Array:
    with Reranker.open(bundle, variant=variant) as reranker:
        cases = json.loads(CASES.read_bytes())
        found = [
            reranker.score(case["query"], case["documents"], raw_scores=True) for case in cases
        ]
    return np.concatenate(found)


@pytest.mark.parametrize("board", [PI5, PI4], ids=["Raspberry Pi 5", "Raspberry Pi 4"])
def test_scores_are_those_of_this_machine(
    board: Board, emulator: Emulator, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = emulator.scores(bundle, board)
    assert found.variant == board.variant
    expected = scores_here(bundle, board.variant)
    difference = np.abs(found.logits - expected) / expected.std()
    with capsys.disabled():
        print(f"\n{board.cpu} runs {found.variant}: {found.reason}; {len(expected)} pairs, at most")
        print(f"{difference.max():.1e} deviations off, {difference.mean():.1e} on average", end=" ")
    assert difference.max() < board.tolerance
    assert np.ptp(found.logits) > 1  # scores, not a constant
