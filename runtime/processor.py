"""What this machine's processor can do, and how much of it is ours."""

import math
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .control_group import CGROUP, MEMBERSHIP, control_groups

_CPUINFO = Path("/proc/cpuinfo")

_DOT_PRODUCT_FLAGS = frozenset(
    {"avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "FEAT_DotProd"},
)
"""Names, on Linux and macOS, of the instructions that sum products of 8-bit integers exactly in
32 bits."""

_AVX2_FLAGS = frozenset({"avx2", "AVX2"})


@dataclass(frozen=True, slots=True)
class Processor:
    """The processor as far as it decides which graph runs best."""

    machine: str
    """``x86_64``, ``aarch64``, ``arm64``."""
    flags: frozenset[str]
    """Instruction sets as the operating system names them."""

    @property
    def has_dot_product(self) -> bool:
        """Whether products of 8-bit integers are summed exactly in 32 bits."""
        return not self.flags.isdisjoint(_DOT_PRODUCT_FLAGS)

    @property
    def has_avx2(self) -> bool:
        """Whether the processor has AVX2."""
        return not self.flags.isdisjoint(_AVX2_FLAGS)

    @property
    def description(self) -> str:
        """What decides, in words: "x86_64 with avx512_vnni"."""
        deciding = sorted(self.flags & _DOT_PRODUCT_FLAGS) or sorted(self.flags & _AVX2_FLAGS)
        return f"{self.machine} with {', '.join(deciding) or 'neither AVX2 nor dot products'}"


def detect_processor() -> Processor:
    """Read what the operating system says about the processor."""
    flags = _macos_flags() if platform.system() == "Darwin" else linux_flags(_CPUINFO)
    return Processor(platform.machine(), flags)


def linux_flags(cpuinfo: Path) -> frozenset[str]:
    """Read the instruction sets from ``/proc/cpuinfo`` as x86 and ARM write it, or none."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return frozenset()
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in {"flags", "Features"}:  # x86, ARM
            return frozenset(value.split())
    return frozenset()


def _macos_flags() -> frozenset[str]:
    command = ["/usr/sbin/sysctl", "hw.optional.arm", "machdep.cpu.leaf7_features"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed command
    except OSError:
        return frozenset()
    flags: set[str] = set()
    for line in result.stdout.splitlines():
        key, _, value = line.partition(":")
        if key.startswith("hw.optional.arm.") and value.strip() == "1":
            flags.add(key.rpartition(".")[2])
        elif key == "machdep.cpu.leaf7_features":
            flags.update(value.split())
    return frozenset(flags)


def usable_cores() -> int:
    """Count the cores that this process may keep busy, at least 1.

    That is the smaller of the affinity mask and the control group's quota. onnxruntime and Python
    3.11 count the cores of the host instead (https://github.com/microsoft/onnxruntime/issues/29510).
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:  # macOS has no affinity mask
        cores = os.cpu_count() or 1
    quota = cgroup_quota(CGROUP)
    return max(1, cores if quota is None else min(cores, math.floor(quota)))


def cgroup_quota(root: Path, membership: Path = MEMBERSHIP) -> float | None:
    """Give the cores that the control groups under ``root`` allow, None where none sets a limit."""
    folders = control_groups(root, membership, "cpu")
    return min((quota for path in folders if (quota := _quota(path)) is not None), default=None)


def _quota(group: Path) -> float | None:
    try:
        limit, period = (group / "cpu.max").read_text().split()  # version 2
    except (OSError, ValueError):
        try:
            limit = (group / "cpu.cfs_quota_us").read_text().strip()  # version 1
            period = (group / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    try:
        return int(limit) / int(period) if limit not in {"max", "-1"} else None
    except (ValueError, ZeroDivisionError):  # nothing that a kernel writes
        return None
