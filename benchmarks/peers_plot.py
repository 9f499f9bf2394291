"""Draw pairs a second of ours and the peers.

``python benchmarks/peers_plot.py docs/peers.svg --file benchmarks/results/peers-2026-11-23.json``
draws the README's.

Each peer has a bar up to its best setting and a line at its defaults; a bar is hollow where the
peer scores something else than the torch model.
"""

import argparse
from html import escape
from pathlib import Path

from peers.record import Comparison, Entry, Role
from peers_table import newest, read

WIDTH, LABELS, RIGHT = 760, 250, 60
TOP, ROW, BAR = 56, 30, 18

STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 15px }
.note { fill: #59636e; font-size: 12px }
.ours { fill: #0b7a75 }
.peer { fill: #a8b1bb }
.other { fill: none; stroke: #a8b1bb; stroke-dasharray: 4 3 }
.default { stroke: #1f2328; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .note { fill: #9198a1 }
  .ours { fill: #2fb5ad }
  .peer { fill: #59636e }
  .other { stroke: #59636e }
  .default { stroke: #f0f6fc }
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the comparison with peers.")
    parser.add_argument("output", type=Path, help="an .svg file")
    parser.add_argument("--file", type=Path, help="results; the newest if not given")
    parser.add_argument("--workload", default="mixed")
    arguments = parser.parse_args()
    comparison = read(arguments.file or newest())
    arguments.output.write_text(draw(comparison, arguments.workload))


def draw(comparison: Comparison, workload: str) -> str:
    """Give the plot as SVG."""
    bars = sorted(top_entries(comparison, workload), key=lambda entry: -entry.pairs_per_s.p50)
    scale = (WIDTH - LABELS - RIGHT) / bars[0].pairs_per_s.p50
    height = TOP + ROW * len(bars) + 30
    machine = escape(
        f"{comparison.model} on {comparison.environment['processor']}, "
        f"{comparison.environment['cores']} cores, {comparison.environment['instruction_sets']}"
    )
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>Pairs a second, {workload}</title>",
        f"<style>{STYLE}</style>",
        f'<text class="title" x="10" y="22">Pairs a second, 100 documents ({workload})</text>',
        f'<text class="note" x="10" y="41">{machine}</text>',
    ]
    for row, entry in enumerate(bars):
        lines += draw_bar(comparison, entry, TOP + ROW * row, scale)
    lines.append(
        f'<text class="note" x="10" y="{height - 10}">Bars: the best of stated settings. Lines: '
        "defaults. Dashed: cuts documents short or ignores segment ids.</text>"
    )
    return "\n".join([*lines, "</svg>", ""])


def top_entries(comparison: Comparison, workload: str) -> list[Entry]:
    """Give the entry of each peer that its bar shows."""
    return [
        entry
        for entry in comparison.entries
        if entry.workload == workload and entry.role in {Role.OURS, Role.BEST}
    ]


def draw_bar(comparison: Comparison, entry: Entry, top: int, scale: float) -> list[str]:
    rate = entry.pairs_per_s.p50
    kind = "ours" if entry.role == Role.OURS else "peer"
    if comparison.quality(entry).scores_something_else:
        kind = "other"
    middle, width = top + BAR // 2 + 5, rate * scale
    lines = [
        f'<text x="{LABELS - 8}" y="{middle}" text-anchor="end">{escape(entry.peer)}</text>',
        f'<rect class="{kind}" x="{LABELS}" y="{top}" width="{width:.1f}" height="{BAR}"/>',
        f'<text x="{LABELS + width + 6:.1f}" y="{middle}">{rate:.0f}</text>',
    ]
    default = comparison.find(entry.peer, Role.DEFAULT, entry.workload)
    if default is not None:
        x = LABELS + default.pairs_per_s.p50 * scale
        lines.append(
            f'<line class="default" x1="{x:.1f}" x2="{x:.1f}" y1="{top - 3}" y2="{top + BAR + 3}"/>'
        )
    return lines


if __name__ == "__main__":
    main()
