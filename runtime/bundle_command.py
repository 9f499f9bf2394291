"""``ranklet bundle``: carry a bundle to the device that serves it, as one file."""

import argparse
from pathlib import Path

from .bundle_archive import SUFFIX, install_bundle, pack_bundle
from .command_line import add_command, exit_on_sigterm, names
from .manifest import read_manifest
from .processor import detect_processor

_EPILOG = """\
examples:
  ranklet bundle pack models/built/ranklet-mini --variants int8
  ranklet bundle install ranklet-mini.bundle.zip
"""

_MODELS_DIR = Path("models/built")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's two actions."""
    parser.epilog = _EPILOG
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    pack = add_command(actions, "pack", "write a bundle to one file")
    pack.add_argument("bundle", type=Path, metavar="DIR", help="the bundle's folder")
    pack.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help=f"default: NAME{SUFFIX}, right here"
    )
    pack.add_argument(
        "--variants",
        action="extend",
        metavar="NAME,...",
        type=names,
        help="pack these alone, as `ranklet doctor` on the device names them (default: all)",
    )
    install = add_command(actions, "install", "unpack, check and put a bundle in its place")
    install.add_argument("archive", type=Path, metavar="FILE", help="what `pack` wrote")
    install.add_argument("--output", type=Path, metavar="DIR", help=f"default: {_MODELS_DIR}/NAME")


def run(arguments: argparse.Namespace) -> int:
    """Pack or install; gives the exit status."""
    exit_on_sigterm()
    return _pack(arguments) if arguments.action == "pack" else _install(arguments)


def _pack(arguments: argparse.Namespace) -> int:
    folder: Path = arguments.bundle
    archive: Path = arguments.output or Path(read_manifest(folder).name + SUFFIX)
    manifest = pack_bundle(folder, archive, variants=arguments.variants)
    what = f"{', '.join(manifest.variants)} of {manifest.name}"
    print(f"Packed {what} into {archive}, {archive.stat().st_size / 1e6:.1f} MB.")
    print(f"Copy it to the device and run there: ranklet bundle install {archive.name}")
    return 0


def _install(arguments: argparse.Namespace) -> int:
    from .sessions import cuda_is_available  # noqa: PLC0415 - packing need not load onnxruntime

    installed = install_bundle(
        arguments.archive,
        arguments.output,
        models_dir=_MODELS_DIR,
        processor=detect_processor(),
        cuda=cuda_is_available(),
    )
    print(f"Installed {installed.manifest.name} in {installed.folder}, all checksums are right.")
    print(f"Runs here: {installed.choice.name}, {installed.choice.reason}.")
    print(f"Serve it with: ranklet serve --model {installed.folder}")
    return 0
