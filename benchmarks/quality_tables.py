"""Tables of how well the shipped models rank, and what their probabilities mean."""

from collections.abc import Callable
from functools import partial
from typing import Any

from result_files import newest

_SHIPPED = {"ranklet-mini": "quality", "ranklet-nano": "nano-quality"}
"""Models, and where their figures are."""
_COLLECTIONS = {
    "trec_dl19": "nDCG@10",
    "scifact": "nDCG@10",
    "stackfaq": "nDCG@10",
    "wikiqa_dev": "RR",
}


def quality() -> str:
    """Ranking quality of the shipped models by collection, from the newest results of each."""
    lines = [
        f"| collection | metric | BM25 | {' | '.join(_SHIPPED)} |",
        "|---|---|--:|" + "--:|" * len(_SHIPPED),
    ]
    found = [newest(kind) for kind in _SHIPPED.values()]
    rows = [row for _, report in found for row in report["rows"]]
    for collection, metric in _COLLECTIONS.items():
        values = {
            row["model"]: f"{row['quality'][metric]:.3f}"
            for row in rows
            if row["collection"] == collection
        }
        if values:
            cells = (values.get(name, "") for name in ("first stage", *_SHIPPED))
            lines.append(f"| {collection} | {metric} | {' | '.join(cells)} |")
    names = ", ".join(f"`benchmarks/results/{path.name}`" for path, _ in found)
    lines += ["", f"In fp32; all figures with intervals: {names}."]
    return "\n".join(lines)


def calibration(model: str = "ranklet-mini") -> str:
    """What a shipped model's probabilities mean, from the newest ``quality-*.json``."""
    path, report = newest(_SHIPPED[model])
    found = report["development"][model]["calibration"]
    lines = [
        "| probability | documents | mean probability | relevant |",
        "|---|--:|--:|--:|",
        *(
            f"| {one['low']:g} to {one['high']:g} | {one['documents']} "
            f"| {one['mean_probability']:.3f} | {one['relevant']:.3f} |"
            for one in found["bins"]
        ),
        "",
        (
            f"A threshold of {found['threshold']:.3f} keeps 95 % of the relevant documents "
            f"and lets {found['kept_irrelevant']:.1%} of the others through. "
            f"From `benchmarks/results/{path.name}`."
        ),
    ]
    return "\n".join(lines)


def kept(kind: str = "kept") -> str:
    """What quantized variants keep of fp32's quality, from the newest ``kept-*.json``."""
    path, report = newest(kind)
    rows = [row for row in report["rows"] + report["means"] if row["precision"] is not None]
    variants = [row["variant"] for row in report["means"] if row["against_first"]]
    lines = [
        f"| collection | queries | fp32 nDCG@10 | {' | '.join(variants)} |",
        f"|---|--:|--:|{'--:|' * len(variants)}",
    ]
    queries = {facts["name"]: facts["queries"] for facts in report["collections"]}
    for collection in [*queries, report["means"][0]["collection"]]:
        by_variant = {row["variant"]: row for row in rows if row["collection"] == collection}
        cells = " | ".join(_share(by_variant[variant]) for variant in variants)
        fp32 = by_variant["fp32"]["quality"]["nDCG@10"]
        lines.append(f"| {collection} | {queries.get(collection, '')} | {fp32:.4f} | {cells} |")
    command = report["environment"]["command"]
    lines += ["", f"Everything: `benchmarks/results/{path.name}`, by `{command}`."]
    return "\n".join(lines)


def _share(row: dict[str, Any]) -> str:
    against = row["against_first"]["nDCG@10"]
    low, high = against["kept_interval"]
    return f"{against['kept']:.1%} ({low:.1%} to {high:.1%})"


TABLES: dict[str, Callable[[], str]] = {
    "quality": quality,
    "calibration": calibration,
    "calibration-nano": partial(calibration, "ranklet-nano"),
    "kept": kept,
    "kept-nano": partial(kept, "nano-kept"),
}
