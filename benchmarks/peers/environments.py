"""The peers' environments and the models they read, built when they are new or changed."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
BUILD = ROOT / "build" / "peers"
MODELS = BUILD / "models"
TORCH = ROOT / "constraints" / "torch.txt"

CONVERSIONS = (
    ("onnx", "sentence-transformers-onnx"),
    ("openvino", "sentence-transformers"),
    ("nncf", "openvino"),
)
"""Scripts in ``conversions``, in this order, and the environments they run in."""

OFFLINE = {
    "DO_NOT_TRACK": "1",
    "HF_DATASETS_CACHE": str(BUILD / "cache"),
    "HF_HUB_OFFLINE": "1",
    "PYTHONPATH": str(HERE.parent),
    "PYTHONWARNINGS": "ignore",
    "TRANSFORMERS_VERBOSITY": "error",
}
"""Nothing is fetched while models are made and measured."""


class BuildError(Exception):
    """An environment or a model cannot be made."""


def build_environment(name: str) -> Path:
    """Make the environment that ``requirements/<name>.txt`` describes; gives its Python.

    Raises:
        BuildError: pip failed.
    """
    requirements = HERE / "requirements" / f"{name}.txt"
    folder = BUILD / "environments" / name
    python = folder / "bin" / "python"
    needs_torch = "constraints/torch.txt" in requirements.read_text()
    recipe = [requirements, TORCH] if needs_torch else [requirements]
    if _is_built(folder, recipe):
        return python
    print(f"making the environment of {name}", flush=True)
    _run([sys.executable, "-m", "venv", "--clear", str(folder)])
    pip = [str(python), "-m", "pip", "install", "-qqq", "--disable-pip-version-check"]
    if needs_torch:
        index = os.environ.get("TORCH_INDEX_URL")
        _run([*pip, "--requirement", str(TORCH), *(["--index-url", index] if index else [])])
    # Resolved already, less what peers do not need here; so pip shall not resolve it again.
    _run([*pip, "--no-deps", "--requirement", str(requirements)])
    _mark_built(folder, recipe)
    return python


def make_models(checkpoint: Path, calibration: list[tuple[str, str]]) -> dict[str, str]:
    """Make the folder of models; gives the reasons of conversions that failed, by their names."""
    recipe = [
        *sorted(file for file in checkpoint.iterdir() if file.is_file()),
        *(HERE / "conversions" / f"{name}.py" for name, _ in CONVERSIONS),
        *(HERE / "requirements" / f"{environment}.txt" for _, environment in CONVERSIONS),
    ]
    if _is_built(MODELS, recipe):
        return {}
    shutil.rmtree(MODELS, ignore_errors=True)
    (MODELS / "calibration").mkdir(parents=True)
    lines = [json.dumps({"pair": pair}) for pair in calibration]
    (MODELS / "calibration" / "train.jsonl").write_text("\n".join(lines))
    failures: dict[str, str] = {}
    for name, environment in CONVERSIONS:
        print(f"making the models of {environment}", flush=True)
        try:
            python = build_environment(environment)
            module = f"peers.conversions.{name}"
            _run([str(python), "-m", module, str(checkpoint.resolve()), str(MODELS)])
        except BuildError as error:
            failures[name] = str(error)
    if not failures:
        _mark_built(MODELS, recipe)
    return failures


def _run(command: list[str]) -> None:
    environment = {**os.environ, **(OFFLINE if "peers.conversions" in " ".join(command) else {})}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        print(result.stderr, file=sys.stderr)
        lines = [line for line in result.stderr.splitlines() if line.strip()]
        raise BuildError(lines[-1] if lines else f"exit status {result.returncode}")


def _is_built(folder: Path, recipe: list[Path]) -> bool:
    stamp = folder / ".built"
    return stamp.exists() and stamp.read_text() == _digest(recipe)


def _mark_built(folder: Path, recipe: list[Path]) -> None:
    (folder / ".built").write_text(_digest(recipe))


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256(sys.version.encode())
    for file in files:
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()
