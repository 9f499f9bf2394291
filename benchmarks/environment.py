"""Where and with what a measurement was made: every results file begins with this."""

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from ranklet.runtime.processor import detect_processor, usable_cores

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def describe_environment(packages: tuple[str, ...]) -> dict[str, object]:
    """Give machine, versions, commit and command, ready for JSON."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "command": shlex.join(["python", *_relative(sys.argv)]),
        "commit": _git("rev-parse", "--short", "HEAD"),
        "worktree_is_clean": not _git("status", "--porcelain", "--untracked-files=no"),
        "processor": processor_model(),
        "instruction_sets": detect_processor().description,
        "cores": usable_cores(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {package: version(package) for package in packages},
    }


def processor_model() -> str:
    """Give the processor's name as Linux knows it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # macOS
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in {"model name", "Model"}:
            return value.strip()
    return platform.processor() or platform.machine()


def _relative(words: list[str]) -> list[str]:
    return [os.path.relpath(word, ROOT) if Path(word).exists() else word for word in words]


def _git(*words: str) -> str:
    result = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return result.stdout.strip()
