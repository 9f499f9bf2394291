"""What tells the scores of one bundle from those of another."""

import shutil
from pathlib import Path

import msgspec
import pytest

from ranklet.evaluation import score_cache
from ranklet.evaluation.bundles import list_variants
from ranklet.evaluation.collection import read_collection
from ranklet.runtime.manifest import Prompt, read_manifest, write_manifest


@pytest.fixture
def folder(tiny_bundle: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_bundle, tmp_path / "bundle")


def digest(folder: Path) -> str:
    (variant,) = list_variants([folder], ["fp32"])
    return variant.digest


def test_other_prompts_give_other_scores(folder: Path) -> None:
    """The files are the same: only the manifest tells."""
    manifest = read_manifest(folder)
    found = {digest(folder)}
    for instruction in ("find answers", "find questions"):
        prompt = Prompt("", "{instruction} {query} {document}", "", instruction)
        write_manifest(folder, msgspec.structs.replace(manifest, prompt=prompt))
        found.add(digest(folder))
    assert len(found) == 3


def test_names_and_licences_change_no_scores(folder: Path) -> None:
    before = digest(folder)
    manifest = read_manifest(folder)
    write_manifest(folder, msgspec.structs.replace(manifest, name="another", logit="another"))
    assert digest(folder) == before


@pytest.mark.parametrize("library", ["tokenizers", "ranklet", "onnxruntime"])
def test_other_versions_score_anew(
    library: str, folder: Path, collection_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cache_path() -> Path:
        (variant,) = list_variants([folder], ["fp32"])
        collection = read_collection(collection_folder)
        return score_cache.cache_for(folder, variant, collection, workers=1).path

    before = cache_path()
    versions = score_cache.VERSIONS | {library: "0.0.1"}
    monkeypatch.setattr(score_cache, "VERSIONS", versions)
    assert cache_path() != before
