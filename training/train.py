"""Train models on prepared lists.

``python -m training.train --recipe FILE --lists DIR --output DIR``: killed, it goes on from its
last checkpoint when started again with the same words.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from hashlib import file_digest, sha256
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import BertForSequenceClassification

from ranklet.evaluation.progress import progress_bars

from .base import copy_tokenizer
from .calibration import NoLineError, check_calibration, fit_line
from .development import rank_quality, score
from .graded import LEAST_ANSWERING
from .lists import RankingLists, load_all, load_lists
from .model import CrossEncoder, NoStartError, load_encoder, load_model, save_member
from .recipe import TEACHER, read_model_recipe
from .trainer import DivergedError, OtherRunError, RecipeError, Trainer

_FIGURES = "development.json"
"""Written last into a model's folder."""

_STEPS_TO_LOG = 50
_STEPS_TO_MEASURE = 1000
_SECONDS_TO_CHECKPOINT = 240


def main() -> None:
    """Train, then write each model of the family with its figures on the development slice."""
    arguments = _parser().parse_args()
    recipe = read_model_recipe(arguments.recipe)
    for folder, option, setting in (
        (arguments.mix_in, "--mix-in", "mix_in_share"),
        (arguments.teacher, "--teacher", "teacher_weight"),
    ):
        if bool(folder) != bool(getattr(recipe.train, setting)):
            sys.exit(f"{option} and {setting}, in {arguments.recipe}, need each other")
    torch.manual_seed(recipe.seed)
    development_files = arguments.development or [arguments.lists / "development.npz"]
    try:
        lists = load_lists(arguments.lists / "training.npz")
        development = load_all(development_files)
        encoders = [
            load_encoder(settings, arguments.start).to(arguments.device)
            for settings in recipe.encoders
        ]
        teacher = load_model(arguments.teacher, TEACHER) if arguments.teacher else None
        others = [  # before an hour of training, not after it
            ([load_encoder(settings, folder) for settings in recipe.encoders], share)
            for folder, share in (
                (arguments.start, recipe.train.start_share),
                (arguments.mix_in, recipe.train.mix_in_share),
            )
            if share
        ]
    except (FileNotFoundError, NoStartError, ValueError) as error:
        sys.exit(str(error))
    arguments.output.mkdir(parents=True, exist_ok=True)
    starts = dict.fromkeys(settings.start for settings in recipe.encoders if settings.start)
    files = [
        *(arguments.recipe, arguments.lists / "training.npz", *development_files),
        *(arguments.start / name / "model.safetensors" for name in starts),
        *([arguments.teacher / "model.safetensors"] if arguments.teacher else []),
    ]
    run = fingerprint(files)
    checkpoint = arguments.output / "checkpoint.pt"
    try:
        trainer = Trainer(encoders, lists, recipe.train, seed=recipe.seed, teacher=teacher)
        if checkpoint.exists():
            trainer.load(checkpoint, run=run)
        _train(trainer, development, checkpoint, run)
    except (RecipeError, OtherRunError, DivergedError) as error:
        sys.exit(str(error))
    # What is mixed in changes the models that are written, and not what was learnt before.
    mixed = [arguments.mix_in / name / "model.safetensors" for name in starts if arguments.mix_in]
    facts = {"run": fingerprint([*files, *mixed]), "step": trainer.step}
    window = recipe.train.long_window
    try:
        for place, encoder in enumerate(trainer.averaged):
            for them, share in others:
                mix_in(encoder, them[place], share)
            _finish(encoder, development, arguments.output, facts, window=window)
    except NoLineError as error:
        sys.exit(f"{error}; {checkpoint} holds what was trained: train longer, in another --output")


def fingerprint(files: Sequence[Path]) -> str:
    """Name a run by the content of all that it depends on."""
    digest = sha256()
    for path in files:
        with path.open("rb") as content:
            digest.update(file_digest(content, "sha256").digest())
    return digest.hexdigest()


@torch.no_grad()
def mix_in(encoder: CrossEncoder, other: CrossEncoder, share: float) -> None:
    """Move the weights of an encoder by a share of the way to those of another."""
    for weight, end in zip(encoder.parameters(), other.parameters(), strict=True):
        weight.lerp_(end.to(weight.device), share)


def _train(trainer: Trainer, development: RankingLists, checkpoint: Path, run: str) -> None:
    path = checkpoint.with_name("log.jsonl")
    seconds = _cut_log(path, trainer.step)
    with path.open("a", buffering=1) as log, progress_bars() as start:
        advance = start("steps", trainer.steps)
        advance(trainer.step)
        saved = time.perf_counter()
        begin = saved - seconds
        losses: list[Tensor] = []
        while trainer.step < trainer.steps:
            losses.append(trainer.advance())
            advance(1)
            is_last = trainer.step == trainer.steps
            if trainer.step % _STEPS_TO_LOG == 0 or is_last:
                entry: dict[str, object] = {
                    "step": trainer.step,
                    "loss": torch.stack(losses).mean().item(),
                    "seconds": time.perf_counter() - begin,
                }
                losses.clear()
                if trainer.step % _STEPS_TO_MEASURE == 0 or is_last:
                    entry["development"] = _measure(trainer, development)
                log.write(json.dumps(entry) + "\n")
            if is_last or time.perf_counter() - saved > _SECONDS_TO_CHECKPOINT:
                trainer.save(checkpoint, run=run)
                saved = time.perf_counter()


def _cut_log(path: Path, step: int) -> float:
    """Drop what was logged behind the checkpoint, and give the seconds that the steps took."""
    lines = path.read_text().splitlines() if path.exists() else []
    kept = [line for line in lines if json.loads(line)["step"] <= step]
    path.write_text("".join(f"{line}\n" for line in kept))
    return float(json.loads(kept[-1])["seconds"]) if kept else 0.0


def _measure(trainer: Trainer, development: RankingLists) -> dict[str, dict[str, float]]:
    return {
        name: rank_quality(values, development)
        for encoder in trainer.averaged
        for name, values in score(encoder, development, device=trainer.device).items()
    }


def _run_of(folder: Path) -> str | None:
    """Tell which run has finished the model in a folder, if any."""
    path = folder / _FIGURES
    return json.loads(path.read_text()).get("run") if path.exists() else None


def _finish(
    encoder: CrossEncoder,
    development: RankingLists,
    output: Path,
    facts: Mapping[str, object],
    *,
    window: int,
) -> None:
    """Write the models that end at an encoder's exits, unless this run did so before.

    Written anew on a GPU, a model is not the same to the bit, and what begins with it would be
    another run.
    """
    for name in encoder.exits:
        if _run_of(output / name) != facts["run"]:
            model, figures = _calibrate(encoder, name, development)
            _write(model, {**facts, **figures}, output / name, window=window)


def _calibrate(
    encoder: CrossEncoder, name: str, development: RankingLists
) -> tuple[BertForSequenceClassification, dict[str, object]]:
    """Fit probabilities on one half of the development slice, check on the other.

    Returns:
        The model that ends at an exit, and its figures.
    """
    device = next(encoder.parameters()).device.type
    logits = score(encoder, development, device=device)[name]
    halves = [slice(0, None, 2), slice(1, None, 2)]
    fitted, checked = (_judged(logits[half], development.rows(half)) for half in halves)
    line = fit_line(*fitted)
    calibration = check_calibration(line.apply(checked[0]), checked[1])
    model = encoder.member(name)
    line.fold_into(model.classifier)
    quality = rank_quality(logits, development)
    return model, {"quality": quality, "calibration": msgspec.to_builtins(calibration)}


def _judged(
    logits: NDArray[np.float32], lists: RankingLists
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Give the logits of all passages that are there and whether each answers, shape (pairs,)."""
    there = lists.documents >= 0
    return logits[there], lists.grades[there] >= LEAST_ANSWERING


def _write(
    model: BertForSequenceClassification, figures: dict[str, object], folder: Path, *, window: int
) -> None:
    """Write a model, and its figures when all else is there."""
    (folder / _FIGURES).unlink(missing_ok=True)  # which are of what is now replaced
    save_member(model, folder)
    copy_tokenizer(folder, window=window)
    new = folder / f".{_FIGURES}"
    new.write_text(json.dumps(figures, indent=2) + "\n")
    new.replace(folder / _FIGURES)
    print(f"{folder}: {figures['quality']}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.train", description=__doc__)
    parser.add_argument("--lists", type=Path, required=True, help="what prepare wrote")
    parser.add_argument("--output", type=Path, required=True, help="for checkpoints and models")
    parser.add_argument("--start", type=Path, help="output of the run to go on from (the base)")
    parser.add_argument(
        "--mix-in", type=Path, help="output of an earlier run, of which mix_in_share is taken"
    )
    parser.add_argument(
        "--teacher", type=Path, help="folder of a model to learn from, see teacher_weight"
    )
    parser.add_argument(
        "--development",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="lists to measure and calibrate on (development.npz of --lists)",
    )
    parser.add_argument("--recipe", type=Path, required=True, help="settings of the run")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=("cpu", "cuda"), default=device)
    return parser


if __name__ == "__main__":
    main()
