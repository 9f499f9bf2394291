"""Models that learn together: the shallow ones follow the deepest."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from .losses import state_distance
from .model import CrossEncoder, Reading


class Family(nn.Module):
    """Encoders that learn together, the deepest last, and lines from the states of one to its."""

    def __init__(self, encoders: Sequence[CrossEncoder]) -> None:
        super().__init__()
        self.encoders = cast("Sequence[CrossEncoder]", nn.ModuleList(encoders))
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
