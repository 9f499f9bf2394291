"""Compare ranklet with other rerankers: the same checkpoint, machine and documents, in turns.

    python benchmarks/compare.py --model models/built/ranklet-mini

Makes an environment for each peer below build/peers, and from the checkpoint what the peers read,
with their own tools; both are kept for the next run. Then each peer's settings are tried on every
workload, and at last the peers take turns, at their defaults and at their best settings;
``--settings-of`` takes the settings that an earlier run found. Set TORCH_INDEX_URL to take torch
from another index, for instance the one of CPU builds.
"""

import argparse
import json
import platform
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from environment import RESULTS, ROOT, describe_environment, processor_model
from peers.environments import BuildError, build_environment, make_models
from peers.lineup import REFERENCE, Peer, make_ours, make_peers
from peers.process import PeerProcess, Texts
from peers.quality import WINDOW_TOKENS, Quality, References
from peers.race import Race, Runner, make_entries
from peers.record import Absent, Comparison, Workload

from ranklet.runtime.manifest import Manifest, read_manifest
from ranklet.runtime.measurement import SEED
from ranklet.runtime.processor import usable_cores
from ranklet.runtime.tokenization import PairEncoder
from ranklet.runtime.workloads import QUERY, mixed_documents, uniform_documents

PAIRS = ROOT / "export" / "verification_pairs.jsonl"


def main() -> None:
    arguments = parse_arguments()
    manifest = read_manifest(arguments.model)
    require_window(manifest)
    calibration, quality = read_pairs()
    failures = make_models(arguments.checkpoint, flatten(calibration))
    for name, reason in failures.items():
        print(f"no {name} files: {reason}", flush=True)
    texts = make_workloads()
    race = Race(texts, Path(sys.executable))
    race.absent += [Absent(f"{name} files", "", reason) for name, reason in failures.items()]
    peers = choose_peers(arguments, manifest)
    runners, qualities = recall(race, peers, arguments.settings_of)
    known = {runner.peer.name for runner in runners}
    tried = [r for peer in peers if peer.name not in known for r in sweep(race, peer)]
    references = score_references(quality, arguments.model)
    print("comparing scores with torch", flush=True)
    qualities += race.judge(tried, references, quality)
    order = [peer.name for peer in peers]
    runners = sorted([*runners, *tried], key=lambda runner: order.index(runner.peer.name))
    deadline = arguments.started + 60 * arguments.minutes
    seconds = race.run(
        runners,
        rounds=arguments.rounds,
        deadline=deadline,
        show=lambda: print(f"round {race.rounds}, {left(deadline)}", flush=True),
    )
    comparison = Comparison(
        environment=describe_environment(("numpy", "onnxruntime", "tokenizers")),
        peer_versions=race.versions,
        model=manifest.name,
        variants={name: manifest.variants[name].recipe for name in arguments.variants},
        workers=arguments.workers,
        seed=SEED,
        quality_pairs=len(references.as_trained),
        workloads=describe_workloads(texts, arguments.model),
        rounds=race.rounds,
        entries=make_entries(runners, seconds, texts),
        qualities=qualities,
        sweep=race.trials,
        absent=race.absent,
    )
    output: Path = arguments.output or default_output()
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(msgspec.json.format(msgspec.json.encode(comparison), indent=1) + b"\n")
    print(f"wrote {output}; see it with: python benchmarks/peers_table.py {output}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--model", type=Path, default=ROOT / "models" / "built" / "ranklet-mini", metavar="DIR"
    )
    parser.add_argument(
        "--checkpoint", type=Path, default=ROOT / "models" / "ranklet-mini", metavar="DIR"
    )
    parser.add_argument("--variants", nargs="+", default=["int8", "fp32"], metavar="NAME")
    parser.add_argument("--workers", type=int, default=usable_cores(), metavar="N")
    parser.add_argument("--peers", nargs="+", metavar="WORD", help="those whose names hold a word")
    parser.add_argument(
        "--settings-of",
        type=Path,
        metavar="FILE",
        help="results of this machine: try only the settings of peers that are not in there",
    )
    parser.add_argument("--rounds", type=int, default=25, metavar="N", help="at most")
    parser.add_argument(
        "--minutes", type=float, default=8, help="end the rounds when so long has passed in all"
    )
    parser.add_argument("--output", type=Path, metavar="FILE")
    arguments = parser.parse_args(namespace=argparse.Namespace(started=time.monotonic()))
    if arguments.settings_of is not None and arguments.settings_of == arguments.output:
        parser.error("--output would replace what --settings-of names: write to another file")
    return arguments


def require_window(manifest: Manifest) -> None:
    """Refuse a bundle that reads less of long documents than the peers: it would win by that."""
    if manifest.window_tokens < WINDOW_TOKENS:
        sys.exit(
            f"{manifest.name} reads {manifest.window_tokens} tokens, the peers {WINDOW_TOKENS}: "
            f"copy the checkpoint, say model_max_length {WINDOW_TOKENS} in the copy's "
            "tokenizer_config.json, export it, and name both with --checkpoint and --model"
        )


def choose_peers(arguments: argparse.Namespace, manifest: Manifest) -> list[Peer]:
    """Give ours and the peers that were asked for."""
    graph = arguments.model / manifest.variants["fp32"].files[0].path
    peers = make_peers(graph if manifest.first_token_pruned else None)
    words: list[str] | None = arguments.peers
    if words is not None:
        peers = [p for p in peers if any(word.lower() in p.name.lower() for word in words)]
    return [*make_ours(arguments.model, arguments.variants, arguments.workers), *peers]


def make_workloads() -> dict[str, Texts]:
    """Make what is scored, each in one call."""
    documents = {
        "mixed": mixed_documents(100, seed=SEED),
        "uniform-128": uniform_documents(128, 100, seed=SEED),
        "uniform-32": uniform_documents(32, 100, seed=SEED),
        "single": uniform_documents(32, 10, seed=SEED),
    }
    return {name: [(QUERY, texts)] for name, texts in documents.items()}


def read_pairs() -> tuple[Texts, Texts]:
    """Give real queries and documents: one half to calibrate peers, the other to judge all."""
    rows = [json.loads(line) for line in PAIRS.read_text().splitlines()]
    texts = [(row["query"], row["documents"]) for row in rows]
    return texts[: len(texts) // 2], texts[len(texts) // 2 :]


def flatten(texts: Texts) -> list[tuple[str, str]]:
    return [(query, document) for query, documents in texts for document in documents]


def sweep(race: Race, peer: Peer) -> list[Runner]:
    started = time.monotonic()
    runners = race.sweep(peer)
    if runners:
        took = time.monotonic() - started
        settings = ", ".join(runner.setting.name for runner in runners)
        print(f"{peer.name}: {settings} ({took:.0f} s)", flush=True)
    return runners


def recall(
    race: Race, peers: Sequence[Peer], file: Path | None
) -> tuple[list[Runner], list[Quality]]:
    """Give those that took part in an earlier comparison, and how well they scored."""
    if file is None:
        return [], []
    earlier = msgspec.json.decode(file.read_bytes(), type=Comparison)
    runners = [runner for peer in peers for runner in race.recall(peer, earlier)]
    race.absent += earlier.absent
    known = {runner.peer.name for runner in runners}
    return runners, [quality for quality in earlier.qualities if quality.peer in known]


def score_references(texts: Texts, model: Path) -> References:
    try:
        python = build_environment(REFERENCE.environment or "")
    except BuildError as error:
        sys.exit(f"nothing to compare scores with: {error}")
    with PeerProcess(REFERENCE.adapter, python) as process:
        as_trained, without = (
            process.score(setting, texts).logits
            for setting in (REFERENCE.default, *REFERENCE.extra)
        )
    lengths = count_tokens(texts, model)
    return References(as_trained, without, np.array(lengths) < WINDOW_TOKENS / 4)


def count_tokens(texts: Texts, model: Path) -> list[int]:
    encoder = PairEncoder.from_file(model / "tokenizer.json", window_tokens=WINDOW_TOKENS)
    return [
        len(encoder.encode_pair(encoder.encode_query(query), document).ids)
        for query, document in flatten(texts)
    ]


def describe_workloads(texts: dict[str, Texts], model: Path) -> list[Workload]:
    return [
        Workload(name, len(lengths), sum(lengths))
        for name, lengths in ((name, count_tokens(value, model)) for name, value in texts.items())
    ]


def default_output() -> Path:
    words: Sequence[str] = re.findall(r"[a-z0-9]+", processor_model().lower())
    name = "-".join(words[:4]) or platform.machine()
    return RESULTS / f"peers-{time.strftime('%Y-%m-%d', time.gmtime())}-{name}.json"


def left(deadline: float) -> str:
    return f"{max(0.0, deadline - time.monotonic()) / 60:.1f} minutes left"


if __name__ == "__main__":
    main()
