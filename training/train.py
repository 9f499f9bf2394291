"""Train models on prepared lists.

``python -m training.train --recipe FILE --lists DIR --output DIR``: killed, it goes on from its
last checkpoint when started again with the same words.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from hashlib import file_digest, sha256
from pathlib import Path
from typing import cast

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ranklet.evaluation.progress import progress_bars

from .base import copy_tokenizer
from .batches import PairBatcher
from .calibration import check_calibration, fit_line
from .development import rank_quality, score
from .lists import RankingLists, load_lists
from .losses import Targets, family_loss, state_distance
from .model import FamilyEncoder, NoStartError, Reading, load_encoder, save_member
from .precision import reduced_precision
from .recipe import ModelRecipe, TrainSettings, read_model_recipe
from .texts import send

_Average = Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]

_FIGURES = "development.json"
"""Written last into a model's folder."""

_STEPS_TO_AVERAGE = 8
"""Of the weights, which makes a GPU wait."""

_STEPS_TO_LOG = 50
_STEPS_TO_MEASURE = 1000
_SECONDS_TO_CHECKPOINT = 240


class OtherRunError(Exception):
    """A checkpoint does not belong to this run."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is of a run with other settings, lists or models: remove it to begin anew, "
            "or give this run another --output"
        )


class Family(nn.Module):
    """Encoders that learn together, the deepest last, and lines from the states of one to its."""

    def __init__(self, encoders: Sequence[FamilyEncoder]) -> None:
        super().__init__()
        self.encoders = cast("Sequence[FamilyEncoder]", nn.ModuleList(encoders))
        width = encoders[-1].config.hidden_size
        lines = [nn.Linear(width, width) for _ in encoders[1:]]
        for line in lines:
            nn.init.eye_(line.weight)
            nn.init.zeros_(line.bias)
        self.lines = nn.ModuleList(lines)

    def distance(self, readings: Sequence[Reading], mask: Tensor) -> Tensor:
        """Sum up, over tokens, how far the states of the shallow encoders are from the deepest's.

        Args:
            readings: Of the same pairs, one of each encoder.
            mask: bool, shape (pairs, tokens): which tokens are some.
        """
        *shallow, deepest = readings
        wanted = deepest.states.detach()
        parts = zip(self.lines, shallow, strict=True)
        distances = [state_distance(line(one.states), wanted, mask) for line, one in parts]
        return torch.stack([mask.new_zeros((), dtype=torch.float32), *distances]).sum()


class Trainer:
    """The state of a run: weights, their average, the optimiser, the step.

    It runs where the encoders are.
    """

    def __init__(
        self,
        encoders: Sequence[FamilyEncoder],
        lists: RankingLists,
        settings: TrainSettings,
        *,
        seed: int,
    ) -> None:
        self.device = next(encoders[0].parameters()).device.type
        self.family = Family(encoders).to(self.device)
        self.step = 0
        self.steps = settings.steps
        self._lists = lists
        self._pairs = PairBatcher(lists, self.device)
        self._settings = settings
        self._seed = seed
        self._order: NDArray[np.int64] | None = None
        trained = [weight for weight in self.family.parameters() if weight.requires_grad]
        self._optimizer = torch.optim.AdamW(trained, lr=settings.learning_rate, weight_decay=0.01)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer,
            settings.learning_rate,
            total_steps=settings.steps,
            pct_start=settings.warmup,
            anneal_strategy="linear",
        )
        decay = settings.averaging**_STEPS_TO_AVERAGE
        average = cast("_Average", get_ema_multi_avg_fn(decay))
        self.average = AveragedModel(self.family, multi_avg_fn=average)
        if self.device == "cuda":  # behind the copy, which only measures and needs not be fast
            for encoder in encoders:
                encoder.compile_layers()

    def advance(self) -> Tensor:
        """Do one step.

        Returns:
            The loss, shape (), on the device: to ask for its value is to wait for it.
        """
        rows = self._chosen()
        columns = draw_columns(
            self._lists.documents[rows],
            own=self._lists.own,
            own_taken=self._settings.own[self.step % len(self._settings.own)],
            count=self._settings.documents,
            seed=(self._seed, self.step),
        )
        documents = np.take_along_axis(self._lists.documents[rows], columns, 1)
        teacher = np.take_along_axis(self._lists.teacher[rows], columns, 1)
        targets = Targets(send(teacher, self.device), send(columns < self._lists.own, self.device))
        logits, distance = self._read(rows, documents)
        loss = family_loss(logits, targets, self._settings)
        loss = loss + self._settings.state_weight * distance
        self._optimizer.zero_grad()
        loss.backward()
        for encoder in self.family.encoders:
            torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        self._optimizer.step()
        self._schedule.step()
        self.step += 1
        if self.step % _STEPS_TO_AVERAGE == 0:
            self.average.update_parameters(self.family)
        return loss.detach()

    @property
    def averaged(self) -> Sequence[FamilyEncoder]:
        """The encoders with the average of the weights over the steps."""
        return cast("Family", self.average.module).encoders

    def save(self, path: Path, *, run: str) -> None:
        """Write the state, as a whole or not at all; ``run`` says whose, see ``fingerprint``."""
        state = {
            "run": run,
            "step": self.step,
            "family": self.family.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
        }
        new = path.with_suffix(".new")
        torch.save(state, new)
        new.replace(path)

    def load(self, path: Path, *, run: str) -> None:
        """Go on from where ``save`` was called by the same run.

        Raises:
            OtherRunError: that was another run.
        """
        state = torch.load(path, map_location=self.device, weights_only=True)
        if state.get("run") != run:
            raise OtherRunError(path)
        self.step = state["step"]
        self.family.load_state_dict(state["family"])
        self.average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])

    def _chosen(self) -> NDArray[np.int64]:
        """Choose this step's lists: a pass over all in an order of its own, then the next."""
        size = self._settings.lists_in_step
        count = len(self._lists.queries)
        epoch, batch = divmod(self.step, count // size)
        if self._order is None or batch == 0:
            self._order = np.random.default_rng((self._seed, epoch)).permutation(count)
        return self._order[batch * size : (batch + 1) * size]

    def _read(
        self, rows: NDArray[np.int64], documents: NDArray[np.int32]
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Give logits, each of the shape of ``documents``, and the distance of a token's states."""
        parts: list[dict[str, Tensor]] = []
        places: list[NDArray[np.int64]] = []
        distances: list[Tensor] = []
        tokens: list[Tensor] = []
        for batch in self._pairs.encode(rows, documents, window=self._window()):
            mask = batch.ids != 0
            with reduced_precision(self.device):
                readings = [encoder(batch.ids, batch.types) for encoder in self.family.encoders]
                distances.append(self.family.distance(readings, mask))
            parts.append({name: one for part in readings for name, one in part.logits.items()})
            places.append(batch.places)
            tokens.append(mask.sum())
        back = send(np.argsort(np.concatenate(places)), self.device)
        logits = {
            name: torch.cat([part[name] for part in parts])[back].reshape(documents.shape)
            for name in parts[0]
        }
        return logits, torch.stack(distances).sum() / torch.stack(tokens).sum()

    def _window(self) -> int:
        is_late = self.step >= (1 - self._settings.late_share) * self._settings.steps
        return (
            self._settings.late_window if is_late and self.step % 4 == 0 else self._settings.window
        )


def fingerprint(files: Sequence[Path]) -> str:
    """Name a run by the content of all that it depends on."""
    digest = sha256()
    for path in files:
        with path.open("rb") as content:
            digest.update(file_digest(content, "sha256").digest())
    return digest.hexdigest()


def draw_columns(
    documents: NDArray[np.int32],
    *,
    own: int,
    own_taken: int,
    count: int,
    seed: tuple[int, int],
) -> NDArray[np.int64]:
    """Draw a step's part of each list: the best own passage, other own ones, and some others.

    Args:
        documents: Places of passages, shape (lists, passages), -1 where there is none.
        own: How many of the first ones are own or missing, the best in front.
        own_taken: How many of these to draw at most.
        count: How many to draw of each list.
        seed: What the draw depends on.

    Returns:
        Columns of ``documents``, shape (lists, count).
    """
    keys = np.where(documents < 0, -1, np.random.default_rng(seed).random(documents.shape))
    seconds = keys[:, 1:own]
    least = np.sort(seconds, axis=1)[:, -own_taken + 1 or own :]
    seconds[seconds < least.min(axis=1, keepdims=True, initial=2)] = -1
    keys[:, :own] += 2 * (keys[:, :own] >= 0)  # these before any other
    return np.argsort(-keys, axis=1, kind="stable")[:, :count]


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


def _load_encoders(recipe: ModelRecipe, start: Path | None, device: str) -> list[FamilyEncoder]:
    try:
        encoders = [load_encoder(settings, start) for settings in recipe.encoders]
    except NoStartError as error:
        sys.exit(str(error))
    for encoder in encoders:
        encoder.to(device)
    return encoders


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
    encoder: FamilyEncoder,
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
