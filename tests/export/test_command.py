"""The command line of an export."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ranklet.cli import main

pytestmark = pytest.mark.torch

Run = Callable[..., subprocess.CompletedProcess[str]]

NOTHING_HEAVY = """
import sys
import ranklet.export.command
print(*sorted({"huggingface_hub", "onnx", "rich", "torch", "transformers"} & set(sys.modules)))
"""


def test_wrong_options_are_told_without_importing_torch() -> None:
    command = [sys.executable, "-c", NOTHING_HEAVY]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout == "\n"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["no/such/folder"], "no/such/folder: there is no such folder"),
        (["models/nope"], "models/nope: there is no such folder in models; --revision main seeks"),
        (["some/model", "--variants", "int4"], "the variants are fp32, int8, int8-avx2, fp16"),
        (["some/model", "--name", "../up"], "'../up' is no name for a model"),
        (["some/model", "--output", "tests"], "something that is not a bundle is there"),
    ],
)
def test_one_line_and_exit_code_2(words: list[str], line: str, run_export: Run) -> None:
    result = run_export(*words)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("ranklet: error: ")
    assert result.stderr.count("\n") == 1
    assert line in result.stderr


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["~nobodyx/y"], "~nobodyx/y: there is no such folder"),
        (["~nobodyx/y", "--output", "~nobodyx/z"], "~nobodyx/y: there is no such folder"),
        (["{loop}"], "loop: this is a link that leads nowhere"),
        (["some/model", "--output", "{loop}"], "loop: a link that leads nowhere is there"),
        (["some/model", "--output", "{loop}/tiny"], "cannot write the bundle to"),
    ],
)
def test_links_to_themselves_and_homes_of_nobody(
    words: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    assert main(["export", *(word.format(loop=loop) for word in words)]) == 2
    assert line in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--variants", "a,b"], ["--variants", "a", "--variants", "b"]])
def test_variants_may_be_repeated(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "some/model", *words]) == 2
    assert capsys.readouterr().err.endswith("fp16, source, not a, b\n")


@pytest.mark.parametrize("count", ["31", "-1", "many"])
def test_too_few_pairs_to_verify(count: str, run_export: Run) -> None:
    result = run_export("some/model", "--verify-pairs", count)
    assert result.returncode == 2
    assert f"--verify-pairs: must be a number of at least 32, not {count}" in result.stderr


def test_traceback_only_when_asked_for(run_export: Run) -> None:
    assert "Traceback" in run_export("no/such/folder", "--debug").stderr


def test_missing_tool_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    find_spec = importlib.util.find_spec

    def find_all_but_sympy(name: str, package: str | None = None) -> object:
        return None if name == "sympy" else find_spec(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find_all_but_sympy)
    assert main(["export", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert "exporting needs sympy; install it with: pip install 'ranklet[export]'" in told
    assert "without torch, for ready graphs alone: 'ranklet[import]'" in told


def test_missing_package_of_a_stage_is_named(tiny_checkpoint: Path, tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['safetensors'] = None\n"
        "from ranklet.cli import main; raise SystemExit(main())"
    )
    command = [sys.executable, "-c", program, "export", str(tiny_checkpoint)]
    result = subprocess.run(
        [*command, "--output", str(tmp_path / "bundle")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert "`ranklet export` needs safetensors; install it with: pip install 'ranklet[export]'" in (
        result.stderr
    )
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_missing_torch_is_named(
    tiny_checkpoint: Path, run_without_torch: Run, tmp_path: Path
) -> None:
    result = run_without_torch("export", tiny_checkpoint, "--output", tmp_path / "bundle")
    assert result.returncode == 2
    assert "pip install 'ranklet[export]' (build on a larger machine" in result.stderr


def test_table_and_what_to_do_next(tiny_checkpoint: Path, run_export: Run, tmp_path: Path) -> None:
    words = ["--output", tmp_path / "tiny", "--allow-degraded", "--verify-pairs", "32"]
    result = run_export(tiny_checkpoint, *words)
    assert result.returncode == 0, result.stderr
    for word in ("variant", "size", "max diff", "mean diff", "rank tau", "verdict", "int8-avx2"):
        assert word in result.stdout
    assert f"ranklet serve --model {tmp_path / 'tiny'}" in result.stdout
    for stage in ("Check the source", "Convert it to a graph", "Build int8", "Verify int8"):
        assert stage in result.stderr
