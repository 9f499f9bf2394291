"""Progress bars on standard error, where that is a terminal."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Start = Callable[[str, int], Callable[[int], None]]
"""Starts a bar with a label and a number of queries; what it gives is told how many are done."""


@contextmanager
def progress_bars() -> Generator[Start, None, None]:
    """Show bars for as long as the context lasts."""
    console = Console(stderr=True)
    if not console.is_terminal:  # a disabled bar of rich 13 still prints an empty line
        yield lambda _label, _queries: lambda _count: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("queries,"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Progress(*columns, console=console, transient=True) as progress:

        def start(label: str, queries: int) -> Callable[[int], None]:
            task = progress.add_task(label, total=queries)
            return lambda count: progress.advance(task, count)

        yield start
