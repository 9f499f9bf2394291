"""The results files, as tables are made of them."""

import json
from pathlib import Path
from typing import Any

from environment import RESULTS


def newest(kind: str, on: str = "") -> tuple[Path, dict[str, Any]]:
    """Give the newest results, of processors with the instruction set ``on`` where one is named."""
    for path in sorted(RESULTS.glob(f"{kind}-*.json"), reverse=True):
        report = json.loads(path.read_text())
        if on in report["environment"].get("instruction_sets", ""):
            return path, report
    message = f"no {kind}-*.json in {RESULTS} was made on a processor with {on}"
    raise FileNotFoundError(message)


def provenance(path: Path, report: dict[str, Any]) -> str:
    """Say which file a table is made of, and by which command that was."""
    return f"`benchmarks/results/{path.name}`, by `{report['environment']['command']}`."
