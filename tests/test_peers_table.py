"""The comparison's table and plot, rendered from a small made-up result."""

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).parent.parent


def entry(peer: str, role: str, setting: str, rate: float) -> dict[str, object]:
    """Give an entry whose calls of 100 documents took as long as ``rate`` pairs a second says."""

    def quantiles(value: float) -> dict[str, float]:
        spread = {"p5": 0.9, "p25": 0.95, "p50": 1, "p75": 1.05, "p95": 1.1}
        return {name: factor * value for name, factor in spread.items()}

    return {
        "peer": peer,
        "engine": "onnxruntime",
        "role": role,
        "workload": "mixed",
        "setting": setting,
        "pairs_per_s": quantiles(rate),
        "call_ms": quantiles(100_000 / rate),
        "seconds": [100 / rate],
    }


def quality(peer: str, setting: str, *, window: int = 512, tau: float = 1) -> dict[str, object]:
    """Give a quality that is the torch model's where nothing else is said."""
    return {
        "peer": peer,
        "setting": setting,
        "max_difference": 1e-6 if tau == 1 else 0.2,
        "mean_difference": 1e-7,
        "kendall_tau": tau,
        "window_tokens": window,
        "reads_segments": True,
    }


@pytest.fixture
def results(tmp_path: Path) -> Path:
    comparison = {
        "environment": {
            "processor": "Some <CPU>",
            "cores": 2,
            "instruction_sets": "x86-64 with AVX2",
            "command": "python benchmarks/compare.py",
        },
        "peer_versions": {"quick": {"quick": "1.0"}, "short": {"short": "2.0"}},
        "model": "tiny",
        "variants": {"int8": "as exported"},
        "workers": 2,
        "seed": 20,
        "quality_pairs": 128,
        "workloads": [{"name": "mixed", "documents": 100, "tokens": 12_000}],
        "rounds": 9,
        "entries": [
            entry("ranklet int8", "ours", "2 workers", 1000),
            entry("quick", "default", "defaults", 250),
            entry("quick", "best", "sorted", 500),
            entry("short", "default", "defaults", 4000),
            entry("short", "best", "defaults", 4000),
        ],
        "qualities": [
            quality("ranklet int8", "2 workers", tau=0.98),
            quality("quick", "defaults"),
            quality("quick", "sorted"),
            quality("short", "defaults", window=128, tau=0.7),
        ],
        "sweep": [{"peer": "quick", "workload": "mixed", "setting": "sorted", "seconds": 0.2}],
        "absent": [{"peer": "broken", "setting": "", "reason": "it has no wheel"}],
    }
    path = tmp_path / "peers-2026-01-01.json"
    path.write_text(json.dumps(comparison))
    return path


def run(script: str, *words: str) -> str:
    command = [sys.executable, f"benchmarks/{script}", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_table_states_speed_and_scores_side_by_side(results: Path) -> None:
    table = run("peers_table.py", str(results))
    assert "| **ranklet int8** | 1000 (950-1050) | tau 0.980 |" in table
    assert "| quick, defaults | 250 (238-262) | same |" in table
    assert "| short, defaults† | 4000 (3800-4200) | cuts at 128 tokens, tau 0.700 |" in table
    assert "broken did not run: it has no wheel" in table


def test_verdict_leaves_out_who_scores_something_else(results: Path) -> None:
    table = run("peers_table.py", str(results))
    assert '4.00 times quick at its defaults, 2.00 times quick at "sorted"' in table


def test_plot_is_well_formed(results: Path, tmp_path: Path) -> None:
    output = tmp_path / "peers.svg"
    run("peers_plot.py", str(output), "--file", str(results))
    root = ET.fromstring(output.read_text())  # noqa: S314 - we wrote it
    classes = [element.get("class") for element in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert classes == ["other", "ours", "peer"]


def test_settings_found_before_are_found_again() -> None:
    """What a comparison's own trials say is best is what it raced, `--settings-of` relies on it."""
    path = ROOT / "benchmarks/results/peers-2026-11-26.json"
    code = f"""
import sys
from pathlib import Path
import msgspec
from peers.lineup import make_peers
from peers.race import Race
from peers.record import Comparison

earlier = msgspec.json.decode(Path({str(path)!r}).read_bytes(), type=Comparison)
texts = dict.fromkeys(workload.name for workload in earlier.workloads)
race = Race(texts, Path(sys.executable))
for peer in make_peers(Path("pruned.onnx")):
    found = {{
        (workload, runner.setting.name)
        for runner in race.recall(peer, earlier)
        for workload in runner.roles
    }}
    raced = {{(e.workload, e.setting) for e in earlier.entries if e.peer == peer.name}}
    assert found == raced, (peer.name, found ^ raced)
print(len(race.trials))
"""
    command = [sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "benchmarks")}
    result = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    assert int(result.stdout) > 100
