"""Print the README's tables of figures from the results files: python benchmarks/tables.py latency."""

import argparse
import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def latency() -> str:
    """Speed by document length, from the newest ``latency-*.json``."""
    path, report = _newest("latency")
    environment = report["environment"]
    sizes = report["sizes_bytes"]
    lines = [
        f"`{report['model']}` on {environment['processor']}, {environment['cores']} cores"
        f" ({environment['instruction_sets'].partition(' with ')[2]}), onnxruntime"
        f" {environment['versions']['onnxruntime']}:",
        "",
        "| pair length | variant | size | pairs/s | one document p50 | p95 |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for speed in report["speeds"]:
        one = speed["one_document_ms"]
        lines.append(
            f"| {speed['workload']} | {speed['variant']} | {sizes[speed['variant']] / 1e6:.0f} MB"
            f" | {speed['pairs_per_s']['p50']:.0f} | {one['p50']:.1f} ms | {one['p95']:.1f} ms |"
        )
    lines += ["", f"Raw quantiles: `benchmarks/results/{path.name}`, by `{environment['command']}`."]
    return "\n".join(lines)


def _newest(kind: str) -> tuple[Path, dict[str, Any]]:
    path = max(RESULTS.glob(f"{kind}-*.json"))
    return path, json.loads(path.read_text())


TABLES = {"latency": latency}


def main() -> None:
    parser = argparse.ArgumentParser(description="Print a table of figures for the README.")
    parser.add_argument("table", choices=TABLES)
    print(TABLES[parser.parse_args().table]())


if __name__ == "__main__":
    main()
