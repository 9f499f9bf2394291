"""Print the comparison with peers as Markdown: ``python benchmarks/peers_table.py [FILE]``.

Takes the newest results file where none is named.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import msgspec
from environment import RESULTS
from peers.record import Comparison, Entry, Role

LATENCY = "single"
ROLES: dict[Role, str] = {
    Role.OURS: "",
    Role.DEFAULT: "defaults",
    Role.EXTRA: "",
    Role.BEST: "best of its sweep",
}
MARK = "†"


def main() -> None:
    parser = argparse.ArgumentParser(description="Print the comparison with peers.")
    parser.add_argument("file", nargs="?", type=Path, default=None, help="the newest if not given")
    path: Path = parser.parse_args().file or newest()
    print(render(read(path), path.name))


def newest() -> Path:
    """Give the newest results file."""
    return max(RESULTS.glob("peers-*.json"))


def read(path: Path) -> Comparison:
    """Read a results file."""
    return msgspec.json.decode(path.read_bytes(), type=Comparison)


def render(comparison: Comparison, file_name: str) -> str:
    """Give the heading, the table, what follows from it, and what the numbers are."""
    blocks = [
        heading(comparison),
        "\n".join(table(comparison)),
        "\n".join(f"- {line}" for line in verdicts(comparison)),
        "\n".join(f"- {line}" for line in best_settings(comparison)),
        "\n".join(f"- {line}" for line in absences(comparison)),
        source(comparison, file_name),
    ]
    return "\n\n".join(block for block in blocks if block)


def source(comparison: Comparison, file_name: str) -> str:
    command = comparison.environment["command"]
    return f"Raw quantiles: `benchmarks/results/{file_name}`, by `{command}`."


def heading(comparison: Comparison) -> str:
    environment = comparison.environment
    return (
        f"`{comparison.model}` on {environment['processor']}, {environment['cores']} cores "
        f"({environment['instruction_sets']}), {comparison.rounds} rounds in turns. Pairs a second "
        f"and, for `{LATENCY}`, milliseconds: median and quartiles. Scores against torch in fp32 "
        f"over {comparison.quality_pairs} real pairs."
    )


def table(comparison: Comparison) -> list[str]:
    """Give a row for each peer and role."""
    names = [workload.name for workload in comparison.workloads]
    lines = [
        "| | " + " | ".join([*map(title, names), "scores"]) + " |",
        "|---|" + "--:|" * len(names) + "---|",
    ]
    rows = dict.fromkeys((entry.peer, entry.role) for entry in comparison.entries)
    for peer, role in rows:
        entries = [comparison.find(peer, role, name) for name in names]
        known = [entry for entry in entries if entry is not None]
        label = name_row(comparison, known[0])
        cells = [cell(entry) if entry else "" for entry in entries]
        lines.append(f"| {label} | " + " | ".join([*cells, remark(comparison, known)]) + " |")
    return lines


def title(workload: str) -> str:
    return f"`{workload}`, ms" if workload == LATENCY else f"`{workload}`"


def name_row(comparison: Comparison, entry: Entry) -> str:
    if entry.role == Role.OURS:
        return f"**{entry.peer}**"
    mark = MARK if comparison.quality(entry).scores_something_else else ""
    return f"{entry.peer}, {ROLES[entry.role] or entry.setting}{mark}"


def cell(entry: Entry) -> str:
    if entry.workload == LATENCY:
        middle = entry.call_ms
        return f"{middle.p50:.1f} ({middle.p25:.1f}-{middle.p75:.1f})"
    rate = entry.pairs_per_s
    return f"{rate.p50:.0f} ({rate.p25:.0f}-{rate.p75:.0f})"


def remark(comparison: Comparison, entries: Sequence[Entry]) -> str:
    """Say how a row's scores compare; its settings may differ by workload."""
    return "; ".join(dict.fromkeys(comparison.quality(entry).remark for entry in entries))


def verdicts(comparison: Comparison) -> list[str]:
    """Compare ours with the fastest peer that scores the same pairs, on each workload."""
    lines: list[str] = []
    ours = [entry for entry in comparison.entries if entry.role == Role.OURS]
    for entry in ours:
        parts = [
            f"{ratio(entry, peer):.2f} times {peer.peer} at {describe(peer)}"
            for roles in ((Role.DEFAULT, Role.EXTRA), (Role.BEST,))
            if (peer := fastest(comparison, entry.workload, roles)) is not None
        ]
        if parts:
            lines.append(f"{entry.peer} on `{entry.workload}`: {', '.join(parts)}")
    return lines


def describe(entry: Entry) -> str:
    return "its defaults" if entry.role == Role.DEFAULT else f'"{entry.setting}"'


def ratio(ours: Entry, peer: Entry) -> float:
    """Give how many times as fast ours is."""
    return peer.call_ms.p50 / ours.call_ms.p50


def fastest(comparison: Comparison, workload: str, roles: Sequence[Role]) -> Entry | None:
    """Give the fastest peer that scores the same as the torch model, up to its precision."""
    entries = [
        entry
        for entry in comparison.entries
        if entry.workload == workload
        and entry.role in roles
        and not comparison.quality(entry).scores_something_else
    ]
    return min(entries, key=lambda entry: entry.call_ms.p50, default=None)


def best_settings(comparison: Comparison) -> list[str]:
    """Name the settings that were the best of the sweeps, and what each peer was."""
    lines: list[str] = []
    peers = dict.fromkeys(entry.peer for entry in comparison.entries if entry.role != Role.OURS)
    for peer in peers:
        versions = ", ".join(f"{k} {v}" for k, v in comparison.peer_versions[peer].items())
        by_setting: dict[str, list[str]] = {}
        for entry in comparison.entries:
            if entry.peer == peer and entry.role == Role.BEST:
                by_setting.setdefault(entry.setting, []).append(f"`{entry.workload}`")
        tried = len({trial.setting for trial in comparison.sweep if trial.peer == peer})
        best = "; ".join(f"{name} on {', '.join(on)}" for name, on in by_setting.items())
        lines.append(f"{peer} ({versions}): best of {tried} settings are {best}")
    return lines


def absences(comparison: Comparison) -> list[str]:
    """Say what did not run."""
    return [
        f"{absent.peer}{', ' if absent.setting else ''}{absent.setting} did not run: "
        f"{absent.reason}"
        for absent in comparison.absent
    ]


if __name__ == "__main__":
    main()
