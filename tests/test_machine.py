"""What a machine has, read from files as Linux writes them."""

from pathlib import Path

import pytest

from ranklet.runtime.checkup import check_bundle, obstacle
from ranklet.runtime.machine import describe_machine, memory_bytes
from ranklet.runtime.manifest import ProcessorFamily
from ranklet.runtime.processor import Processor, usable_cores

MIB = 1 << 20
NONE = Path("/nonexistent")


@pytest.fixture
def meminfo(tmp_path: Path) -> Path:
    path = tmp_path / "meminfo"
    path.write_text("MemTotal:     1024 kB\nMemFree:   1 kB\nMemAvailable:     512 kB\n")
    return path


def cgroup(folder: Path, **files: str) -> Path:
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def test_the_memory_of_the_machine(meminfo: Path) -> None:
    assert memory_bytes(meminfo, NONE) == (1 * MIB, MIB // 2)


def test_what_the_control_group_allows(meminfo: Path, tmp_path: Path) -> None:
    group = cgroup(tmp_path / "v2", memory_DOT_max="600000\n", memory_DOT_current="500000\n")
    assert memory_bytes(meminfo, group) == (600_000, 100_000)
    group = cgroup(tmp_path / "full", memory_DOT_max="600000\n", memory_DOT_current="700000\n")
    assert memory_bytes(meminfo, group) == (600_000, 0)
    group = cgroup(tmp_path / "v1", memory__memory_DOT_limit_in_bytes="1000")
    assert memory_bytes(meminfo, group) == (1000, 1000)


def test_what_is_allowed_to_a_service(meminfo: Path, tmp_path: Path) -> None:
    membership = tmp_path / "membership"
    membership.write_text("0::/system/ranklet\n")
    root = tmp_path / "v2"
    cgroup(root / "system/ranklet", memory_DOT_max="600000\n", memory_DOT_current="500000\n")
    assert memory_bytes(meminfo, root, membership) == (600_000, 100_000)
    # What others in the same slice take is missing as well.
    cgroup(root / "system", memory_DOT_max="700000\n", memory_DOT_current="650000\n")
    assert memory_bytes(meminfo, root, membership) == (600_000, 50_000)
    membership.write_text("7:cpu:/c\n6:memory:/system/ranklet\n")
    cgroup(tmp_path / "v1/memory/system/ranklet", memory_DOT_limit_in_bytes="1000")
    assert memory_bytes(meminfo, tmp_path / "v1", membership) == (1000, 1000)


@pytest.mark.parametrize("limit", ["max\n", "9223372036854771712\n"])  # version 2, version 1
def test_a_control_group_without_limit(limit: str, meminfo: Path, tmp_path: Path) -> None:
    group = cgroup(tmp_path / "group", memory_DOT_max=limit, memory_DOT_current="5")
    assert memory_bytes(meminfo, group) == (1 * MIB, MIB // 2)


def test_this_machine() -> None:
    machine = describe_machine()
    assert machine.usable_cores == usable_cores() <= machine.affinity_cores <= machine.cores
    assert machine.memory_bytes is None or machine.memory_bytes > 100 * MIB
    assert "CPUExecutionProvider" in machine.providers
    assert {"ranklet", "onnxruntime", "numpy", "tokenizers"} <= machine.versions.keys()


@pytest.mark.parametrize(
    ("flags", "runs"),
    [
        ({"avx2", "avx512_vnni"}, {"any", "avx2", "int8-dot"}),
        ({"avx2"}, {"any", "avx2"}),
        ({"sse2"}, {"any"}),
        ({"asimddp"}, {"any", "int8-dot"}),
    ],
)
def test_which_families_run(flags: set[str], runs: set[str]) -> None:
    families: list[ProcessorFamily] = ["any", "int8-dot", "avx2", "cuda"]
    processor = Processor("machine", frozenset(flags))
    found = {family for family in families if not obstacle(family, processor, cuda=False)}
    assert found == runs
    assert not obstacle("cuda", processor, cuda=True)


def test_a_bundle_that_works(tiny_bundle: Path) -> None:
    check = check_bundle(tiny_bundle)
    assert (check.name, check.problem) == ("tiny", None)
    assert check.score is not None
    assert 0 < check.score < 1
    assert check.milliseconds is not None
    assert check.milliseconds > 0
    assert check.chosen in {variant.name for variant in check.variants if variant.runs_here}


def test_a_variant_that_is_not_there(tiny_bundle: Path) -> None:
    check = check_bundle(tiny_bundle, variant="int4")
    assert check.problem is not None
    assert "has no variant 'int4', only fp32" in check.problem
    assert check.score is None
