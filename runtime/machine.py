"""What a machine has that decides how a model runs on it."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from ranklet import __version__

from .control_group import CGROUP, MEMBERSHIP, control_groups
from .processor import cgroup_quota, detect_processor, usable_cores

_MEMINFO = Path("/proc/meminfo")

_LIBRARIES = ("onnxruntime", "onnxruntime-gpu", "numpy", "tokenizers", "litestar")


class Machine(msgspec.Struct, frozen=True):
    """A machine as ``ranklet doctor`` describes it."""

    system: str
    """As ``Linux 6.1.0, x86_64``."""
    processor: str
    """The instruction sets that decide, in words."""
    instruction_sets: tuple[str, ...]
    """All of them, as the operating system names them."""
    cores: int
    """Those of the machine."""
    affinity_cores: int
    """Those that this process may run on."""
    quota_cores: float | None
    """What the control group allows; None where it sets no limit."""
    usable_cores: int
    """How many pairs are scored at the same time."""
    memory_bytes: int | None
    """Of the machine, or what the control group allows if that is less; None if unknown."""
    available_bytes: int | None
    """What may still be taken of it; None if unknown."""
    python: str
    versions: dict[str, str]
    """Of ranklet and the libraries that it scores and serves with, as far as installed."""
    providers: tuple[str, ...]
    """What the installed onnxruntime can run on."""


def describe_machine() -> Machine:
    """Look at the machine that this process runs on."""
    import onnxruntime as ort  # noqa: PLC0415 - `--help` need not load it

    processor = detect_processor()
    cores = os.cpu_count() or 1
    total, available = memory_bytes(_MEMINFO, CGROUP)
    has_affinity = hasattr(os, "sched_getaffinity")  # macOS has none
    return Machine(
        system=f"{platform.system()} {platform.release()}, {platform.machine()}",
        processor=processor.description,
        instruction_sets=tuple(sorted(processor.flags)),
        cores=cores,
        affinity_cores=len(os.sched_getaffinity(0)) if has_affinity else cores,
        quota_cores=cgroup_quota(CGROUP),
        usable_cores=usable_cores(),
        memory_bytes=total,
        available_bytes=available,
        python=platform.python_version(),
        versions={"ranklet": __version__} | _installed_versions(),
        providers=tuple(ort.get_available_providers()),
    )


def _installed_versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def memory_bytes(
    meminfo: Path, cgroup: Path, membership: Path = MEMBERSHIP
) -> tuple[int | None, int | None]:
    """Give how much memory there is and how much of it is free, None where nobody tells.

    A container or a service sees the host's memory in ``meminfo``; what it may take stands in the
    control groups under ``cgroup``.
    """
    total, available = _meminfo(meminfo, "MemTotal"), _meminfo(meminfo, "MemAvailable")
    if total is None and hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:  # macOS
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits: list[tuple[int, int]] = []
    for group in control_groups(cgroup, membership, "memory"):
        limit = _number(group / "memory.max") or _number(group / "memory.limit_in_bytes")
        if limit is not None and (total is None or limit < total):
            used = _number(group / "memory.current") or _number(group / "memory.usage_in_bytes")
            limits.append((limit, max(0, limit - (used or 0))))
    if not limits:
        return total, available
    free = min(free for _, free in limits)
    return min(limit for limit, _ in limits), free if available is None else min(free, available)


def _meminfo(path: Path, key: str) -> int | None:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    values = (line.split()[1] for line in lines if line.startswith(f"{key}:"))
    found = next(values, None)
    return None if found is None else int(found) * 1024


def _number(path: Path) -> int | None:
    """Read one number; version 2 writes ``max`` for no limit."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
