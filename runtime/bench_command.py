"""``ranklet bench``: how fast a bundle is on the machine at hand."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from .command_line import add_variants
from .errors import InputError, ProviderError, VariantError
from .manifest import read_manifest

if TYPE_CHECKING:
    from .measurement import Speed
    from .reranker import Reranker

_EPILOG = """\
Variants take turns, so that what slows the machine slows them all: trust the ratios.

examples:
  ranklet bench --model models/built/ranklet-mini
  ranklet bench --model models/built/ranklet-mini --variant int8 --rounds 50 --json
"""

_BAR_WIDTH = 30
_BASELINE = "fp32"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    parser.epilog = _EPILOG
    parser.add_argument("--model", required=True, type=Path, metavar="DIR", help="the bundle")
    add_variants(parser, "measure these alone (default: all that run here)")
    parser.add_argument("--workers", type=int, metavar="N", help="pairs scored at the same time")
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="default: 15")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Measure every variant that runs here and print the speeds; gives the exit status."""
    if arguments.rounds < 1:
        message = f"--rounds must be at least 1, not {arguments.rounds}"
        raise InputError(message)
    with ExitStack() as stack:
        rerankers = _open(stack, arguments)
        workers = next(iter(rerankers.values())).workers
        speeds = _measure(rerankers, arguments.rounds)
    if arguments.json:
        report = {"workers": workers, "rounds": arguments.rounds, "speeds": speeds}
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    else:
        print("\n".join([*_table(speeds), "", *verdicts(speeds)]))
    return 0


def _open(stack: ExitStack, arguments: argparse.Namespace) -> "dict[str, Reranker]":
    """Open the variants that were asked for, or all that run here."""
    from .reranker import Reranker  # noqa: PLC0415 - `--help` need not wait for onnxruntime

    asked_for: list[str] = list(dict.fromkeys(chain.from_iterable(arguments.variant)))
    rerankers: dict[str, Reranker] = {}
    for name in asked_for or read_manifest(arguments.model).variants:
        try:
            reranker = Reranker.open(arguments.model, variant=name, workers=arguments.workers)
        except ProviderError as error:
            if asked_for:
                raise
            print(f"{name} does not run here: {error}", file=sys.stderr)
        else:
            rerankers[name] = stack.enter_context(reranker)
    if not rerankers:
        message = f"no variant of {arguments.model} runs here"
        raise VariantError(message)
    return rerankers


def _measure(rerankers: "dict[str, Reranker]", rounds: int) -> "list[Speed]":
    from .measurement import make_workloads, measure  # noqa: PLC0415 - as above

    workloads = make_workloads(next(iter(rerankers.values())).manifest.window_tokens)
    progress = _Progress(len(workloads) * (rounds + 1))
    speeds = [
        speed
        for workload in workloads
        for speed in measure(rerankers, workload, rounds=rounds, on_round=progress.advance)
    ]
    progress.finish()
    return speeds


def _table(speeds: "Sequence[Speed]") -> list[str]:
    lines = ["workload    variant         pairs/s  (p5 to p95)        one document p50       p95"]
    for speed in speeds:
        rate, latency = speed.pairs_per_s, speed.one_document_ms
        spread = f"({rate.p5:.1f} to {rate.p95:.1f})"
        lines.append(
            f"{speed.workload:<10}  {speed.variant:<12}  {rate.p50:>9.1f}  {spread:<20} "
            f"{latency.p50:>12.2f} ms {latency.p95:>6.2f} ms"
        )
    return lines


def verdicts(speeds: "Sequence[Speed]") -> list[str]:
    """Say in a sentence for each variant how it compares with fp32."""
    rates = {(speed.workload, speed.variant): speed.pairs_per_s.p50 for speed in speeds}
    others = dict.fromkeys(speed.variant for speed in speeds if speed.variant != _BASELINE)
    lines: list[str] = []
    for variant in others:
        ratios = [
            rate / rates[workload, _BASELINE]
            for (workload, name), rate in rates.items()
            if name == variant and (workload, _BASELINE) in rates
        ]
        if ratios:
            middle = sorted(ratios)[len(ratios) // 2]
            lines.append(
                f"{variant} is {middle:.1f} times as fast as {_BASELINE} here"
                f" ({min(ratios):.1f} to {max(ratios):.1f}, by length)"
            )
    return lines


class _Progress:
    """A bar on standard error, where that is a terminal."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0

    def advance(self) -> None:
        self._done += 1
        if sys.stderr.isatty():
            filled = _BAR_WIDTH * self._done // self._total
            bar = "#" * filled + "." * (_BAR_WIDTH - filled)
            print(f"\rmeasuring [{bar}] {self._done}/{self._total}", end="", file=sys.stderr)

    def finish(self) -> None:
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr)
