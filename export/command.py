"""``ranklet export``: from a checkpoint to a verified bundle."""

import argparse
import functools
import importlib.util
import math
import shlex
import sys
from pathlib import Path
from typing import get_args

import msgspec

from ranklet.runtime.bundle import choose_variant
from ranklet.runtime.command_line import exit_on_sigterm, names
from ranklet.runtime.errors import VariantError
from ranklet.runtime.manifest import Manifest
from ranklet.runtime.processor import detect_processor

from .errors import MissingToolError
from .request import (
    AUTO_RECIPE,
    DEFAULT_RECIPE,
    DEFAULT_VARIANTS,
    MAX_QUALITY_LOSS,
    MIN_PAIRS,
    RECIPE_NAMES,
    SOURCE_VARIANT,
    ExportRequest,
    Origin,
)

_EPILOG = """\
examples:
  ranklet export models/ranklet-mini
  ranklet export cross-encoder/ms-marco-MiniLM-L6-v2 --revision main
  ranklet export flashrank:ms-marco-MiniLM-L-12-v2
  ranklet export Xenova/ms-marco-MiniLM-L-6-v2 --from onnx
  ranklet export ./my-reranker --output /srv/models/mine --variants fp32,int8

Read from the environment for models on the hub: HF_HOME, HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE.
"""

_TOOLS = ("huggingface_hub", "onnx", "rich", "scipy", "sympy")
"""What every export needs; that of weights needs torch, too."""


class _Output(msgspec.Struct):
    """What ``--json`` prints."""

    bundle: str
    manifest: Manifest
    seconds: dict[str, float]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a folder in Hugging Face layout, a hub id, flashrank:NAME, or a zip like FlashRank's",
    )
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="the bundle's folder (models/built/<name>)"
    )
    parser.add_argument("--name", help="the model's name (that of the folder, or of SOURCE)")
    parser.add_argument(
        "--revision",
        metavar="REV",
        help="branch, tag or commit on the hub; with it, organisation/name means the hub, even "
        "where there is such a folder",
    )
    parser.add_argument(
        "--from",
        dest="origin",
        choices=get_args(Origin),
        default="auto",
        help="import a ready ONNX graph, or convert the weights with torch (the weights, where "
        "there are safetensors and torch and no program code is needed)",
    )
    parser.add_argument(
        "--graph", metavar="FILE", help="which graph to import (onnx/model.onnx, or the only one)"
    )
    parser.add_argument(
        "--template",
        metavar="NAME",
        help="the prompt of a language model that was trained to rerank (qwen3-reranker)",
    )
    parser.add_argument(
        "--variants",
        action="extend",
        type=names,
        metavar="LIST",
        help=f"which graphs to build ({','.join(DEFAULT_VARIANTS)}; fp16 is for CUDA, "
        f"{SOURCE_VARIANT} keeps a ready graph as it is)",
    )
    parser.add_argument(
        "--verify-pairs",
        type=_pair_count,
        metavar="N",
        help=f"pairs to verify with, at least {MIN_PAIRS} (as many as fit five minutes)",
    )
    _add_quality_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _add_quality_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--recipe",
        choices=(*RECIPE_NAMES, AUTO_RECIPE),
        default=DEFAULT_RECIPE,
        help="how int8 is made, from the fastest to the safest; auto takes the first that passes "
        f"({DEFAULT_RECIPE})",
    )
    parser.add_argument(
        "--verify-data",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="test collections in BEIR's layout; every variant is evaluated there, and a quantized "
        "one that loses too much is refused",
    )
    parser.add_argument(
        "--max-quality-loss",
        type=_share,
        default=MAX_QUALITY_LOSS,
        metavar="SHARE",
        help="share of fp32's nDCG@10 that a variant may lose on --verify-data "
        f"({MAX_QUALITY_LOSS})",
    )
    parser.add_argument(
        "--allow-degraded", action="store_true", help="keep quantized variants that rank worse"
    )


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 <= share < 1:
        message = f"must be a share from 0 to below 1, not {text}"
        raise argparse.ArgumentTypeError(message)
    return share


def _pair_count(text: str) -> int:
    if not text.isdecimal() or int(text) < MIN_PAIRS:
        message = f"must be a number of at least {MIN_PAIRS}, not {text}"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Build the bundle and print the report; gives the exit status."""
    for name in _TOOLS:
        if importlib.util.find_spec(name) is None:
            raise MissingToolError(name)
    # What is slow to import waits until here: `--help` and wrong options answer at once.
    from rich.console import Console  # noqa: PLC0415

    from .pipeline import export_bundle  # noqa: PLC0415
    from .progress import Stages  # noqa: PLC0415
    from .report import print_quality, print_report  # noqa: PLC0415

    exit_on_sigterm()
    progress = Console(stderr=True)
    report = progress if arguments.json else Console()
    stages = Stages(progress)
    exported = export_bundle(
        _request(arguments),
        stages,
        on_report=functools.partial(print_report, report),
        on_quality=functools.partial(print_quality, report),
    )
    if arguments.json:
        output = _Output(str(exported.folder), exported.manifest, stages.seconds)
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(output), indent=2) + b"\n")
    else:
        folder = _shown(exported.folder)
        print(f"\nBuilt {folder} in {sum(stages.seconds.values()):.0f} s. Try it with:")
        print(f"  ranklet serve --model {folder}{variant_option(exported.manifest)}")
    return 0


def variant_option(manifest: Manifest) -> str:
    """Give what serving needs to be told here, where no variant is made for this processor."""
    from ranklet.runtime.sessions import cuda_is_available  # noqa: PLC0415 - loads onnxruntime

    try:
        choose_variant(manifest, detect_processor(), cuda=cuda_is_available())
    except VariantError:
        return f" --variant {next(iter(manifest.variants))}"
    return ""


def _request(arguments: argparse.Namespace) -> ExportRequest:
    variants: list[str] | None = arguments.variants
    return ExportRequest(
        source=arguments.source,
        output=arguments.output,
        name=arguments.name,
        revision=arguments.revision,
        origin=arguments.origin,
        graph=arguments.graph,
        template=arguments.template,
        variants=None if variants is None else tuple(dict.fromkeys(variants)),
        verify_pairs=arguments.verify_pairs,
        allow_degraded=arguments.allow_degraded,
        recipe=arguments.recipe,
        verify_data=tuple(arguments.verify_data),
        max_quality_loss=arguments.max_quality_loss,
    )


def _shown(folder: Path) -> str:
    """Give the folder as a shell takes it, short where it lies below the current one."""
    here = Path.cwd()
    return shlex.quote(str(folder.relative_to(here) if folder.is_relative_to(here) else folder))
