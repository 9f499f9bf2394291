"""The measuring: first each peer's sweep, then rounds in which all peers take turns."""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ranklet.runtime.measurement import Quantiles

from .environments import BuildError, build_environment
from .lineup import Peer, Setting
from .process import PeerError, PeerProcess, Texts
from .quality import Quality, References
from .record import Absent, Comparison, Entry, Role, Trial

SWEEP_ROUNDS = 2
"""The first also warms up; the least time counts."""

CALLS_IN_ROUND = {"single": 5}
"""Short calls are repeated, so that one round tells more."""

MIN_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Runner:
    """A setting of a peer that takes part in the rounds."""

    peer: Peer
    setting: Setting
    roles: Mapping[str, Role]
    """By workload; it skips the others."""


@dataclass(slots=True)
class Race:
    """Collects what happened."""

    texts: Mapping[str, Texts]
    """The workloads."""
    own_python: Path
    trials: list[Trial] = field(default_factory=list[Trial])
    absent: list[Absent] = field(default_factory=list[Absent])
    versions: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    rounds: int = 0

    def sweep(self, peer: Peer) -> list[Runner]:
        """Try a peer's settings; gives those that take part, none where the peer does not run."""
        seconds: dict[tuple[str, str], float] = {}
        settings = {s.name: s for s in (peer.default, *peer.extra, *peer.sweep)}
        with self._start(peer) as process:
            if process is None:
                return []
            for _ in range(SWEEP_ROUNDS if peer.sweep else 1):
                for setting in list(settings.values()):
                    if not self._try(process, peer, setting, seconds):
                        del settings[setting.name]
        if peer.default.name not in settings:
            return []
        self.trials += [
            Trial(peer.name, workload, name, least)
            for (name, workload), least in seconds.items()
            if name in settings
        ]
        return _choose(peer, settings, seconds, list(self.texts))

    def recall(self, peer: Peer, earlier: Comparison) -> list[Runner]:
        """Give those that took part in an earlier comparison, by what was tried then."""
        trials = [trial for trial in earlier.sweep if trial.peer == peer.name]
        if not trials:
            return []
        seconds = {(trial.setting, trial.workload): trial.seconds for trial in trials}
        settings = {s.name: s for s in (peer.default, *peer.extra, *peer.sweep)}
        settings = {name: s for name, s in settings.items() if name in {n for n, _ in seconds}}
        self.trials += trials
        self.versions[peer.name] = earlier.peer_versions[peer.name]
        return _choose(peer, settings, seconds, list(self.texts))

    def run(
        self, runners: Sequence[Runner], *, rounds: int, deadline: float, show: Callable[[], object]
    ) -> dict[tuple[str, str, str], list[float]]:
        """Time all runners in turns until the rounds are done or the time is over.

        Returns:
            Seconds of each round, by the names of peer, setting and workload.
        """
        seconds: dict[tuple[str, str, str], list[float]] = {}
        with ExitStack() as stack:
            processes = self._start_all(stack, runners)
            for number in range(rounds + 1):  # the first round warms up
                started = time.monotonic()
                for workload in self.texts:
                    for runner in runners:
                        if workload in runner.roles:
                            self._time(processes[runner.peer.name], runner, workload, seconds)
                if number == 0:
                    seconds.clear()
                self.rounds = number
                show()
                took = time.monotonic() - started
                if number >= MIN_ROUNDS and time.monotonic() + took > deadline:
                    break
        return seconds

    def judge(
        self, runners: Sequence[Runner], references: References, texts: Texts
    ) -> list[Quality]:
        """Compare what each runner scores with the torch model."""
        qualities: list[Quality] = []
        with ExitStack() as stack:
            processes = self._start_all(stack, runners)
            for runner in runners:
                process, setting = processes[runner.peer.name], runner.setting
                logits = process.score(setting, texts).logits

                def score_one(
                    query: str,
                    document: str,
                    process: PeerProcess = process,
                    setting: Setting = setting,
                ) -> float:
                    return float(process.score(setting, [(query, [document])]).logits[0])

                qualities.append(
                    references.compare(runner.peer.name, setting.name, logits, score_one)
                )
        return qualities

    @contextmanager
    def _start(self, peer: Peer) -> Generator[PeerProcess | None]:
        try:
            python = self._python(peer)
            with PeerProcess(peer.adapter, python) as process:
                self.versions[peer.name] = process.versions(peer.packages)
                yield process
        except (BuildError, PeerError) as error:
            self.absent.append(Absent(peer.name, "", str(error)))
            print(f"{peer.name} does not run: {error}", flush=True)
            yield None

    def _start_all(self, stack: ExitStack, runners: Sequence[Runner]) -> dict[str, PeerProcess]:
        peers = {runner.peer.name: runner.peer for runner in runners}
        return {
            name: stack.enter_context(PeerProcess(peer.adapter, self._python(peer)))
            for name, peer in peers.items()
        }

    def _python(self, peer: Peer) -> Path:
        if peer.environment is None:
            return self.own_python
        return build_environment(peer.environment)

    def _try(
        self,
        process: PeerProcess,
        peer: Peer,
        setting: Setting,
        seconds: dict[tuple[str, str], float],
    ) -> bool:
        try:
            for workload, texts in self.texts.items():
                taken = min(process.score(setting, texts).seconds)
                key = (setting.name, workload)
                seconds[key] = min(taken, seconds.get(key, taken))
        except PeerError as error:
            self.absent.append(Absent(peer.name, setting.name, str(error)))
            print(f"{peer.name}, {setting.name}, does not run: {error}", flush=True)
            return False
        return True

    def _time(
        self,
        process: PeerProcess,
        runner: Runner,
        workload: str,
        seconds: dict[tuple[str, str, str], list[float]],
    ) -> None:
        calls = CALLS_IN_ROUND.get(workload, 1)
        answer = process.score(runner.setting, self.texts[workload], repeats=calls)
        key = (runner.peer.name, runner.setting.name, workload)
        seconds.setdefault(key, []).extend(answer.seconds)


def _choose(
    peer: Peer,
    settings: Mapping[str, Setting],
    seconds: Mapping[tuple[str, str], float],
    workloads: Sequence[str],
) -> list[Runner]:
    """Let the default run everywhere, and on each workload the setting that was fastest there."""
    own = Role.OURS if peer.environment is None else Role.DEFAULT
    runners = [Runner(peer, peer.default, dict.fromkeys(workloads, own))]
    runners += [
        Runner(peer, setting, dict.fromkeys(workloads, Role.EXTRA))
        for setting in peer.extra
        if setting.name in settings
    ]
    best: dict[str, dict[str, Role]] = {}
    for workload in workloads if peer.sweep else ():
        names = [s.name for s in peer.sweep if s.name in settings]
        names = names or [peer.default.name]
        fastest = min(names, key=lambda name: seconds[name, workload])
        best.setdefault(fastest, {})[workload] = Role.BEST
    return runners + [Runner(peer, settings[name], roles) for name, roles in best.items()]


def make_entries(
    runners: Sequence[Runner],
    seconds: Mapping[tuple[str, str, str], Sequence[float]],
    texts: Mapping[str, Texts],
) -> list[Entry]:
    """Summarize the rounds."""
    entries: list[Entry] = []
    for runner in runners:
        for workload, role in runner.roles.items():
            taken = np.array(seconds[runner.peer.name, runner.setting.name, workload])
            pairs = sum(len(documents) for _, documents in texts[workload])
            entries.append(
                Entry(
                    peer=runner.peer.name,
                    engine=runner.peer.engine,
                    role=role,
                    workload=workload,
                    setting=runner.setting.name,
                    pairs_per_s=Quantiles.of(pairs / taken),
                    call_ms=Quantiles.of(1000 * taken),
                    seconds=[round(value, 6) for value in taken.tolist()],
                )
            )
    return entries
