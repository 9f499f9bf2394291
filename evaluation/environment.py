"""Where and with what a report was made."""

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec
import onnxruntime as ort

from ranklet import __version__
from ranklet.runtime.processor import detect_processor, usable_cores

_PACKAGES = ("bm25s", "ir-measures", "numpy", "scipy", "tokenizers")


class Environment(msgspec.Struct, frozen=True):
    """Machine, versions and command."""

    date: str
    command: str
    ranklet: str
    commit: str | None
    """Of the checkout that runs, null where ranklet was installed from a package."""
    processor: str
    instruction_sets: str
    cores: int
    workers: int | None
    """Pairs scored at the same time, where that was set; else as many as cores."""
    load_average: float
    """Over the quarter of an hour before the report: well above the cores, speeds are too low."""
    memory_gib: int
    system: str
    python: str
    versions: dict[str, str]


def describe_environment(*, workers: int | None) -> Environment:
    """Describe this machine and this process."""
    return Environment(
        date=datetime.now(UTC).date().isoformat(),
        command=shlex.join(["ranklet", *sys.argv[1:]]),
        ranklet=__version__,
        commit=_commit(),
        processor=_processor_model(),
        instruction_sets=detect_processor().description,
        cores=usable_cores(),
        workers=workers,
        load_average=round(os.getloadavg()[2], 2),
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        # Asked of itself: what is installed may be called onnxruntime-gpu.
        versions={"onnxruntime": ort.__version__}
        | {package: version(package) for package in _PACKAGES},
    )


def _commit() -> str | None:
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():  # an installed package may lie within some other checkout
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - fixed command
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()


def _processor_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # macOS
        return platform.processor() or platform.machine()
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in {"model name", "Model"}:  # x86, ARM
            return value.strip()
    return platform.machine()
