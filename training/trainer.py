"""A run of training: its steps and its state."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from .batches import SPECIAL_TOKENS, PairBatcher
from .drawing import draw_columns
from .family import Family
from .graded import LEAST_ANSWERING
from .lists import RankingLists
from .losses import Targets, family_loss
from .model import CrossEncoder
from .precision import reduced_precision
from .recipe import TEACHER, TrainSettings
from .texts import send

_Average = Callable[
    [tuple[Tensor, ...] | list[Tensor], tuple[Tensor, ...] | list[Tensor], Tensor | int], None
]

_STEPS_TO_AVERAGE = 8
"""Of the weights, which makes a GPU wait."""

_STEPS_TO_LONG = 4
"""One step in so many reads longer documents."""


class OtherRunError(Exception):
    """A checkpoint does not belong to this run."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is of a run with other settings, lists or models: remove it to begin anew, "
            "or give this run another --output"
        )


class RecipeError(Exception):
    """The lists are not what the recipe wants."""


class DivergedError(Exception):
    """The weights are no numbers any more."""

    def __init__(self, step: int, kept: Path) -> None:
        super().__init__(
            f"by step {step} the weights are no numbers any more; {kept} holds what was before, if "
            "anything: begin anew with a lower learning_rate"
        )


class Trainer:
    """The state of a run: weights, their average, the optimiser, the step.

    It runs where the encoders are. A teacher has one exit, ``TEACHER``, and stays as it is.

    Raises:
        RecipeError: the lists are too few, too short or their queries too long for the settings.
    """

    def __init__(
        self,
        encoders: Sequence[CrossEncoder],
        lists: RankingLists,
        settings: TrainSettings,
        *,
        seed: int,
        teacher: CrossEncoder | None = None,
    ) -> None:
        _check(lists, settings)
        self.device = next(encoders[0].parameters()).device.type
        self.family = Family(encoders).to(self.device)
        self._teachers = [teacher.to(self.device)] if teacher else []
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
        average = moving_average(settings.averaging**_STEPS_TO_AVERAGE)
        self.average = AveragedModel(self.family, multi_avg_fn=average)
        if self.device == "cuda":  # behind the copy, which only measures and needs not be fast
            for encoder in (*encoders, *self._teachers):
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
        logits, distance = self._read(rows, documents)
        grades = np.take_along_axis(self._lists.grades[rows], columns, 1)
        is_own = send(grades >= LEAST_ANSWERING, self.device)
        targets = Targets(
            send(teacher, self.device),
            is_own,
            logits.pop(TEACHER, None),
            send(self._lists.taught[rows], self.device),
        )
        loss = family_loss(logits, targets, self._settings)
        loss = loss + self._settings.state_weight * distance
        self._optimizer.zero_grad()
        loss.backward()
        for encoder in self.family.encoders:
            torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        self._optimizer.step()
        self._schedule.step()
        self.step += 1
        if self.step % _STEPS_TO_AVERAGE == 0 or self.step == self.steps:
            self.average.update_parameters(self.family)
        return loss.detach()

    @property
    def averaged(self) -> Sequence[CrossEncoder]:
        """The encoders with the average of the weights over the steps."""
        return cast("Family", self.average.module).encoders

    def save(self, path: Path, *, run: str) -> None:
        """Write the state, as a whole or not at all; ``run`` says whose, see ``fingerprint``.

        Raises:
            DivergedError: there is nothing worth writing.
        """
        if not all(bool(weight.isfinite().all()) for weight in self.family.parameters()):
            raise DivergedError(self.step, path)
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
        """Give logits, each of the shape of ``documents``, and the distance of a token's states.

        A cross-encoder's that teaches are among the logits.
        """
        parts: list[dict[str, Tensor]] = []
        places: list[NDArray[np.int64]] = []
        distances: list[Tensor] = []
        tokens: list[Tensor] = []
        for batch in self._pairs.encode(rows, documents, window=self._window()):
            mask = batch.ids != 0
            with reduced_precision(self.device):
                readings = [encoder(batch.ids, batch.types) for encoder in self.family.encoders]
                distances.append(self.family.distance(readings, mask))
                with torch.no_grad():
                    taught = [encoder(batch.ids, batch.types) for encoder in self._teachers]
            parts.append(
                {name: one for part in readings + taught for name, one in part.logits.items()}
            )
            places.append(batch.places)
            tokens.append(mask.sum())
        back = send(np.argsort(np.concatenate(places)), self.device)
        logits = {
            name: torch.cat([part[name] for part in parts])[back].reshape(documents.shape)
            for name in parts[0]
        }
        return logits, torch.stack(distances).sum() / torch.stack(tokens).sum()

    def _window(self) -> int:
        is_long = self.step % _STEPS_TO_LONG == 0
        return self._settings.long_window if is_long else self._settings.window


def _check(lists: RankingLists, settings: TrainSettings) -> None:
    """Refuse lists out of which steps cannot be made."""
    shortest = int((lists.documents >= 0).sum(1).min(initial=settings.documents))
    longest = int(lists.queries.lengths.max(initial=0))
    if len(lists.queries) < settings.lists_in_step:
        problem = f"{len(lists.queries)} lists are too few for a step of {settings.lists_in_step}"
    elif shortest < settings.documents:
        problem = f"a list has {shortest} passages, a step wants {settings.documents} of it"
    elif longest + SPECIAL_TOKENS >= settings.window:
        problem = f"a query of {longest} tokens leaves none for documents in {settings.window}"
    else:
        return
    raise RecipeError(problem)


def moving_average(decay: float) -> _Average:
    """Average exponentially, with the correction that Adam makes (Kingma and Ba, 2015).

    Without it the first weights, which the run began with, would count as much as all before them:
    half, where the run is as short as the average's memory.
    """

    @torch.no_grad()
    def update(averaged: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
        share = (1 - decay) / (1 - decay ** (int(count) + 1))
        for kept, weight in zip(averaged, current, strict=True):
            kept.lerp_(weight, share)

    return update
