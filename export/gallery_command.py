"""``ranklet models``: list, show and install the models of the gallery."""

import argparse
from pathlib import Path

import msgspec

from ranklet.runtime.command_line import add_command

from . import command
from .errors import ExportError, SourceNotFoundError
from .gallery import Entry, find_entry, read_catalog
from .request import BUILT, looks_like_hub_id

_EPILOG = """\
examples:
  ranklet models list
  ranklet models show ms-marco-minilm-l-6
  ranklet models install ms-marco-minilm-l-6
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    parser.epilog = _EPILOG
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = add_command(actions, "list", "list all models")
    showing = add_command(actions, "show", "show what is known of a model")
    installing = add_command(actions, "install", "fetch a model and build its bundle")
    installing.add_argument(
        "--output", type=Path, metavar="DIR", help=f"the bundle's folder ({BUILT}/NAME)"
    )
    installing.add_argument(
        "--accept-licence",
        action="store_true",
        help="install a model whose licence forbids commercial use, or may: read it first",
    )
    for action in (showing, installing):
        action.add_argument("name", metavar="NAME", help="as `ranklet models list` gives it")
    for action in (listing, showing, installing):
        action.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Do what is asked for; gives the exit status."""
    if arguments.action == "list":
        _list(as_json=arguments.json)
        return 0
    name, entry = find_entry(arguments.name)
    if arguments.action == "show":
        _show(name, entry, as_json=arguments.json)
        return 0
    return _install(arguments, name, entry)


def _list(*, as_json: bool) -> None:
    catalog = read_catalog()
    if as_json:
        _print_json(catalog)
        return
    print(f"{'name':<36}{'parameters':>10}  {'licence':<14}{'window':>7}  languages")
    for name, entry in catalog.items():
        mark = "  (cannot be exported)" if entry.unavailable else ""
        size = _parameters(entry)
        print(
            f"{name:<36}{size:>10}  {entry.licence:<14}{entry.window:>7}  {entry.languages}{mark}"
        )


def _show(name: str, entry: Entry, *, as_json: bool) -> None:
    if as_json:
        _print_json({name: entry})
        return
    print(name)
    facts = {
        "source": entry.source,
        "licence": entry.licence + _restriction(entry),
        "parameters": _parameters(entry),
        "languages": entry.languages,
        "window": f"{entry.window} tokens",
        "note": entry.note,
        "unavailable": entry.unavailable,
    }
    facts |= {figure.metric: f"{figure.value:g}  ({figure.url})" for figure in entry.quality}
    for title, fact in facts.items():
        if fact:
            print(f"  {title + ':':<34}{fact}")


def _install(arguments: argparse.Namespace, name: str, entry: Entry) -> int:
    """Build the model's bundle, once its licence is known to the one who asks."""
    if entry.unavailable:
        message = f"{name} cannot be exported: {entry.unavailable}"
        raise ExportError(message)
    if entry.is_restricted and not arguments.accept_licence:
        message = (
            f"{name} comes under the licence {entry.licence}{_restriction(entry)}; read it at "
            f"https://huggingface.co/{entry.source} and repeat with --accept-licence"
        )
        raise ExportError(message)
    if entry.is_in_checkout and not Path(entry.source).is_dir():
        problem = f"there is no such folder here; install {name} in a checkout of the repository"
        raise SourceNotFoundError(entry.source, problem)
    words = [entry.source, "--name", name, "--from", entry.origin]
    words += ["--output", str(arguments.output)] if arguments.output else []
    # Without a revision, a folder that happens to have the model's name would be taken.
    revision = entry.revision or ("main" if looks_like_hub_id(entry.source) else None)
    words += ["--revision", revision] if revision else []
    words += ["--json"] if arguments.json else []
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args(words))


def _parameters(entry: Entry) -> str:
    return "" if entry.parameters is None else f"{entry.parameters:g} M"


def _restriction(entry: Entry) -> str:
    return ", which forbids commercial use or may" if entry.is_restricted else ""


def _print_json(content: object) -> None:
    print(msgspec.json.format(msgspec.json.encode(content), indent=2).decode())
