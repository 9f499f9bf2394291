"""What the machine has is read from the places where Linux and its control groups keep it."""

import os
from pathlib import Path

import pytest

from ranklet.runtime import processor
from ranklet.runtime.processor import Processor, detect_processor, usable_cores


@pytest.mark.parametrize(
    ("cpuinfo", "has_dot_product", "has_avx2"),
    [
        ("processor : 0\nflags\t\t: fpu avx2 avx512_vnni\n", True, True),
        ("flags\t\t: fpu avx2 avx_vnni\n", True, True),
        ("flags\t\t: fpu sse2 avx avx2\n", False, True),
        ("flags\t\t: fpu sse2\n", False, False),
        ("Features\t: fp asimd asimddp\n", True, False),
        ("Features\t: fp asimd\n", False, False),
        ("", False, False),
    ],
)
def test_flags_are_read_on_x86_and_arm(
    tmp_path: Path, cpuinfo: str, has_dot_product: bool, has_avx2: bool
) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(cpuinfo)
    found = Processor("any", processor.linux_flags(path))
    assert (found.has_dot_product, found.has_avx2) == (has_dot_product, has_avx2)


def test_a_machine_without_cpuinfo_has_no_flags(tmp_path: Path) -> None:
    assert processor.linux_flags(tmp_path / "none") == frozenset()


def test_this_machine_is_described() -> None:
    found = detect_processor()
    assert found.description.startswith(found.machine)


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "100000 0\n"}, None),
        ({"cpu.max": "many 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4.0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_the_control_groups_quota(
    tmp_path: Path, files: dict[str, str], quota: float | None
) -> None:
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    assert processor.cgroup_quota(tmp_path) == quota


@pytest.mark.parametrize(
    ("membership", "files", "quota"),
    [
        ("0::/a/b\n", {"a/b/cpu.max": "150000 100000\n"}, 1.5),
        ("\nodd\n0::/a/b\n", {"a/b/cpu.max": "150000 100000\n"}, 1.5),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n"}, 3.0),
        ("0::/a/b\n", {"a/b/cpu.max": "150000 100000\n", "a/cpu.max": "50000 100000\n"}, 0.5),
        ("0::/a/b\n", {"c/cpu.max": "150000 100000\n"}, None),
        ("0::/\n", {"a/b/cpu.max": "150000 100000\n"}, None),
        # A container that does not see the folder of its group sees the group itself.
        ("0::/../x\n", {"cpu.max": "150000 100000\n"}, 1.5),
        (
            "9:memory:/m\n4:cpu,cpuacct:/a/b\n0::/u\n",
            {"cpu/a/cpu.cfs_quota_us": "400000\n", "cpu/a/cpu.cfs_period_us": "100000\n"},
            4.0,
        ),
    ],
)
def test_the_quota_of_a_service(
    tmp_path: Path, membership: str, files: dict[str, str], quota: float | None
) -> None:
    for name, content in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (tmp_path / "membership").write_text(membership)
    assert processor.cgroup_quota(tmp_path / "cgroup", tmp_path / "membership") == quota


@pytest.mark.parametrize(("limit", "expected"), [("50000", 1), ("100000", 1), ("99900000", None)])
def test_workers_follow_quota_and_affinity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, expected: int | None
) -> None:
    (tmp_path / "cpu.max").write_text(f"{limit} 100000\n")
    monkeypatch.setattr(processor, "CGROUP", tmp_path)
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert usable_cores() == (affinity if expected is None else expected)
