"""Tables of speed and memory, which differ between processors."""

from collections.abc import Callable
from typing import Any

from result_files import newest, provenance


def latency(on: str = "") -> str:
    """Speed by document length, from the newest ``latency-*.json``."""
    path, report = newest("latency", on)
    environment = report["environment"]
    sizes = report["sizes_bytes"]
    instructions = environment["instruction_sets"].partition(" with ")[2]
    lines = [
        (
            f"`{report['model']}` on {environment['processor']}, {environment['cores']} cores "
            f"({instructions}), onnxruntime {environment['versions']['onnxruntime']}:"
        ),
        "",
        "| pair length | variant | size | pairs/s | one document p50 | p95 |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for speed in report["speeds"]:
        one = speed["one_document_ms"]
        lines.append(
            f"| {speed['workload']} | {speed['variant']} | {sizes[speed['variant']] / 1e6:.0f} MB"
            f" | {speed['pairs_per_s']['p50']:.0f} | {one['p50']:.1f} ms | {one['p95']:.1f} ms |"
        )
    lines += [
        "",
        f"Raw quantiles: `benchmarks/results/{path.name}`, by `{environment['command']}`.",
    ]
    return "\n".join(lines)


def service(on: str = "") -> str:
    """What the service adds and takes, from the newest results of four benchmarks."""
    found = [newest(kind, on) for kind in ("serving", "lifecycle", "fairness", "bare-graph")]
    serving, lifecycle, fairness, bare = (report for _, report in found)
    http = serving["http_against_in_process"]
    mixed = bare["cases"]["mixed"]
    rows = {
        "over HTTP against in the process, 8 clients with 50 documents": (
            f"{http['p50']:.2f} times the pairs/s ({http['p5']:.2f} to {http['p95']:.2f})"
        ),
        "what HTTP adds to a request of 10 documents": (
            f"{serving['added_latency_ms']['p50']:.1f} ms in the median"
        ),
        "against the bare graph's own time for the same pairs, `mixed`": (
            f"{mixed['of_bare_2_workers']:.2f} times with 2 workers, "
            f"{mixed['of_bare_1_workers']:.2f} with one; "
            f"{mixed['of_bare_2_bare_processes']:.2f} for two bare graphs at once"
        ),
        "2 workers against 1, `mixed`": f"{mixed['times_faster_with_2_workers']:.2f} times",
        "process start to the first ranked answer": (
            f"{lifecycle['start_cpu_s']['p50']:.2f} s of processor time, "
            f"{lifecycle['start_wall_s']['p50']:.2f} s on the clock"
        ),
        "resident memory after 5,000 requests": (
            f"{lifecycle['resident_mb']['5000']:.0f} MB, "
            f"{lifecycle['resident_growth']:+.1%} since the 1,000th"
        ),
        "cores kept busy by an idle server": f"{lifecycle['idle_cores_busy']:.3f}",
        "p95 of 10 documents beside a client with 1,000 without pause": (
            f"{fairness['p95_against_idle']:.1f} times that of an idle server"
        ),
    }
    lines = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]
    return "\n".join([*lines, "", "\n".join(provenance(*one) for one in found)])


def scaling(on: str = "") -> str:
    """The reranker against its bare graph, and two workers against one, by workload."""
    path, report = newest("bare-graph", on)
    lines = [
        "| workload | of the bare graph, 1 worker | 2 workers | 2 workers against 1 |",
        "|---|--:|--:|--:|",
        *(
            f"| {name} | {case['of_bare_1_workers']:.2f} | {case['of_bare_2_workers']:.2f} "
            f"| {case['times_faster_with_2_workers']:.2f} |"
            for name, case in report["cases"].items()
        ),
    ]
    return "\n".join([*lines, "", provenance(path, report)])


def recipes(on: str = "") -> str:
    """Size, speed and agreement of int8 recipes, from the newest ``recipes-*.json``."""
    path, report = newest("recipes", on)
    milliseconds: dict[str, Any] = report["milliseconds"]
    lines = [
        "| recipe | size | "
        + " | ".join(f"{n} tokens" for n in milliseconds)
        + " | tau | nDCG@10 |",
        "|---|--:" + "|--:" * len(milliseconds) + "|--:|--:|",
    ]
    for name, quality in report["quality"].items():
        speeds = (
            f"{cases['fp32']['p50'] / cases[name]['p50']:.2f}" for cases in milliseconds.values()
        )
        lines.append(
            f"| {name} | {quality['megabytes']:.0f} MB | {' | '.join(speeds)} |"
            f" {_digits(quality, 'held_out_tau')} | {_digits(quality, 'held_out_ndcg_10')} |"
        )
    return "\n".join([*lines, "", provenance(path, report)])


def _digits(quality: dict[str, float], name: str) -> str:
    """Give a figure with three digits, nothing where it was not measured."""
    return f"{quality[name]:.3f}" if name in quality else ""


def pruning(on: str = "") -> str:
    """What first-token pruning gains, from the newest ``pruning-*.json``.

    At most it saves a whole layer, which is half of what six layers take more than four.
    """
    path, report = newest("pruning", on)
    full = {case["case"]: case["full_ms"]["p50"] for case in report["cases"]}
    lines = ["| layers, tokens, precision | times as fast | at most |", "|---|--:|--:|"]
    for case in report["cases"]:
        setting = case["case"].partition(", ")[2]
        layer = (full[f"6 layers, {setting}"] - full[f"4 layers, {setting}"]) / 2
        whole = full[case["case"]]
        gain = whole / case["pruned_ms"]["p50"]
        lines.append(f"| {case['case']} | {gain:.2f} | {whole / (whole - layer):.2f} |")
    return "\n".join([*lines, "", provenance(path, report)])


def family(on: str = "") -> str:
    """How much faster the smaller model is, from the newest ``family-*.json``."""
    path, report = newest("family", on)
    lines = [
        "| pair length | variant | ranklet-mini, pairs/s | ranklet-nano, pairs/s | times as fast |",
        "|---|---|--:|--:|--:|",
    ]
    variants = dict.fromkeys(name.partition(" ")[2] for name in report["sizes_bytes"])
    for workload, speeds in report["cases"].items():
        for variant in variants:
            mini, nano = (speeds[f"{name} {variant}"]["pairs_per_s"] for name in ("mini", "nano"))
            lines.append(
                f"| {workload} | {variant} | {mini['p50']:.0f} | {nano['p50']:.0f} |"
                f" {nano['p50'] / mini['p50']:.2f} |"
            )
    return "\n".join([*lines, "", provenance(path, report)])


_SHOWN_OPERATORS = 10


def ceiling(on: str = "") -> str:
    """Where the time of a pair goes by operator, from the newest ``ceiling-*.json``."""
    path, report = newest("ceiling", on)
    lines = [
        "| graph | operator | nodes | of the time | the products alone |",
        "|---|---|--:|--:|--:|",
    ]
    for name in (name for name in report["cases"] if name.endswith(" 128 tokens")):
        case = report["cases"][name]
        total = sum(node["microseconds"] for node in case["nodes"])
        lines += [
            f"| {name} | {operator} | {nodes} | {taken / total:.0%} |"
            f" {f'{alone / total:.0%}' if alone else ''} |"
            for operator, nodes, taken, alone in _by_operator(case["nodes"])[:_SHOWN_OPERATORS]
        ]
        lines.append(f"| {name} | all | | 100% | {case['of_the_ceiling']:.0%} |")
    return "\n".join([*lines, "", provenance(path, report)])


def cuda(on: str = "") -> str:
    """A GPU beside torch on the same one, from the newest ``cuda-*.json``."""
    path, report = newest("cuda", on)
    versions = report["environment"]["versions"]
    lines = [
        (
            f"`{report['model']}` {report['variant']} on {report['device']}, onnxruntime-gpu "
            f"{versions['onnxruntime-gpu']}; sentence-transformers "
            f"{versions['sentence-transformers']}, torch {versions['torch']} in {report['dtype']}:"
        ),
        "",
        "| workload | documents | pairs/s | theirs | in turns | logits differ |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for case in report["cases"]:
        ours, theirs = (case["pairs_per_s"][side] for side in ("ranklet", case["their_best"]))
        times = case["times_the_best_of_theirs"]
        lines.append(
            f"| {case['workload']} | {case['documents']} | {ours['p50']:.0f} | {theirs['p50']:.0f}"
            f" | {times['p50']:.1f} times ({times['p25']:.1f} to {times['p75']:.1f})"
            f" | {case['largest_difference_of_logits']:.3f} |"
        )
    return "\n".join([*lines, "", provenance(path, report)])


def _by_operator(groups: list[dict[str, Any]]) -> list[tuple[str, int, float, float]]:
    """Give operator, number, time and, for products, time alone: those that take most first."""
    names = dict.fromkeys(group["operator"] for group in groups)
    sums = [
        (
            name,
            sum(group["nodes"] for group in groups if group["operator"] == name),
            sum(group["microseconds"] for group in groups if group["operator"] == name),
            sum(group["alone_microseconds"] or 0 for group in groups if group["operator"] == name),
        )
        for name in names
    ]
    return sorted(sums, key=lambda row: -row[2])


TABLES: dict[str, Callable[[str], str]] = {
    "latency": latency,
    "family": family,
    "service": service,
    "scaling": scaling,
    "recipes": recipes,
    "pruning": pruning,
    "ceiling": ceiling,
    "cuda": cuda,
}
