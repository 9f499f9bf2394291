"""The command line: ``ranklet COMMAND``.

Each command lives in the package that does its work and is imported only when it is called, so that
``ranklet score`` on a small device neither needs nor loads what ``serve`` and ``export`` need.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import Protocol, cast

from ranklet import __version__
from ranklet.runtime.command_line import add_command, discard_stdout, flush_stdout
from ranklet.runtime.errors import RankletError

_DESCRIPTION = """\
Rerank documents with quantized cross-encoders on CPUs and small devices.

  ranklet export models/ranklet-mini --output models/built/ranklet-mini
  ranklet serve --model models/built/ranklet-mini
  ranklet score --model models/built/ranklet-mini --query "organic skincare" documents.txt
"""


class _Command(Protocol):
    """What a command's module has."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, arguments: argparse.Namespace) -> int: ...


_COMMANDS = {
    "export": ("ranklet.export.command", "convert a cross-encoder checkpoint into a bundle"),
    "models": ("ranklet.export.gallery_command", "list, show and install models that people know"),
    "score": ("ranklet.runtime.score_command", "rank documents from a file for a query"),
    "inspect": ("ranklet.runtime.inspect_command", "show what a bundle holds and check its files"),
    "bundle": ("ranklet.runtime.bundle_command", "carry a bundle to a device as one file"),
    "bench": ("ranklet.runtime.bench_command", "measure how fast a bundle is on this machine"),
    "eval": ("ranklet.evaluation.command", "measure ranking quality on a test collection"),
    "doctor": ("ranklet.service.doctor_command", "say what this machine runs and what is wrong"),
    "serve": ("ranklet.service.command", "serve models over HTTP at /v1/rerank"),
}

_EXTRAS = {"eval": "eval", "export": "export", "models": "export", "serve": "service"}
"""Commands that need more than the base installation, and the extra that brings it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: Words after ``ranklet``; those of the process where None.

    Returns:
        The exit status: 0, what the command gives, 2 for an error that it names, 130 after Ctrl-C.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, TextIOWrapper):  # which may be of an encoding that lacks letters
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return _run(words)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        discard_stdout()  # whose reader, as ``| head``, has left
        return 0


def _run(words: list[str]) -> int:
    parser, command = _parser(words)
    arguments, unknown = parser.parse_known_args(words)
    if unknown:  # with the usage of the command, where argparse would show that of `ranklet`
        arguments.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if command is None:
        parser.print_help()
        return 2
    try:
        status = command.run(arguments)
        flush_stdout()
    except RankletError as error:
        if arguments.debug:
            raise
        print(f"ranklet: error: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:  # some import what is slow only when they run
        if arguments.debug:
            raise
        return _tell_missing_package(arguments.command, error)
    except BrokenPipeError:
        raise
    except OSError as error:
        if arguments.debug:
            raise
        print(f"ranklet: error: {error}", file=sys.stderr)
        return 2
    return status


def _parser(words: Sequence[str]) -> tuple[argparse.ArgumentParser, _Command | None]:
    """Build the parser, and import the command that ``words`` name, if they do."""
    parser = argparse.ArgumentParser(
        "ranklet", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"ranklet {__version__}")
    parser.set_defaults(debug=False, parser=parser)
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    chosen = next((word for word in words if not word.startswith("-")), None)
    command: _Command | None = None
    for name, (module, summary) in _COMMANDS.items():
        subparser = add_command(subparsers, name, summary)
        if name == chosen:
            command = _import_command(name, module)
            command.add_arguments(subparser)
    return parser, command


def _import_command(name: str, module: str) -> _Command:
    try:
        return cast("_Command", import_module(module))  # a module is an object, too
    except ModuleNotFoundError as error:
        raise SystemExit(_tell_missing_package(name, error)) from error


def _tell_missing_package(name: str, error: ModuleNotFoundError) -> int:
    """Name the extra that brings what ``error`` misses; raises ``error`` where none does."""
    if name not in _EXTRAS or (error.name or "").startswith("ranklet"):
        raise error
    print(
        f"ranklet: error: `ranklet {name}` needs {error.name}; "
        f"install it with: pip install 'ranklet[{_EXTRAS[name]}]'",
        file=sys.stderr,
    )
    return 2


if __name__ == "__main__":
    raise SystemExit(main())
