"""``ranklet inspect``: what a bundle holds, whether it is whole, which variant runs here."""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec

from .bundle import check_all_files, choose_variant
from .errors import VariantError
from .manifest import CollectionQuality, Manifest, Variant, Verification, read_manifest
from .processor import detect_processor

_EPILOG = """\
examples:
  ranklet inspect models/built/ranklet-mini
  ranklet inspect --json models/built/ranklet-mini
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    parser.epilog = _EPILOG
    parser.add_argument("bundle", type=Path, metavar="DIR", help="the bundle's folder")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Check the bundle and print what it holds; gives the exit status."""
    from .sessions import cuda_is_available  # noqa: PLC0415 - `--help` need not load onnxruntime

    folder: Path = arguments.bundle
    manifest = read_manifest(folder)
    check_all_files(folder, manifest)
    choice = _choose(manifest, cuda=cuda_is_available())
    if arguments.json:
        report = {"manifest": manifest, "checksums": "ok", "choice": choice}
        output = msgspec.json.format(msgspec.json.encode(report), indent=2)
        sys.stdout.buffer.write(output + b"\n")
    else:
        print("\n".join(_lines(manifest, choice)))
    return 0


@dataclass(frozen=True, slots=True)
class _Choice:
    """What runs here by itself."""

    variant: str | None
    reason: str


def _choose(manifest: Manifest, *, cuda: bool) -> _Choice:
    """Choose for this processor; a bundle may well be for another one."""
    processor = detect_processor()
    try:
        choice = choose_variant(manifest, processor, cuda=cuda)
    except VariantError:
        reason = f"none is made for {processor.description}; one can be named with --variant"
        return _Choice(None, reason)
    return _Choice(choice.name, choice.reason)


def _lines(manifest: Manifest, choice: _Choice) -> list[str]:
    source = manifest.source
    pruned = "last layer computed for the first token only" if manifest.first_token_pruned else "no"
    lines = [
        f"model         {manifest.name}",
        f"source        {source.checkpoint}, revision {source.revision or 'unknown'}",
        f"licence       {source.licence or 'not stated'}",
        f"architecture  {manifest.architecture}, window {manifest.window_tokens} tokens",
        f"pruned        {pruned}",
        f"scores        {manifest.output_activation} of the logit",
        f"built with    {_versions(manifest)}",
        "checksums     ok, all files are what the manifest says",
        f"runs here     {choice.variant or '-'}: {choice.reason}",
        "",
        "variant       size     made for   max diff  mean diff  rank tau  verdict",
    ]
    lines += [_variant_line(name, variant) for name, variant in manifest.variants.items()]
    if (verification := manifest.verification) is not None:
        lines += ["", _limits(verification)]
    if quality := [
        f"{name:<12}  {_quality(measured)}"
        for name, variant in manifest.variants.items()
        for measured in variant.quality
    ]:
        lines += ["", "Quality on the test collections of the export:", *quality]
    return lines


def _quality(measured: CollectionQuality) -> str:
    text = (
        f"{measured.collection}, {measured.queries} queries: {measured.metric} {measured.value:.4f}"
    )
    if measured.kept is None:
        return text
    text = f"{text}, {measured.kept:.2%} of fp32"
    if measured.kept_interval is None:
        return text
    low, high = measured.kept_interval
    return f"{text} ({low:.1%} to {high:.1%})"


def _limits(verification: Verification) -> str:
    return (
        f"Differences to the original model over {verification.pairs} verification pairs, in "
        f"standard deviations\nof its logits ({verification.logit_std:.3f}); limits: "
        f"{verification.max_difference_fp32:g} for fp32, "
        f"Kendall's tau of {verification.min_kendall_tau:g} for int8."
    )


def _versions(manifest: Manifest) -> str:
    tools = sorted(manifest.tool_versions.items())
    return ", ".join(f"{name} {version}" for name, version in tools) or "unknown"


def _variant_line(name: str, variant: Variant) -> str:
    size = f"{variant.size_bytes / 1e6:.1f} MB"
    start = f"{name:<12}  {size:<7}  {variant.processors:<9}"
    if (report := variant.report) is None:
        return f"{start}  not verified"
    return (
        f"{start}  {report.max_difference:>8.1e}  {report.mean_difference:>9.1e}"
        f"  {report.kendall_tau:>8.4f}  {report.verdict}"
    )
