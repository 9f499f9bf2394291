"""The doctor finds what is wrong, all of it, and says what to do."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ranklet import Reranker
from ranklet.runtime.bundle import choose_variant
from ranklet.runtime.checkup import DOCUMENT, QUERY
from ranklet.runtime.manifest import read_manifest
from ranklet.runtime.processor import detect_processor
from ranklet.runtime.sessions import cuda_is_available

ROOT = Path(__file__).parents[2]


def doctor(*words: str | Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ranklet.cli", "doctor", *map(str, words)]
    environment = {key: value for key, value in os.environ.items() if "RANKLET" not in key}
    return subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=cwd, env=environment | variables
    )


def report(*words: str | Path, cwd: Path, **variables: str) -> dict[str, Any]:
    result = doctor(*words, "--json", cwd=cwd, **variables)
    found: dict[str, Any] = json.loads(result.stdout)
    assert result.returncode == (1 if found["problems"] else 0)
    return found


@pytest.fixture
def copy(tiny_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "models/built/tiny"))


def test_all_is_well(copy: Path, tmp_path: Path) -> None:
    result = doctor(cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert "bundle        models/built/tiny, called tiny" in result.stdout
    assert "ms on one core, score 0." in result.stdout
    assert result.stdout.endswith("All is well.\n")
    assert re.search(r"^memory +\d+ MB, \d+ MB free$", result.stdout, re.MULTILINE)
    [bundle] = report(cwd=tmp_path)["bundles"]
    with Reranker.open(copy) as reranker:
        assert bundle["chosen"] == reranker.variant
        [score] = reranker.score(QUERY, [DOCUMENT])
        assert bundle["score"] == pytest.approx(float(score), abs=1e-6)
        reasons = {variant["name"]: variant["reason"] for variant in bundle["variants"]}
        assert reasons[reranker.variant] == reranker.variant_reason


def test_the_variant_that_would_run_is_told_before_there_is_a_bundle(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    best = choose_variant(
        read_manifest(tiny_bundle), detect_processor(), cuda=cuda_is_available()
    ).name
    assert best in report(cwd=tmp_path)["suitable_variants"]
    told = doctor(cwd=tmp_path).stdout
    assert re.search(rf"^would run     (fp16, else )?{best}\b", told, re.MULTILINE)


def test_a_variant_for_other_processors_can_be_asked_for(copy: Path, tmp_path: Path) -> None:
    if detect_processor().has_dot_product:
        pytest.skip("this processor has dot products")
    line = next(line for line in doctor(cwd=tmp_path).stdout.splitlines() if "int8 " in line)
    assert "not by itself" in line
    assert line.endswith("--variant computes them exactly, but slower")
    named = report("--model", copy, "--variant", "int8", cwd=tmp_path)["bundles"][0]
    assert (named["chosen"], named["problem"]) == ("int8", None)


def test_no_bundle_says_how_to_get_one(tmp_path: Path) -> None:
    [problem] = report(cwd=tmp_path)["problems"]
    assert problem.startswith("there is no bundle in models/built: unpack one with `ranklet bundle")


def test_a_damaged_bundle_is_named(copy: Path, tmp_path: Path) -> None:
    content = bytearray((copy / "fp32.onnx").read_bytes())
    content[1000] ^= 1
    (copy / "fp32.onnx").write_bytes(content)
    found = report(cwd=tmp_path)
    [problem] = found["problems"]
    assert "models/built/tiny/fp32.onnx is damaged" in problem
    assert found["bundles"][0]["score"] is None


def test_everything_that_is_wrong_is_told_at_once(copy: Path, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.mkdir()
    (config / "a.yaml").write_text("name: a\nbackend: rerankers\nparameters:\n  modle: tiny\n")
    (config / "b.yaml").write_text("name: b\nbackend: whisper\nparameters:\n  model: tiny\n")
    found = report(
        *("--config", config, "--model", "nowhere", "--model", copy, "--port", "x"),
        *("--api-keys-file", "keys.txt"),
        cwd=tmp_path,
    )
    told = "\n".join(found["problems"])
    assert "--port is 'x', expected a whole number from 0 to 65535" in told
    assert f"{config}/a.yaml:4: unknown key 'parameters.modle'; did you mean" in told
    assert f"{config}/b.yaml:2: backend: expected 'rerankers'" in told
    assert "nowhere/manifest.json does not exist; build a bundle there" in told
    working = {bundle["folder"]: bundle["problem"] is None for bundle in found["bundles"]}
    assert working == {"nowhere": False, str(copy): True}


def test_an_address_that_cannot_be_had(copy: Path, tmp_path: Path) -> None:
    [problem] = report("--model", copy, "--host", "192.0.2.1", cwd=tmp_path)["problems"]
    assert problem.startswith("cannot listen on 192.0.2.1:8080")
    with socket.create_server(("127.0.0.1", 0)) as running:
        words = ("--model", copy, "--port", str(running.getsockname()[1]))
        assert not report(*words, cwd=tmp_path)["problems"]


def test_variables_without_a_meaning(copy: Path, tmp_path: Path) -> None:
    advice = report("--model", copy, cwd=tmp_path, RANKLET_THREADS="4")["advice"]
    assert "RANKLET_THREADS is set, but is no setting" in advice


def test_keys_that_cannot_be_read(copy: Path, tmp_path: Path) -> None:
    [problem] = report("--model", copy, "--api-keys-file", "keys.txt", cwd=tmp_path)["problems"]
    assert problem.startswith("--api-keys-file is 'keys.txt', which cannot be read")


def test_a_model_that_is_not_installed(tiny_bundle: Path, tmp_path: Path) -> None:
    config = tmp_path / "a.yaml"
    config.write_text(
        "name: small\nbackend: rerankers\nparameters:\n  model: org/small\n---\n"
        f"name: tiny\nbackend: rerankers\nparameters:\n  model: {tiny_bundle}\n"
    )
    found = report("--config", config, cwd=tmp_path)
    [problem] = found["problems"]
    assert problem.startswith("model 'small': there is no bundle at models/built/small; build it")
    assert f"ranklet export org/small --output {tmp_path}/models/built/small" in problem
    assert found["names"] == {"tiny": str(tiny_bundle)}


def test_variables_count_as_for_serve(copy: Path, tmp_path: Path) -> None:
    found = report(cwd=tmp_path, RANKLET_MODEL=str(copy), RANKLET_VARIANT="fp32")
    assert found["bundles"][0]["chosen"] == "fp32"
    found = report("--variant", "int4", cwd=tmp_path, RANKLET_MODEL=str(copy))
    assert "has no variant 'int4'" in found["problems"][0]


def test_an_open_address_is_advice(copy: Path, tmp_path: Path) -> None:
    found = report("--model", copy, "--host", "0.0.0.0", cwd=tmp_path)
    assert found["problems"] == []
    assert found["advice"][-1].startswith("--host is 0.0.0.0 and no API key is set")
    quiet = report("--model", copy, "--host", "0.0.0.0", cwd=tmp_path, RANKLET_API_KEYS="secret")
    assert quiet["advice"] == []
    assert "secret" not in json.dumps(quiet)


@pytest.mark.parametrize("host", ["127.0.0.2", "::1", "LOCALHOST"])
def test_an_address_of_this_machine_alone_is_none(copy: Path, tmp_path: Path, host: str) -> None:
    assert report("--model", copy, "--host", host, cwd=tmp_path)["advice"] == []


def test_a_folder_of_models_that_cannot_be_read(tmp_path: Path) -> None:
    [problem] = report("--models-dir", "a" * 5000, cwd=tmp_path)["problems"]
    assert problem.startswith("--models-dir is 'aaa")
    (tmp_path / "file").touch()
    [problem] = report("--models-dir", tmp_path / "file", cwd=tmp_path)["problems"]
    assert problem.endswith("which cannot be read: Not a directory")


def test_a_link_to_itself_is_a_problem(copy: Path, tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    found = report("--model", "loop", "--model", "~nobody-of-that-name/x", cwd=tmp_path)
    problems = "\n".join(found["problems"])
    assert "loop" in problems
    assert "~nobody-of-that-name/x/manifest.json does not exist" in problems
    told = doctor("--model", "loop", "--model", copy, cwd=tmp_path)
    assert told.returncode == 1
    assert "bundle        loop" in told.stdout
    assert "Traceback" not in told.stderr


@pytest.mark.skipif(sys.platform == "darwin", reason="its file system takes UTF-8 alone")
def test_a_folder_whose_name_is_not_utf8(copy: Path, tmp_path: Path) -> None:
    folder = copy.rename(tmp_path / os.fsdecode(b"caf\xe9"))
    found = report("--model", folder.name, cwd=tmp_path)
    [problem] = found["problems"]  # onnxruntime takes UTF-8 alone
    assert "cannot load" in problem
    assert os.fsencode(found["bundles"][0]["folder"]) == b"caf\xe9"
    told = doctor("--model", folder.name, cwd=tmp_path)
    assert told.returncode == 1
    assert "bundle        caf\\udce9" in told.stdout
    assert "Traceback" not in told.stderr


def test_where_only_the_runtime_is_installed(copy: Path, tmp_path: Path) -> None:
    """What serves cannot be imported there; machine and bundles are examined all the same."""
    blocked = (
        "import sys; sys.modules.update(dict.fromkeys(('yaml', 'litestar', 'uvicorn')));"
        "from ranklet.cli import main; raise SystemExit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", blocked, "doctor", "--json", "--model", str(copy)]
    result = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 1, result.stderr
    found = json.loads(result.stdout)
    [problem] = found["problems"]
    assert "which is not installed; install what serves with: pip install 'ranklet[service]'" in (
        problem
    )
    assert found["bundles"][0]["score"] is not None
