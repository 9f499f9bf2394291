"""Train models on prepared lists.

``python -m training.train --recipe FILE --lists DIR --output DIR``: killed, it goes on from its
last checkpoint when started again with the same words.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from hashlib import file_digest, sha256
from pathlib import Path

import msgspec
import torch
from torch import Tensor

from ranklet.evaluation.progress import progress_bars

from .base import copy_tokenizer
from .calibration import check_calibration, fit_line
from .development import rank_quality, score
from .lists import RankingLists, load_lists
from .model import CrossEncoder, NoStartError, load_encoder, save_member
from .recipe import ModelRecipe, read_model_recipe
from .trainer import OtherRunError, Trainer

_FIGURES = "development.json"
"""Written last into a model's folder."""

_STEPS_TO_LOG = 50
_STEPS_TO_MEASURE = 1000
_SECONDS_TO_CHECKPOINT = 240


def main() -> None:
    """Train, then write each model of the family with its figures on the development slice."""
    arguments = _parser().parse_args()
    recipe = read_model_recipe(arguments.recipe)
    torch.manual_seed(recipe.seed)
    arguments.output.mkdir(parents=True, exist_ok=True)
    lists = load_lists(arguments.lists / "training.npz")
    if len(lists.queries) < recipe.train.lists_in_step:
        sys.exit(f"{len(lists.queries)} lists are too few for a step of {arguments.recipe}")
    development = load_lists(arguments.development or arguments.lists / "development.npz")
    encoders = _load_encoders(recipe, arguments.start, arguments.device)
    starts = dict.fromkeys(settings.start for settings in recipe.encoders if settings.start)
    run = fingerprint(
        [
            *(arguments.recipe, arguments.lists / "training.npz"),
            *(arguments.start / name / "model.safetensors" for name in starts),
        ]
    )
    trainer = Trainer(encoders, lists, recipe.train, seed=recipe.seed)
    checkpoint = arguments.output / "checkpoint.pt"
    if checkpoint.exists():
        try:
            trainer.load(checkpoint, run=run)
        except OtherRunError as error:
            sys.exit(str(error))
    was_done = trainer.step == trainer.steps
    _train(trainer, development, checkpoint, run)
    for encoder in trainer.averaged:
        for name in encoder.exits:
            folder = arguments.output / name
            # Written anew on a GPU, a model is not the same to the bit, and what begins with it
            # would be another run.
            if not (was_done and (folder / _FIGURES).exists()):
                _finish(trainer, encoder, name, development, folder)


def fingerprint(files: Sequence[Path]) -> str:
    """Name a run by the content of all that it depends on."""
    digest = sha256()
    for path in files:
        with path.open("rb") as content:
            digest.update(file_digest(content, "sha256").digest())
    return digest.hexdigest()


def _load_encoders(recipe: ModelRecipe, start: Path | None, device: str) -> list[CrossEncoder]:
    try:
        return [load_encoder(settings, start).to(device) for settings in recipe.encoders]
    except NoStartError as error:
        sys.exit(str(error))


def _train(trainer: Trainer, development: RankingLists, checkpoint: Path, run: str) -> None:
    with checkpoint.with_name("log.jsonl").open("a", buffering=1) as log, progress_bars() as start:
        advance = start("steps", trainer.steps)
        advance(trainer.step)
        begin = saved = time.perf_counter()
        losses: list[Tensor] = []
        while trainer.step < trainer.steps:
            losses.append(trainer.advance())
            advance(1)
            is_last = trainer.step == trainer.steps
            if is_last or time.perf_counter() - saved > _SECONDS_TO_CHECKPOINT:
                trainer.save(checkpoint, run=run)
                saved = time.perf_counter()
            if trainer.step % _STEPS_TO_LOG and not is_last:
                continue
            entry: dict[str, object] = {
                "step": trainer.step,
                "loss": torch.stack(losses).mean().item(),
                "seconds": time.perf_counter() - begin,
            }
            losses.clear()
            if trainer.step % _STEPS_TO_MEASURE == 0 or is_last:
                entry["development"] = {
                    name: rank_quality(values)
                    for encoder in trainer.averaged
                    for name, values in score(encoder, development, device=trainer.device).items()
                }
            log.write(json.dumps(entry) + "\n")


def _finish(
    trainer: Trainer,
    encoder: CrossEncoder,
    name: str,
    development: RankingLists,
    folder: Path,
) -> None:
    """Calibrate on one half of the development slice, check on the other, write the model."""
    logits = score(encoder, development, device=trainer.device)[name]
    line = fit_line(logits[::2])
    calibration = check_calibration(line.apply(logits[1::2]))
    figures = {
        "step": trainer.step,
        "quality": rank_quality(logits),
        "calibration": msgspec.to_builtins(calibration),
    }
    model = encoder.member(name)
    line.fold_into(model.classifier)
    save_member(model, folder)
    copy_tokenizer(folder)
    (folder / _FIGURES).write_text(json.dumps(figures, indent=2) + "\n")
    print(f"{folder}: {figures['quality']}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.train", description=__doc__)
    parser.add_argument("--lists", type=Path, required=True, help="what prepare wrote")
    parser.add_argument("--output", type=Path, required=True, help="for checkpoints and models")
    parser.add_argument("--start", type=Path, help="output of the run to go on from (the base)")
    parser.add_argument(
        "--development", type=Path, help="lists to measure on (development.npz of --lists)"
    )
    parser.add_argument("--recipe", type=Path, required=True, help="settings of the run")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=("cpu", "cuda"), default=device)
    return parser


if __name__ == "__main__":
    main()
