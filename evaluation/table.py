"""The report as tables for the terminal, one a collection."""

import sys
import textwrap
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .report import CollectionFacts, Report, Row
from .significance import Comparison

_WIDTH_OF_FILES = 200
"""Columns where the output is no terminal: nothing is wrapped or cut."""

_WIDTH_OF_TEXT = 79

_SMALLEST_P = 0.001


def print_tables(report: Report) -> None:
    """Print the report on standard output."""
    width = None if sys.stdout.isatty() else _WIDTH_OF_FILES
    console = Console(width=width, highlight=False)
    for facts in report.collections:
        rows = [row for row in report.rows if row.collection == facts.name]
        _print_section(console, caption(facts), rows, report.metrics)
    if report.means:
        title = f"mean of {len(report.collections)} collections"
        _print_section(console, title, report.means, report.metrics)
    console.print("\n".join(textwrap.wrap(report.method, _WIDTH_OF_TEXT)), markup=False)


def _print_section(
    console: Console, title: str, rows: Sequence[Row], metrics: Sequence[str]
) -> None:
    console.print(title, style="bold", markup=False, soft_wrap=True)
    console.print(_table(rows, metrics))
    console.print()


def _table(rows: Sequence[Row], metrics: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("model")
    table.add_column("variant")
    for header in ("size", "pairs/s"):
        table.add_column(header, justify="right")
    for metric in metrics:
        table.add_column(escape(metric))
    for row in rows:
        cells = (_cell(row, metric) for metric in metrics)
        table.add_row(escape(row.model), escape(row.variant), size(row), rate(row), *cells)
    return table


def caption(facts: CollectionFacts) -> str:
    """Say what was reranked."""
    text = (
        f"{facts.name}: {facts.queries} queries, {facts.pairs} pairs, "
        f"first stage {facts.first_stage}"
    )
    if missing := facts.queries_without_documents:
        text += f"; {missing} {'query' if missing == 1 else 'queries'} without documents, counted 0"
    return text


def size(row: Row) -> str:
    """Give the size of the variant's files."""
    return "" if row.size_bytes is None else f"{row.size_bytes / 1e6:.1f} MB"


def rate(row: Row) -> str:
    """Give the pairs a second."""
    return "" if row.pairs_per_s is None else f"{row.pairs_per_s:.0f}"


def _cell(row: Row, metric: str) -> str:
    value = f"{row.quality[metric]:.4f}"
    comparison = row.against_first.get(metric)
    return value if comparison is None else f"{value} {difference(comparison)}"


def difference(comparison: Comparison) -> str:
    """Give the difference to the first, with its interval and its p where there are any."""
    notes: list[str] = []
    if (interval := comparison.difference_interval) is not None:
        notes.append(f"{interval[0]:+.4f} to {interval[1]:+.4f}")
    if (p := comparison.p_value) is not None:
        notes.append(f"p<{_SMALLEST_P}" if p < _SMALLEST_P else f"p={p:.3f}")
    text = f"{comparison.difference:+.4f}"
    return f"{text} ({', '.join(notes)})" if notes else text
