"""Finding room for the labels of points in a drawing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

_LETTER_WIDTH = 6.6
_LINE_HEIGHT = 15.0
_GAP = 11.0
_STEPS = 6

Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle; y grows downwards, as in SVG."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: "Box") -> bool:
        """Whether the two share any area."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def is_within(self, other: "Box") -> bool:
        """Whether all of this lies in ``other``."""
        return (
            self.left >= other.left
            and self.right <= other.right
            and self.top >= other.top
            and self.bottom <= other.bottom
        )


@dataclass(frozen=True, slots=True)
class Label:
    """Where a label's text goes."""

    text: str
    x: float
    y: float
    """Of the text's middle line."""
    anchor: Anchor

    @property
    def box(self) -> Box:
        """The room that it takes, by a guess at the letters' width."""
        width = len(self.text) * _LETTER_WIDTH
        left = self.x - {"start": 0.0, "middle": 0.5, "end": 1.0}[self.anchor] * width
        return Box(left, self.y - _LINE_HEIGHT / 2, left + width, self.y + _LINE_HEIGHT / 2)


def place_labels(
    points: Sequence[tuple[float, float, str]],
    *,
    within: Box,
    radius: float,
    taken: Sequence[Box] = (),
) -> list[Label]:
    """Place a label near each point, over no point and no other label where that can be.

    Args:
        points: x, y and text.
        within: Where labels may go.
        radius: Of the points.
        taken: Rectangles that are taken already.
    """
    boxes = [*taken, *(Box(x - radius, y - radius, x + radius, y + radius) for x, y, _ in points)]
    labels: list[Label] = []
    for x, y, text in points:
        candidates = list(_candidates(x, y, text))
        free = (
            label
            for label in candidates
            if label.box.is_within(within) and not any(label.box.overlaps(box) for box in boxes)
        )
        label = next(free, candidates[0])
        labels.append(label)
        boxes.append(label.box)
    return labels


def _candidates(x: float, y: float, text: str) -> Iterator[Label]:
    """Give places from the best, right of the point, to the farthest."""
    for step in range(_STEPS):
        for shift in dict.fromkeys((-step * _LINE_HEIGHT, step * _LINE_HEIGHT)):
            yield Label(text, x + _GAP, y + shift, "start")
            yield Label(text, x - _GAP, y + shift, "end")
            if step:
                yield Label(text, x, y + shift, "middle")
