"""Models that learn together: the shallow ones follow the deepest."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from .losses import state_distance
from .model import CrossEncoder, Reading


class Family(nn.Module):
    """Encoders that learn together, the deepest last, and projections of states onto its."""

    def __init__(self, encoders: Sequence[CrossEncoder]) -> None:
        super().__init__()
        self.encoders = cast("Sequence[CrossEncoder]", nn.ModuleList(encoders))
        width = encoders[-1].config.hidden_size
        projections = [nn.Linear(width, width) for _ in encoders[1:]]
        for projection in projections:
            nn.init.eye_(projection.weight)
            nn.init.zeros_(projection.bias)
        self.projections = nn.ModuleList(projections)

    def distance(self, readings: Sequence[Reading], mask: Tensor) -> Tensor:
        """Sum up, over tokens, how far the states of the shallow encoders are from the deepest's.

        Args:
            readings: Of the same pairs, one of each encoder.
            mask: bool, shape (pairs, tokens): which tokens are some.
        """
        *shallow, deepest = readings
        wanted = deepest.states.detach()
        parts = zip(self.projections, shallow, strict=True)
        distances = [state_distance(project(one.states), wanted, mask) for project, one in parts]
        return torch.stack([mask.new_zeros((), dtype=torch.float32), *distances]).sum()
