"""The code blocks of README.md and docs/ run and print what they say; generated parts are current.

How blocks are marked:

- ``bash`` blocks run each with ``bash -euo pipefail`` beside a server on the README's address, then
  ``python`` blocks one after the other in one interpreter; all of a document in one folder, where
  the models lie as they do in a checkout. Other languages are not run.
- A ``text`` or ``json`` block that follows one is its output. Numbers may differ a little, since
  processors get different variants; a line ``...`` stands for any lines, and a JSON string "..."
  for any value. Without such a block the output does not matter, only that nothing fails.
- ``<!-- not run: reason -->`` on the line before a block exempts it.
- Between ``<!-- output of: COMMAND -->`` and ``<!-- end of output -->`` stands what COMMAND prints
  when it is run in the repository. ``python tests/test_documents.py`` writes those parts anew.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest

Json: TypeAlias = "dict[str, Json] | list[Json] | str | float | None"

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
ELSEWHERE = ROOT / "docs/clients.md"
"""Run where the clients are installed, by tests/clients."""

DOCUMENTS = (
    README,
    *sorted(set((ROOT / "docs").glob("*.md")) - {ELSEWHERE}),
    *sorted((ROOT / "models").glob("ranklet-*/README.md")),
    ROOT / "training/README.md",
    ROOT / "training/tried.md",
)

_INSTALLS = re.compile(r"^pip install .*\n", re.MULTILINE)
"""What is under test is installed already."""


_PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

_TOLERANCE = 0.03
"""Of a number, and in absolute terms for those below one: what int8 may change of a score."""

_BLOCK = re.compile(
    r"(?P<exempt><!-- not run: [^\n]+ -->\n)?^```(?P<language>\w*)\n(?P<code>.*?)^```$"
    r"(?:\n+```(?P<format>text|json)\n(?P<output>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)
_GENERATED = re.compile(
    r"(<!-- output of: ([^\n]+) -->\n).*?(<!-- end of output -->)", re.MULTILINE | re.DOTALL
)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code that is run, and what it is said to print."""

    language: str
    code: str
    line: int
    output: str | None
    is_json: bool


def blocks(text: str) -> Iterator[Block]:
    """Find the blocks that are run."""
    for match in _BLOCK.finditer(text):
        if match["exempt"] or match["language"] not in {"bash", "python"}:
            continue
        line = text.count("\n", 0, match.start("code"))
        yield Block(
            match["language"], match["code"], line, match["output"], match["format"] == "json"
        )


def environment() -> dict[str, str]:
    """Give an environment in which ``ranklet`` and ``python`` are the ones under test."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path}


def generated(text: str) -> str:
    """Run the commands of the generated parts and give the text with what they print."""

    def render(match: re.Match[str]) -> str:
        result = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", match[2]],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PATH": _PATH},
        )
        return f"{match[1]}{result.stdout}{match[3]}"

    return _GENERATED.sub(render, text)


def agrees(block: Block, printed: str) -> bool:
    """Whether a block printed what the README says."""
    if block.output is None:
        return True
    if block.is_json:
        return _same_value(json.loads(block.output), json.loads(printed))
    return _same_lines(block.output.splitlines(), printed.splitlines())


def _same_value(expected: Json, found: Json) -> bool:
    match expected, found:
        case "...", _:
            return True
        case dict(), dict():
            return expected.keys() == found.keys() and all(
                _same_value(value, found[key]) for key, value in expected.items()
            )
        case list(), list():
            return len(expected) == len(found) and all(map(_same_value, expected, found))
        case ((int() | float()), (int() | float())):
            return _close(float(expected), float(found))
        case _:
            return expected == found


def _same_lines(expected: list[str], found: list[str]) -> bool:
    if not expected:
        return not found
    if expected[0].strip() == "...":
        return any(_same_lines(expected[1:], found[skip:]) for skip in range(len(found) + 1))
    return (
        bool(found) and _same_line(expected[0], found[0]) and _same_lines(expected[1:], found[1:])
    )


def _same_line(expected: str, found: str) -> bool:
    """Compare what is not a number exactly but for the width of spaces, numbers nearly."""
    words = [_NUMBER.sub("#", line).split() for line in (expected, found)]
    numbers = [[float(number) for number in _NUMBER.findall(line)] for line in (expected, found)]
    return words[0] == words[1] and all(map(_close, *numbers))


def _close(expected: float, found: float) -> bool:
    return abs(expected - found) <= _TOLERANCE * max(1.0, abs(expected))


@pytest.fixture
def checkout(bundle: Path, tmp_path: Path) -> Path:
    """A folder with the models in it as in a checkout where ``make run`` has been called."""
    folder = tmp_path / "checkout"
    built = folder / "models/built"
    built.mkdir(parents=True)
    (built / "ranklet-mini").symlink_to(bundle)
    for name in ("config", "ranklet-mini"):
        (folder / "models" / name).symlink_to(ROOT / "models" / name)
    return folder


@pytest.mark.torch
@pytest.mark.parametrize(
    "document",
    [path for path in DOCUMENTS if list(blocks(path.read_text()))],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_blocks(document: Path, checkout: Path, start_server: Callable[..., str]) -> None:
    # In fp32, whose scores the documents show and every processor gives.
    address = start_server(
        *("--model", "models/built/ranklet-mini", "--config", "models/config"),
        *("--variant", "fp32"),
        cwd=checkout,
    )
    found = list(blocks(document.read_text()))
    _run_bash(document, [block for block in found if block.language == "bash"], checkout, address)
    _run_python(document, [block for block in found if block.language == "python"], checkout)
    _require_ignored(checkout)


def _run_bash(document: Path, found: list[Block], folder: Path, address: str) -> None:
    for block in found:
        code = re.sub(r"(http://)?(localhost|127\.0\.0\.1):8080", address, block.code)
        result = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", _INSTALLS.sub("", code)],
            cwd=folder,
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "PATH": _PATH, "XDG_CACHE_HOME": str(folder.parent)},
        )
        place = f"{document.name}:{block.line}"
        assert result.returncode == 0, f"{place}: {result.stderr}"
        assert agrees(block, result.stdout), f"{place} printed:\n{result.stdout}"


def _run_python(document: Path, found: list[Block], folder: Path) -> None:
    program = "print('\\0')\n".join(block.code for block in found)
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    if found:
        for block, printed in zip(found, result.stdout.split("\0\n"), strict=True):
            assert agrees(block, printed), f"{document.name}:{block.line} printed:\n{printed}"


def _require_ignored(folder: Path) -> None:
    """Check that what the blocks wrote is nothing that git would add in a checkout."""
    written = {f"{path.name}{'/' * path.is_dir()}" for path in folder.iterdir()} - {"models/"}
    if written and (ROOT / ".git").exists():
        command = ["git", "check-ignore", *written]
        result = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
        assert set(result.stdout.split()) == written


def test_the_readme_is_run() -> None:
    assert {block.language for block in blocks(README.read_text())} == {"bash", "python"}


@pytest.mark.parametrize(
    "document",
    [path for path in DOCUMENTS if _GENERATED.search(path.read_text())],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_generated_parts(document: Path) -> None:
    text = document.read_text()
    assert generated(text) == text, "run: python tests/test_documents.py"


@pytest.mark.parametrize(
    ("output", "printed", "is_json", "expected"),
    [
        ("a 0.91\n", "a   0.90\n", False, True),
        ("a 0.91\n", "a 0.80\n", False, False),
        ("a 1\nb 2\n", "a 1\n", False, False),
        ("a 1\n...\nb 2\n", "a 1\nx\ny\nb 2\n", False, True),
        ('{"score": 0.91, "id": "..."}', '{"id": 7, "score": 0.9}', True, True),
        ('{"score": 0.91}', '{"score": 0.91, "id": 7}', True, False),
        ('[{"index": 3}]', '[{"index": 2}]', True, False),
    ],
)
def test_what_counts_as_the_same_output(
    output: str, printed: str, is_json: bool, expected: bool
) -> None:
    assert agrees(Block("bash", "", 1, output, is_json), printed) is expected


if __name__ == "__main__":
    for path in DOCUMENTS:
        path.write_text(generated(path.read_text()))
