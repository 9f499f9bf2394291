"""The gallery: complete, sourced, and licences accepted before a model is installed."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ranklet.cli import main
from ranklet.export.errors import ExportError
from ranklet.export.flashrank_archive import PREFIX
from ranklet.export.gallery import find_entry, read_catalog, restricts_use
from ranklet.export.request import looks_like_hub_id

ROOT = Path(__file__).parents[2]

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_every_model_can_be_found_and_every_figure_has_its_page() -> None:
    for name, entry in read_catalog().items():
        is_name = looks_like_hub_id(entry.source) or entry.source.startswith(PREFIX)
        assert is_name or (ROOT / entry.source).is_dir(), name
        assert entry.window >= 320
        for figure in entry.quality:
            assert figure.url.startswith("https://")
            assert 0 < figure.value < 100


def test_sources_of_flashrank_are_models_of_flashrank() -> None:
    config = pytest.importorskip("flashrank.Config")
    names = {entry.source for entry in read_catalog().values()}
    named = {name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX)}
    assert named
    assert named <= config.model_file_map.keys()


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(read_catalog())
    assert any("ms-marco-minilm-l-6" in line and "22.7 M" in line for line in lines)
    assert main(["models", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out).keys() == read_catalog().keys()


def test_show(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "show", "jina-reranker-v2-base-multilingual"]) == 0
    shown = capsys.readouterr().out
    assert "cc-by-nc-4.0, which forbids commercial use" in shown
    assert "53.17  (https://huggingface.co/jinaai/" in shown


@pytest.mark.parametrize("action", ["list", "show", "install"])
def test_actions_are_described(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["models", action, "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert f"ranklet models {action} [-h]" in shown
    assert "odel" in shown.partition("options:")[0].partition("]")[2]
    if action == "install":
        assert "NAME as `ranklet models list` gives it" in shown
        assert "the bundle's folder (models/built/NAME)" in shown
        assert "forbids commercial use, or may: read it first" in shown


def test_debug_may_follow_the_action() -> None:
    with pytest.raises(ExportError):
        main(["models", "install", "--debug", "zzzz"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("jina-reranker-v2-base-multilingual", "repeat with --accept-licence"),
        ("gte-multilingual-reranker-base", "cannot be exported: its weights need its own program"),
        ("minilm-l-6", "did you mean ms-marco-minilm-l-6?"),
    ],
)
def test_not_installed(name: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "install", name]) == 2
    assert message in capsys.readouterr().err


def test_shipped_model_is_never_sought_on_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["models", "install", "ranklet-mini"]) == 2
    told = capsys.readouterr().err
    assert "./models/ranklet-mini: there is no such folder" in told
    assert "install ranklet-mini in a checkout of the repository" in told


def test_a_folder_of_a_models_name_is_not_installed_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    (tmp_path / find_entry("ms-marco-minilm-l-6")[1].source).mkdir(parents=True)
    assert main(["models", "install", "ms-marco-minilm-l-6", "--output", "bundle"]) == 2
    assert "cannot download cross-encoder/ms-marco-MiniLM-L6-v2" in capsys.readouterr().err


def test_accepted_licence_lets_the_download_begin(run_ranklet: Run, tmp_path: Path) -> None:
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    words = ("models", "install", "jina-reranker-v2-base-multilingual", "--accept-licence")
    result = run_ranklet(*words, "--output", tmp_path / "bundle", environment=environment)
    assert result.returncode == 2
    assert "cannot download jinaai/jina-reranker-v2-base-multilingual" in result.stderr


@pytest.mark.parametrize(
    ("licence", "is_restricted"),
    [
        ("cc-by-nc-4.0", True),
        ("CC-BY-NC-SA-4.0", True),
        ("other", True),
        ("other (our-terms)", True),
        ("apache-2.0", False),
        ("cc-by-sa-4.0", False),
        ("mit", False),
        (None, False),
    ],
)
def test_licences_that_restrict_use(licence: str | None, is_restricted: bool) -> None:
    assert restricts_use(licence) is is_restricted


def test_a_model_is_found_by_what_it_is_made_of() -> None:
    for word in ("cross-encoder/ms-marco-MiniLM-L6-v2", "MS-MARCO-minilm-l-6"):
        name, entry = find_entry(word)
        assert name == "ms-marco-minilm-l-6"
        assert entry.source == "cross-encoder/ms-marco-MiniLM-L6-v2"


def test_unknown_name_far_from_all() -> None:
    with pytest.raises(ExportError, match="the gallery has no 'zzzz'"):
        find_entry("zzzz")
