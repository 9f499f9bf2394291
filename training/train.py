"""Train the family on prepared lists: ``python -m training.train --lists DIR --output DIR``.

Killed, it goes on from its last checkpoint when started again with the same words.
"""

import argparse
import json
import time
from pathlib import Path
from typing import cast

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ranklet.evaluation.progress import progress_bars

from .base import copy_tokenizer
from .batches import make_batches
from .calibration import check_calibration, fit_line
from .development import rank_quality, score
from .lists import RankingLists, load_lists
from .losses import Targets, family_loss
from .model import FamilyEncoder, load_family, load_teacher, save_member
from .precision import reduced_precision
from .recipe import TrainSettings, read_model_recipe

_STEPS_TO_CHECKPOINT = 50
_STEPS_TO_MEASURE = 600


class Trainer:
    """The state of a run: weights, their average, the optimiser, the step.

    It runs where the encoder is; the teacher is there too.
    """

    def __init__(
        self,
        encoder: FamilyEncoder,
        lists: RankingLists,
        settings: TrainSettings,
        *,
        seed: int,
        teacher: FamilyEncoder | None = None,
    ) -> None:
        self.encoder = encoder
        self._teacher = teacher
        self.device = next(encoder.parameters()).device.type
        self.step = 0
        self.steps = settings.steps
        self._lists = lists
        self._settings = settings
        self._seed = seed
        trained = [weight for weight in encoder.parameters() if weight.requires_grad]
        self._optimizer = torch.optim.AdamW(trained, lr=settings.learning_rate, weight_decay=0.01)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer,
            settings.learning_rate,
            total_steps=settings.steps,
            pct_start=settings.warmup,
            anneal_strategy="linear",
        )
        self.average = torch.optim.swa_utils.AveragedModel(encoder, avg_fn=self._mix)

    def advance(self) -> float:
        """Do one step.

        Returns:
            The loss.
        """
        chosen = self._chosen()
        logits = self._score(self.encoder, chosen)
        has_positive = torch.from_numpy(self._lists.has_positive[chosen])
        targets = Targets(self._teach(chosen), has_positive.to(self.device))
        loss = family_loss(logits, targets, self._settings)
        self._optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.encoder.parameters(), 1.0)
        self._optimizer.step()
        self._schedule.step()
        self.average.update_parameters(self.encoder)
        self.step += 1
        return loss.item()

    @property
    def averaged(self) -> FamilyEncoder:
        """The model with the average of the weights over the steps."""
        return cast("FamilyEncoder", self.average.module)

    def save(self, path: Path) -> None:
        """Write the state, as a whole or not at all."""
        state = {
            "step": self.step,
            "encoder": self.encoder.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
        }
        new = path.with_suffix(".new")
        torch.save(state, new)
        new.replace(path)

    def load(self, path: Path) -> None:
        """Go on from where ``save`` was called."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.step = state["step"]
        self.encoder.load_state_dict(state["encoder"])
        self.average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])

    def _mix(self, average: Tensor, weight: Tensor, _steps: Tensor | int) -> Tensor:
        return average.lerp(weight, 1 - self._settings.averaging)

    def _chosen(self) -> NDArray[np.int64]:
        """Choose this step's lists: a pass over all in an order of its own, then the next."""
        size = self._settings.lists_in_step
        count = len(self._lists.query_ids)
        epoch, batch = divmod(self.step, count // size)
        order = np.random.default_rng((self._seed, epoch)).permutation(count)
        return order[batch * size : (batch + 1) * size]

    def _teach(self, chosen: NDArray[np.int64]) -> Tensor:
        """Score as the teacher does: a cross-encoder, or what the lists were prepared with."""
        if self._teacher is None:
            return torch.from_numpy(self._lists.teacher[chosen]).to(self.device)
        with torch.no_grad():
            return self._score(self._teacher, chosen)["teacher"]

    def _score(self, encoder: FamilyEncoder, chosen: NDArray[np.int64]) -> dict[str, Tensor]:
        shape = self._lists.documents[chosen].shape
        parts: list[dict[str, Tensor]] = []
        places: list[NDArray[np.int64]] = []
        for batch in make_batches(self._lists, chosen, window=self._window()):
            with reduced_precision(self.device):
                parts.append(encoder(batch.ids.to(self.device), batch.types.to(self.device)))
            places.append(batch.places)
        back = torch.from_numpy(np.argsort(np.concatenate(places))).to(self.device)
        return {
            name: torch.cat([part[name] for part in parts])[back].reshape(shape)
            for name in parts[0]
        }

    def _window(self) -> int:
        is_late = self.step >= (1 - self._settings.late_share) * self._settings.steps
        return (
            self._settings.late_window if is_late and self.step % 4 == 0 else self._settings.window
        )


def main() -> None:
    """Train, then write each model of the family with its figures on the development slice."""
    arguments = _parser().parse_args()
    recipe = read_model_recipe(arguments.recipe)
    torch.manual_seed(recipe.seed)
    arguments.output.mkdir(parents=True, exist_ok=True)
    lists = load_lists(arguments.lists / "training.npz")
    development = load_lists(arguments.development or arguments.lists / "development.npz")
    encoder = load_family(recipe.model, arguments.start).to(arguments.device)
    teacher = arguments.teacher and load_teacher(arguments.teacher).to(arguments.device)
    trainer = Trainer(encoder, lists, recipe.train, seed=recipe.seed, teacher=teacher)
    _train(trainer, development, arguments.output)
    for name in recipe.model.exits:
        _finish(trainer, name, development, arguments.output / name)


def _train(trainer: Trainer, development: RankingLists, output: Path) -> None:
    checkpoint = output / "checkpoint.pt"
    if checkpoint.exists():
        trainer.load(checkpoint)
    with (output / "log.jsonl").open("a", buffering=1) as log, progress_bars() as start:
        advance = start("steps", trainer.steps)
        advance(trainer.step)
        while trainer.step < trainer.steps:
            begin = time.perf_counter()
            loss = trainer.advance()
            seconds = time.perf_counter() - begin
            entry: dict[str, object] = {"step": trainer.step, "loss": loss, "seconds": seconds}
            is_last = trainer.step == trainer.steps
            if trainer.step % _STEPS_TO_MEASURE == 0 or is_last:
                scores = score(trainer.averaged, development, device=trainer.device)
                entry["development"] = {
                    name: rank_quality(values) for name, values in scores.items()
                }
            log.write(json.dumps(entry) + "\n")
            if trainer.step % _STEPS_TO_CHECKPOINT == 0 or is_last:
                trainer.save(checkpoint)
            advance(1)


def _finish(trainer: Trainer, name: str, development: RankingLists, folder: Path) -> None:
    """Calibrate on one half of the development slice, check on the other, write the model."""
    encoder = trainer.averaged
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
    (folder / "development.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(f"{folder}: {figures['quality']}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.train", description=__doc__)
    parser.add_argument("--lists", type=Path, required=True, help="what prepare wrote")
    parser.add_argument("--output", type=Path, required=True, help="for checkpoints and models")
    parser.add_argument("--start", type=Path, help="model to go on from (the base)")
    parser.add_argument("--teacher", type=Path, help="model to learn from (the lists' own teacher)")
    parser.add_argument("--development", type=Path, help="lists to choose by (those in --lists)")
    parser.add_argument("--recipe", type=Path, required=True, help="settings of the run")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser


if __name__ == "__main__":
    main()
