"""What all commands of the command line, and the actions of those that have some, share."""

import argparse
import os
import signal
import sys
from types import FrameType
from typing import Protocol


class Commands(Protocol):
    """What ``ArgumentParser.add_subparsers`` gives."""

    def add_parser(
        self,
        name: str,
        *,
        help: str,  # noqa: A002 - as argparse calls it
        description: str,
        formatter_class: type[argparse.HelpFormatter],
    ) -> argparse.ArgumentParser:
        """Add a parser for the words that follow ``name``."""
        ...


def add_command(commands: Commands, name: str, summary: str) -> argparse.ArgumentParser:
    """Add a command, or an action of one, that is described by its summary.

    Whatever is parsed last stands as ``parser`` among the arguments: its usage is the one to show.
    """
    parser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--debug",
        action="store_true",
        default=argparse.SUPPRESS,  # an action must not take back what was said before its name
        help="show tracebacks of errors",
    )
    parser.set_defaults(parser=parser)
    return parser


def names(text: str) -> tuple[str, ...]:
    """Give the names in ``text``, which commas separate, each once."""
    return tuple(dict.fromkeys(name for name in map(str.strip, text.split(",")) if name))


def exit_on_sigterm() -> None:
    """Let a polite kill clean up as Ctrl-C does."""
    signal.signal(signal.SIGTERM, _exit)


def _exit(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as signal calls it
    sys.exit(128 + number)


def add_variants(parser: argparse.ArgumentParser, summary: str) -> None:
    """Add ``--variant``, which takes names apart, with commas and repeatedly; see ``names``."""
    parser.add_argument(
        "--variant",
        "--variants",
        nargs="+",
        action="extend",
        type=names,
        default=[],
        metavar="NAME",
        help=summary,
    )


def flush_stdout() -> None:
    """Write what was printed; raises OSError here, not at exit, where there is no place for it."""
    if sys.stdout is not None:  # pyright: ignore[reportUnnecessaryComparison] - closed at start
        try:
            sys.stdout.flush()
        except OSError:
            discard_stdout()
            raise


def discard_stdout() -> None:
    """Write nowhere from now on: stdout can take no more, and Python would complain at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
