"""``ranklet doctor``: what this machine has, what runs on it, what is wrong and what to do."""

import argparse
import json
import os
from collections.abc import Iterator

import msgspec

from ranklet.runtime.checkup import BundleCheck
from ranklet.runtime.machine import Machine

from . import command
from .doctor import Report, examine

_EPILOG = """\
takes the options and variables of `ranklet serve`; without a model among them it looks at the
bundles in --models-dir. The exit status is 1 where something is wrong.

examples:
  ranklet doctor
  ranklet doctor --config models/config --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    command.add_arguments(parser)
    parser.epilog = _EPILOG
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Examine and print; gives the exit status."""
    report = examine(vars(arguments), os.environ)
    if arguments.json:
        # Escaped, since names of folders may be no text.
        print(json.dumps(msgspec.to_builtins(report), indent=2))
    else:
        print("\n".join(_lines(report)))
    return 1 if report.problems else 0


def _lines(report: Report) -> Iterator[str]:
    yield from _machine_lines(report.machine)
    yield f"would run     {', else '.join(report.suitable_variants)}"
    for bundle in report.bundles:
        yield ""
        yield from _bundle_lines(bundle, report.names)
    for title, texts in (("Advice", report.advice), ("Problems", report.problems)):
        if texts:
            yield from ["", f"{title}:", *(f"  - {text}" for text in texts)]
    yield from ["", "Something is wrong; see above." if report.problems else "All is well."]


def _machine_lines(machine: Machine) -> Iterator[str]:
    quota = "no quota" if machine.quota_cores is None else f"a quota of {machine.quota_cores:g}"
    versions = ", ".join(f"{name} {found}" for name, found in machine.versions.items())
    yield f"system        {machine.system}, Python {machine.python}"
    yield f"processor     {machine.processor}"
    yield (
        f"cores         {machine.usable_cores} to use: {machine.cores} in the machine, affinity to "
        f"{machine.affinity_cores}, {quota}"
    )
    yield f"memory        {_size(machine.memory_bytes)}, {_size(machine.available_bytes)} free"
    yield f"versions      {versions}"
    yield f"providers     {', '.join(machine.providers)}"


def _bundle_lines(bundle: BundleCheck, names: dict[str, str]) -> Iterator[str]:
    place = os.path.realpath(bundle.folder)
    called = ", ".join(name for name, folder in names.items() if folder == place)
    yield f"bundle        {bundle.folder}" + (f", called {called}" if called else "")
    for variant in bundle.variants:
        verdict = "runs here" if variant.runs_here else "not by itself"
        chosen = "chosen" if variant.name == bundle.chosen else verdict
        why = f": {variant.reason}" if variant.reason else ""
        yield f"  {variant.name:<11} {_size(variant.size_bytes):<9}  {chosen}{why}"
    if bundle.score is not None:
        yield f"  one pair    {bundle.milliseconds:.1f} ms on one core, score {bundle.score:.3f}"


def _size(size_bytes: int | None) -> str:
    return "unknown" if size_bytes is None else f"{size_bytes / 1e6:.0f} MB"
