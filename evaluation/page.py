"""The report as one HTML page that needs nothing else: no script, no style sheet, no network."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

from .chart import draw_chart
from .first_stage import JUDGED
from .report import Report, Row
from .table import caption, difference, rate, size

_PAGE = Path(__file__).with_name("page.html")


def make_page(report: Report) -> str:
    """Write the page.

    Returns:
        HTML; everything that came from a manifest, a path or a file is escaped.
    """
    sections = [
        _section(
            caption(facts),
            [row for row in report.rows if row.collection == facts.name],
            report.metrics,
        )
        for facts in report.collections
    ]
    if report.means:
        title = f"mean of {len(report.collections)} collections"
        sections.insert(0, _section(title, report.means, report.metrics))
    environment = report.environment
    versions = ", ".join(f"{name} {number}" for name, number in environment.versions.items())
    template = Template(_PAGE.read_text(encoding="utf-8"))
    return template.substitute(
        summary=escape(
            f"{environment.date}, {environment.processor}, {environment.cores} cores; "
            f"{_reranked(report)} reranked"
        ),
        sections="\n".join(sections),
        method=escape(report.method),
        environment=escape(
            f"ranklet {environment.ranklet} ({environment.commit or 'released'}), "
            f"{environment.instruction_sets}, {environment.memory_gib} GiB, "
            f"load average {environment.load_average:.1f}, "
            f"{environment.system}, Python {environment.python}, {versions}"
        ),
        command=escape(environment.command),
    )


def _reranked(report: Report) -> str:
    """Say which documents were: of those that were judged, all."""
    judged = any(facts.first_stage == JUDGED for facts in report.collections)
    if report.depth is None:
        return "all judged documents"
    best = f"the best {report.depth} documents of the first stage"
    return f"{best}, where it is judged all," if judged else best


def _section(title: str, rows: Sequence[Row], metrics: Sequence[str]) -> str:
    names = ["model", "variant", "size", "pairs/s", *metrics]
    header = "".join(
        f"<th class={'number' if place > 1 else 'name'}>{escape(name)}</th>"
        for place, name in enumerate(names)
    )
    body = "\n".join(_row(row, metrics) for row in rows)
    return (
        f"<h2>{escape(title)}</h2>\n{draw_chart(rows, metrics[0])}\n"
        f'<div class="wide"><table>\n<tr>{header}</tr>\n{body}\n</table></div>'
    )


def _row(row: Row, metrics: Sequence[str]) -> str:
    cells = [f"<td>{escape(text)}</td>" for text in (row.model, row.variant)]
    cells += [f'<td class="number">{text}</td>' for text in (size(row), rate(row))]
    for metric in metrics:
        comparison = row.against_first.get(metric)
        note = "" if comparison is None else f"<small>{escape(difference(comparison))}</small>"
        cells.append(f'<td class="number">{row.quality[metric]:.4f}{note}</td>')
    return f"<tr>{''.join(cells)}</tr>"
