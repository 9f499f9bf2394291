"""Export candidates, measure them, and keep a record of every look.

``python -m training.evaluate --models DIR... --data DIR...``: test collections are looked at once
for each release candidate, never to choose between checkpoints.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

LOOKS = Path(__file__).with_name("looks.jsonl")

_METRICS = "nDCG@10,RR,AP"
_RANKLET = (sys.executable, "-m", "ranklet.cli")


def main() -> None:
    """Export, measure, write down."""
    arguments = _parser().parse_args()
    names = [model.name for model in arguments.models]
    if len(names) != len({*names}):
        sys.exit(
            f"a bundle and a record are named as the model's folder: {', '.join(names)} repeat"
        )
    development = {model.name: _development(model) for model in arguments.models}
    bundles = [_export(model, arguments.bundles, arguments.variants) for model in arguments.models]
    words = ["eval", "--json", "--metrics", _METRICS, "--depth", str(arguments.depth)]
    words += ["--variant", *arguments.variants, "--model", *map(str, bundles)]
    found = subprocess.run(  # noqa: S603 - our own program and the words above
        [*_RANKLET, *words, "--data", *map(str, arguments.data)],
        check=True,
        stdout=subprocess.PIPE,
    )
    report = json.loads(found.stdout)
    report["environment"]["command"] = name_data_folder(report["environment"]["command"])
    report["development"] = development
    with LOOKS.open("a") as looks:
        looks.write(json.dumps(_look(report, arguments.note)) + "\n")
    if arguments.output is not None:
        arguments.output.write_text(json.dumps(report, indent=1) + "\n")
    print(f"written down in {LOOKS}")


def name_data_folder(command: str) -> str:
    """Put the variable for the folder of data: where it lies is the machine's own affair."""
    data = os.environ.get("RANKLET_DATA")
    return command.replace(data, "$RANKLET_DATA") if data else command


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    add = parser.add_argument
    add("--models", type=Path, nargs="+", required=True, help="folders that train wrote")
    add("--data", type=Path, nargs="+", required=True, help="test collections")
    add("--bundles", type=Path, required=True, help="folder to export to")
    add("--note", required=True, help="which candidate this is, for the record")
    add("--variants", nargs="+", default=["fp32", "int8"])
    add("--depth", type=int, default=100)
    add("--output", type=Path, help="file for the whole report")
    return parser


def _export(model: Path, bundles: Path, variants: Sequence[str]) -> Path:
    bundle = bundles / model.name
    words = ["export", str(model), "--output", str(bundle), "--variants", ",".join(variants)]
    subprocess.run([*_RANKLET, *words], check=True)  # noqa: S603 - our own program and a path
    return bundle


def _development(model: Path) -> dict[str, object]:
    """Give what train found on the development slice; of other models nothing is known."""
    path = model / "development.json"
    figures: dict[str, object] = json.loads(path.read_text()) if path.exists() else {}
    return figures


def _look(report: dict[str, Sequence[dict[str, object]]], note: str) -> dict[str, object]:
    """Keep what a look showed: one line of values."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "candidate": note,
        "depth": report["depth"],
        "values": [
            {key: row[key] for key in ("collection", "model", "variant", "digest", "quality")}
            for row in report["rows"]
        ],
    }


if __name__ == "__main__":
    main()
