"""Quality against speed as a drawing: inline SVG, styled by the page that holds it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from .labels import Box, Label, place_labels
from .report import FIRST_STAGE, Row

_WIDTH, _HEIGHT = 760, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 20, 48
_RADIUS = 6
_TICKS = 5


@dataclass(frozen=True, slots=True)
class _Scale:
    """Maps values to places, from ``low`` at ``start`` to ``high`` at ``end``."""

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


@dataclass(frozen=True, slots=True)
class _Point:
    x: float
    y: float
    label: str
    tooltip: str


def draw_chart(rows: Sequence[Row], metric: str) -> str:
    """Draw a point for each variant; the first stage is a line across.

    Args:
        rows: Those of one collection.
        metric: The quality to draw.

    Returns:
        An ``<svg>`` element, empty text where no row has a speed.
    """
    timed = [(row, row.pairs_per_s) for row in rows if row.pairs_per_s]
    if not timed:
        return ""
    # Factors of speed are what matters, so equal factors are equally far apart.
    x = _scale([math.log10(speed) for _, speed in timed], _LEFT, _WIDTH - _RIGHT, 0.05)
    y = _scale([row.quality[metric] for row in rows], _HEIGHT - _BOTTOM, _TOP, 0.005)
    points = [
        _Point(
            x.place(math.log10(speed)),
            y.place(row.quality[metric]),
            f"{row.model} {row.variant}",
            f"{metric} {row.quality[metric]:.4f}, {speed:.0f} pairs/s",
        )
        for row, speed in timed
    ]
    title = escape(f"{metric} against pairs a second")
    baselines = [row for row in rows if row.model == FIRST_STAGE]
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{title}">',
        *_vertical_axis(y, metric),
        *_horizontal_axis(x),
        *(_baseline(row, y, metric) for row in baselines),
        *_draw_points(points, [_baseline_label(row, y, metric).box for row in baselines]),
        "</svg>",
    ]
    return "\n".join(parts)


def _scale(values: Sequence[float], start: float, end: float, smallest: float) -> _Scale:
    """Fit the values with a margin, and never magnify more than ``smallest`` allows."""
    low, high = min(values), max(values)
    margin = max(0.12 * (high - low), smallest)
    return _Scale(low - margin, high + margin, start, end)


def _vertical_axis(y: _Scale, metric: str) -> list[str]:
    step = _round_step((y.high - y.low) / _TICKS)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    parts = [f'<text class="title" x="{_LEFT}" y="{_TOP - 6}">{escape(metric)}</text>']
    value = math.ceil(y.low / step) * step
    while value <= y.high:
        place = y.place(value)
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{place:.1f}"'
            f' y2="{place:.1f}"/><text class="tick end" x="{_LEFT - 8}" y="{place + 4:.1f}">'
            f"{value:.{digits}f}</text>"
        )
        value += step
    return parts


def _horizontal_axis(x: _Scale) -> list[str]:
    bottom = _HEIGHT - _BOTTOM
    parts = [
        f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{bottom}" y2="{bottom}"/>',
        f'<text class="title end" x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 8}">pairs/s</text>',
    ]
    for speed in _speed_ticks(10**x.low, 10**x.high):
        place = x.place(math.log10(speed))
        parts.append(
            f'<line class="axis" x1="{place:.1f}" x2="{place:.1f}" y1="{bottom}" y2="{bottom + 5}"'
            f'/><text class="tick middle" x="{place:.1f}" y="{bottom + 19}">{speed:g}</text>'
        )
    return parts


def _speed_ticks(low: float, high: float) -> list[float]:
    """Give 1, 2, 5, 10 and so on between ``low`` and ``high``, or even steps where few fit."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [float(f"{digit}e{decade}") for decade in decades for digit in (1, 2, 5)]
    inside = [tick for tick in ticks if low <= tick <= high]
    if len(inside) > 2:  # noqa: PLR2004 - two marks do not show that the axis is logarithmic
        return inside
    step = _round_step((high - low) / _TICKS)
    first = math.ceil(low / step)
    return [number * step for number in range(first, math.floor(high / step) + 1)]


def _round_step(rough: float) -> float:
    """Round up to 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= rough * 0.999)


def _baseline_label(row: Row, y: _Scale, metric: str) -> Label:
    quality = row.quality[metric]
    return Label(
        f"{row.model}, {row.variant}: {quality:.4f}", _LEFT + 6, y.place(quality) - 9, "start"
    )


def _baseline(row: Row, y: _Scale, metric: str) -> str:
    place = y.place(row.quality[metric])
    return (
        f'<line class="baseline" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{place:.1f}"'
        f' y2="{place:.1f}"/>' + _text(_baseline_label(row, y, metric), kind="tick")
    )


def _draw_points(points: Sequence[_Point], taken: Sequence[Box]) -> list[str]:
    within = Box(_LEFT, 0, _WIDTH, _HEIGHT - _BOTTOM)
    places = [(point.x, point.y, point.label) for point in points]
    labels = place_labels(places, within=within, radius=_RADIUS, taken=taken)
    return [
        f'<circle class="point" cx="{point.x:.1f}" cy="{point.y:.1f}" r="{_RADIUS}">'
        f"<title>{escape(f'{point.label}: {point.tooltip}')}</title></circle>" + _text(label)
        for point, label in zip(points, labels, strict=True)
    ]


def _text(label: Label, *, kind: str = "label") -> str:
    return (
        f'<text class="{kind} {label.anchor}" x="{label.x:.1f}" y="{label.y + 4:.1f}">'
        f"{escape(label.text)}</text>"
    )
