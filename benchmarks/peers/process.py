"""A peer's process, which runs only while it is asked: others must not feel its idle threads."""

import json
import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np

from ranklet.runtime.arrays import Float32Array

from .environments import BUILD, MODELS, OFFLINE
from .lineup import Setting

Texts = Sequence[tuple[str, Sequence[str]]]
"""Queries, each with its documents."""


class PeerError(Exception):
    """A peer failed; the message is its own."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a peer gave."""

    seconds: list[float]
    """How long all texts took, for each repetition."""
    logits: Float32Array
    """float32, shape (documents of all texts,)."""


class PeerProcess:
    """Starts a peer in its environment and talks with it."""

    def __init__(self, adapter: str, python: Path) -> None:
        """Start the process and let it import the peer."""
        log = BUILD / f"{adapter}.log"
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                [str(python), "-m", "peers.worker", adapter, str(MODELS)],
                env={**os.environ, **OFFLINE},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def score(self, setting: Setting, texts: Texts, *, repeats: int = 1) -> Answer:
        """Score ``texts`` some times.

        Raises:
            PeerError: the peer raised an error or ended.
        """
        answer = self._ask(
            {
                "model": setting.model,
                "call": setting.call,
                "texts": list(texts),
                "repeats": repeats,
            }
        )
        values = np.concatenate([np.asarray(scores, np.float64) for scores in answer["scores"]])
        return Answer(answer["seconds"], _logits(values, answer["output"]))

    def versions(self, packages: Sequence[str]) -> dict[str, str]:
        """Give the versions of packages in the peer's environment."""
        versions: dict[str, str] = self._ask({"versions": list(packages)})["versions"]
        return versions

    def close(self) -> None:
        """End the process."""
        self._process.send_signal(signal.SIGCONT)
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, request: dict[str, object]) -> dict[str, Any]:
        self._process.send_signal(signal.SIGCONT)
        try:
            _pipe(self._process.stdin).write(json.dumps(request) + "\n")
            _pipe(self._process.stdin).flush()
            line = _pipe(self._process.stdout).readline()
        except BrokenPipeError:
            line = ""
        if not line:
            message = f"its process ended with status {self._process.wait()}"
            raise PeerError(message)
        self._process.send_signal(signal.SIGSTOP)
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def _logits(values: "np.ndarray[Any, np.dtype[np.float64]]", output: str) -> Float32Array:
    """Undo the sigmoid, as far as fp32 probabilities tell."""
    if output == "probability":
        values = np.clip(values, 1e-30, 1 - 2.0**-25)
        values = np.log(values) - np.log1p(-values)
    return values.astype(np.float32)
