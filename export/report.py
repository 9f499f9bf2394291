"""The report at the end of an export, as a table."""

from collections.abc import Mapping

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ranklet.runtime.manifest import CollectionQuality, Variant, VariantReport, Verification

_COLUMNS = ("size", "max diff", "mean diff", "rank tau", "verdict")


def print_report(
    console: Console, variants: Mapping[str, Variant], verification: Verification
) -> None:
    """Print how each variant compares with the original model."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("variant")
    for column in _COLUMNS:
        table.add_column(column, justify="left" if column == "verdict" else "right")
    for name, variant in variants.items():
        table.add_row(name, f"{variant.size_bytes / 1e6:.1f} MB", *_measures(variant.report))
    console.print(table)
    console.print(
        f"Differences to the original model over {verification.pairs} pairs, in standard "
        f"deviations of its logits\n({verification.logit_std:.3f}); limits: "
        f"{verification.max_difference_fp32:g} for fp32, Kendall's tau of "
        f"{verification.min_kendall_tau:g} for int8.",
        highlight=False,
        soft_wrap=True,
    )


def _measures(report: VariantReport | None) -> tuple[str, ...]:
    if report is None:
        return ("", "", "", "not verified here")
    return (
        f"{report.max_difference:.1e}",
        f"{report.mean_difference:.1e}",
        f"{report.kendall_tau:.4f}",
        report.verdict,
    )


def print_quality(console: Console, variants: Mapping[str, Variant]) -> None:
    """Print how each variant ranks the test collections."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("collection", "variant"):
        table.add_column(column)
    for column in ("quality", "of fp32", "95 % interval"):
        table.add_column(column, justify="right")
    for name, variant in variants.items():
        for quality in variant.quality:
            table.add_row(quality.collection, name, *_quality_cells(quality))
    console.print(table)


def _quality_cells(quality: CollectionQuality) -> tuple[str, ...]:
    value = f"{quality.metric} {quality.value:.4f}"
    if quality.kept is None:
        return (value, "", "")
    low_high = quality.kept_interval
    interval = f"{low_high[0]:.1%} to {low_high[1]:.1%}" if low_high else ""
    return (value, f"{quality.kept:.2%}", interval)
