"""Progress of an export: each stage while it runs, and how long it took."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class Stages:
    """Shows one stage after another, and remembers their times."""

    def __init__(self, console: Console) -> None:
        """Write to ``console``: moving on a terminal, a line a stage elsewhere."""
        self._console = console
        self.seconds: dict[str, float] = {}
        """By title, in the order in which the stages ran."""

    @contextmanager
    def stage(
        self, title: str, *, total: int | None = None
    ) -> Generator[Callable[[], None], None, None]:
        """Time what runs inside; gives a function that advances the bar towards ``total``."""
        bar = [] if total is None else [BarColumn()]
        columns = [SpinnerColumn(), TextColumn("{task.description}"), *bar, TimeElapsedColumn()]
        started = time.perf_counter()
        hidden = not self._console.is_terminal
        with Progress(*columns, console=self._console, transient=True, disable=hidden) as progress:
            task = progress.add_task(title, total=total)
            yield lambda: progress.advance(task)
        self._finish(title, started)

    @contextmanager
    def plain_stage(self, title: str) -> Generator[None, None, None]:
        """Time what runs inside and shows progress of its own."""
        started = time.perf_counter()
        yield
        self._finish(title, started)

    def tell(self, text: str) -> None:
        """Say what the user should know before the next stage."""
        self._console.print(f"  {text}", highlight=False, soft_wrap=True)

    def _finish(self, title: str, started: float) -> None:
        seconds = time.perf_counter() - started
        # A recipe that is tried after another goes through the same stages.
        self.seconds[title] = self.seconds.get(title, 0.0) + seconds
        self._console.print(f"  {title:<40}{seconds:>7.1f} s", highlight=False)
