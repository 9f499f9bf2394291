"""The commands that need the base installation alone, run in processes of their own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from ranklet.cli import main
from ranklet.export.command import variant_option
from ranklet.runtime.errors import ArchiveError
from ranklet.runtime.manifest import read_manifest, write_manifest
from ranklet.runtime.processor import Processor

TINY = Path(__file__).parent / "tiny/bundle"
QUERY = "what is the capital city of france"
LINES = "the moon is old\n\nparis is the capital of france\r\nbread and milk\n"


def ranklet(*words: str | Path, text: str | bytes = "") -> subprocess.CompletedProcess[str]:
    content = text if isinstance(text, bytes) else text.encode()
    result = subprocess.run(
        [sys.executable, "-m", "ranklet.cli", *words],
        input=content,
        capture_output=True,
        check=False,
    )
    return subprocess.CompletedProcess(
        result.args, result.returncode, result.stdout.decode(), result.stderr.decode()
    )


class TestScore:
    def test_ranks_lines_in_a_table(self) -> None:
        result = ranklet("score", "--model", TINY, "--query", QUERY, text=LINES)
        assert result.returncode == 0, result.stderr
        header, first, *rest = result.stdout.splitlines()
        assert header.split() == ["rank", "score", "document", "text"]
        assert first.split()[0] == "1"
        assert first.endswith("paris is the capital of france")
        assert len(rest) == 2

    def test_json_holds_query_model_and_results(self, tmp_path: Path) -> None:
        path = tmp_path / "documents.jsonl"
        path.write_text('{"id": "a", "text": "bread"}\n{"id": 7, "text": "capital", "more": 1}\n')
        result = ranklet("score", "--model", TINY, "--query", QUERY, "--json", path)
        output = json.loads(result.stdout)
        assert (output["query"], output["model"]) == (QUERY, "tiny")
        assert [(entry["index"], entry["id"]) for entry in output["results"]] == [(1, 7), (0, "a")]
        assert output["results"][0]["text"] == "capital"

    def test_rows_of_beir_are_read_as_eval_reads_them(self) -> None:
        lines = '{"_id": "d1", "title": "Paris", "text": "the capital"}\n{"_id": 2, "text": "a"}\n'
        result = ranklet("score", "--model", TINY, "--query", QUERY, "--json", text=lines)
        results = json.loads(result.stdout)["results"]
        assert {(entry["id"], entry["text"]) for entry in results} == {
            ("d1", "Paris the capital"),
            (2, "a"),
        }

    def test_a_long_document_may_be_read_in_windows(self) -> None:
        text = "the moon " * 100 + "paris is the capital city of france\n"
        command = ("score", "--model", TINY, "--query", QUERY, "--json", "--max-windows")
        one, many = (ranklet(*command, count, text=text).stdout for count in ("1", "9"))
        assert json.loads(many)["results"][0]["score"] > json.loads(one)["results"][0]["score"]

    def test_a_query_that_is_not_utf8_is_repaired(self) -> None:
        query = os.fsdecode(b"caf\xe9")
        result = ranklet("score", "--model", TINY, "--query", query, "--json", text=LINES)
        assert result.returncode == 0, result.stderr
        assert json.loads(result.stdout)["query"] == "caf\ufffd"

    def test_a_closed_standard_input_is_told(self) -> None:
        command = f"{sys.executable} -m ranklet.cli score --model {TINY} --query moon - <&-"
        result = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
        assert result.returncode == 2
        assert b"standard input is closed; name a file of documents" in result.stderr

    def test_plain_lines_have_no_id(self) -> None:
        result = ranklet("score", "--model", TINY, "--query", QUERY, "--json", text=LINES)
        assert all("id" not in entry for entry in json.loads(result.stdout)["results"])

    @pytest.mark.parametrize("line", ['{"text": "moon", "id": "a"}', "moon"])
    def test_a_byte_order_mark_is_no_text(self, line: str) -> None:
        command = ("score", "--model", TINY, "--query", "moon", "--json")
        plain, marked = (ranklet(*command, text=f"{mark}{line}\n") for mark in ("", "\ufeff"))
        assert json.loads(marked.stdout)["results"] == json.loads(plain.stdout)["results"]
        assert json.loads(marked.stdout)["results"][0]["text"] == "moon"

    def test_top_n_and_raw_scores(self) -> None:
        result = ranklet(
            "score", "--model", TINY, "--query", QUERY, "--top-n", "1", "--raw-scores", "--json",
            text=LINES,
        )  # fmt: skip
        (best,) = json.loads(result.stdout)["results"]
        assert best["index"] == 1
        assert best["score"] > 1

    def test_no_documents(self) -> None:
        result = ranklet("score", "--model", TINY, "--query", QUERY, "--json")
        assert json.loads(result.stdout)["results"] == []

    @pytest.mark.parametrize(
        ("words", "text", "message"),
        [
            (["--top-n", "0"], "a\n", "top_n must be at least 1, not 0"),
            (["--max-windows", "0"], "a\n", "max_windows must be at least 1, not 0"),
            (["--variant", "int4"], "a\n", "no variant 'int4', only fp32"),
            (["no such file"], "", "cannot read no such file: No such file"),
            ([], b"\xff\n", "is not UTF-8"),
            ([], '{"text": "a"}\n{"tex": 1}\n', "line 2 is not a JSON object"),
            ([], '{"more": ' + "[" * 50_000, "line 1 is not a JSON object"),
        ],
    )
    def test_faults_are_one_line_and_status_2(
        self, words: list[str], text: str | bytes, message: str
    ) -> None:
        result = ranklet("score", "--model", TINY, "--query", QUERY, *words, text=text)
        assert result.returncode == 2
        assert result.stderr.startswith("ranklet: error: ")
        assert message in result.stderr
        assert result.stderr.count("\n") == 1
        assert result.stdout == ""

    def test_debug_shows_the_traceback(self) -> None:
        result = ranklet("score", "--debug", "--model", "nowhere", "--query", QUERY, text="a\n")
        assert "Traceback" in result.stderr

    def test_a_reader_that_leaves_is_no_error(self) -> None:
        command = f"{sys.executable} -m ranklet.cli score --model {TINY} --query moon - | head -1"
        result = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            input=("the moon is far\n" * 3000).encode(), capture_output=True, check=False,
            env={**os.environ, "COLUMNS": "200"},
        )  # fmt: skip
        assert (result.returncode, result.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a full disk is Linux' /dev/full")
@pytest.mark.parametrize("words", [["inspect"], ["inspect", "--json"]])
def test_output_that_cannot_be_written_is_an_error(words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "ranklet.cli", *words, str(TINY)]
        result = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert result.returncode == 2
    assert "No space left" in result.stderr
    assert len(result.stderr.splitlines()) == 1


class TestInspect:
    def test_tells_what_the_bundle_holds(self) -> None:
        result = ranklet("inspect", TINY)
        assert result.returncode == 0, result.stderr
        for part in (
            "tiny",
            "LateInteraction, window 64 tokens",
            "apache-2.0",
            "runs here",
            "int8",
        ):
            assert part in result.stdout

    def test_json(self) -> None:
        output = json.loads(ranklet("inspect", "--json", TINY).stdout)
        assert output["manifest"]["name"] == "tiny"
        assert output["choice"]["variant"] in output["manifest"]["variants"]

    def test_shows_what_is_for_other_processors(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        copy = Path(shutil.copytree(TINY, tmp_path / "copy"))
        manifest = read_manifest(copy)
        only = {"int8": manifest.variants["int8"]}
        write_manifest(copy, msgspec.structs.replace(manifest, variants=only))
        old = Processor("x86_64", frozenset({"avx2"}))
        monkeypatch.setattr("ranklet.runtime.inspect_command.detect_processor", lambda: old)
        assert main(["inspect", str(copy)]) == 0
        assert f"none is made for {old.description}" in capsys.readouterr().out
        assert main(["inspect", "--json", str(copy)]) == 0
        assert json.loads(capsys.readouterr().out)["choice"]["variant"] is None
        monkeypatch.setattr("ranklet.export.command.detect_processor", lambda: old)
        assert variant_option(read_manifest(copy)) == " --variant int8"
        assert not variant_option(manifest)

    def test_checks_every_file(self, tmp_path: Path) -> None:
        copy = Path(shutil.copytree(TINY, tmp_path / "copy"))
        (copy / "int8-avx2.onnx").write_bytes(b"short")
        result = ranklet("inspect", copy)
        assert result.returncode == 2
        assert "int8-avx2.onnx is damaged" in result.stderr


class TestBench:
    def test_compares_the_variants(self) -> None:
        result = ranklet("bench", "--model", TINY, "--rounds", "1")
        assert result.returncode == 0, result.stderr
        rows = [line.split()[:3] for line in result.stdout.splitlines()]
        assert ["32", "tokens", "int8-avx2"] in rows
        assert "times as fast as fp32 here" in result.stdout
        assert result.stderr == ""  # the bar is for terminals

    def test_json(self) -> None:
        result = ranklet("bench", "--model", TINY, "--rounds", "2", "--variant", "fp32", "--json")
        output = json.loads(result.stdout)
        # The tiny window of 64 tokens leaves one length, and the mix.
        assert [speed["workload"] for speed in output["speeds"]] == ["32 tokens", "mixed"]
        assert all(speed["pairs_per_s"]["p50"] > 0 for speed in output["speeds"])

    @pytest.mark.parametrize(
        "words",
        [
            ("--variant", "fp32", "--variant", "int8"),
            ("--variant", "fp32", "int8"),
            ("--variants", "fp32,int8"),
        ],
    )
    def test_variants_are_named_as_one_likes(
        self, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["bench", "--model", str(TINY), "--rounds", "1", "--json", *words]) == 0
        speeds = json.loads(capsys.readouterr().out)["speeds"]
        assert {speed["variant"] for speed in speeds} == {"fp32", "int8"}

    def test_rounds_below_one_are_refused(self) -> None:
        assert (
            "--rounds must be at least 1, not 0"
            in ranklet("bench", "--model", TINY, "--rounds", "0").stderr
        )


def test_without_a_command_the_help_is_shown() -> None:
    result = ranklet()
    assert result.returncode == 2
    assert "commands:" in result.stdout


@pytest.mark.parametrize(
    "words",
    [("bench", "--modle", "x", "--model", "y"), ("bundle", "install", "a.zip", "--to", "x")],
)
def test_unknown_options_are_told_with_the_usage_of_the_command(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(words)
    told = capsys.readouterr().err
    command = " ".join(word for word in words[:2] if not word.startswith("-"))
    assert told.startswith(f"usage: ranklet {command} [-h]")
    assert f"ranklet {command}: error: unrecognized arguments: --" in told


@pytest.mark.parametrize("place", [1, 2, 3])
def test_debug_may_stand_before_or_after_an_action(place: int) -> None:
    words = ["bundle", "install", "gone.zip"]
    with pytest.raises(ArchiveError):
        main([*words[:place], "--debug", *words[place:]])


@pytest.mark.parametrize("action", ["pack", "install"])
def test_actions_are_described(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bundle", action, "--help"])
    usage, described, *_ = capsys.readouterr().out.split("\n\n")
    assert usage.startswith(f"usage: ranklet bundle {action}")
    assert described[0].isupper()
    assert described.endswith(".")


def test_help_keeps_the_case_of_names() -> None:
    assert "\nServe models over HTTP at /v1/rerank.\n" in ranklet("serve", "--help").stdout


@pytest.mark.parametrize("command", ["score", "inspect", "bench"])
def test_help_teaches_by_example(command: str) -> None:
    result = ranklet(command, "--help")
    assert result.returncode == 0
    assert f"ranklet {command} " in result.stdout.partition("examples:")[2]
