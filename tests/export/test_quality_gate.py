"""The gate on a real collection: what passes, what is refused, what is tried next."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from rich.console import Console

from ranklet.cli import main
from ranklet.export import verification
from ranklet.export.errors import ParityError
from ranklet.export.pipeline import export_bundle
from ranklet.export.progress import Stages
from ranklet.export.request import ExportRequest
from ranklet.runtime.manifest import read_manifest
from ranklet.runtime.reranker import Reranker
from ranklet.runtime.sessions import CPU_PROVIDER, CUDA_PROVIDER

from .conftest import Run

WORDS = ("apple", "river", "moon", "bread", "engine", "forest", "piano", "glass", "storm")
DOCUMENTS = tuple(f"{one} {other} near the {one}" for one in WORDS for other in WORDS)
QUERIES = tuple(f"the {word} in winter" for word in WORDS)
CUTOFF = 10


@pytest.fixture(scope="module")
def collection(
    tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory, run_export: Run
) -> Path:
    """A collection on which fp32 is perfect, so that whatever orders its top otherwise loses."""
    folder = tmp_path_factory.mktemp("collections") / "small"
    folder.mkdir()
    bundle = folder.parent / "bundle"
    words = ("--output", bundle, "--variants", "fp32", "--verify-pairs", "32")
    assert run_export(tiny_checkpoint, *words).returncode == 0
    rows = ["query-id\tcorpus-id\tscore"]
    with Reranker.open(bundle) as reranker:
        for number, query in enumerate(QUERIES):
            places = np.argsort(-reranker.score(query, DOCUMENTS, raw_scores=True))
            grades = [max(0, CUTOFF - rank) for rank in range(len(places))]
            rows += [
                f"q{number}\td{place}\t{grade}" for place, grade in zip(places, grades, strict=True)
            ]
    (folder / "qrels.tsv").write_text("\n".join(rows) + "\n")
    for name, letter, texts in (("corpus", "d", DOCUMENTS), ("queries", "q", QUERIES)):
        lines = [json.dumps({"_id": f"{letter}{i}", "text": text}) for i, text in enumerate(texts)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def test_quality_goes_into_the_manifest(
    tiny_checkpoint: Path,
    collection: Path,
    tmp_path: Path,
    run_export: Run,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "bundle"
    words = ("--verify-data", collection, "--max-quality-loss", "0.9", "--verify-pairs", "32")
    result = run_export(tiny_checkpoint, "--output", output, *words)
    assert result.returncode == 0, result.stderr
    variants = read_manifest(output).variants
    (reference,) = variants["fp32"].quality
    assert (reference.collection, reference.queries, reference.value) == ("small", 9, 1.0)
    for name in ("int8", "int8-avx2"):
        (quality,) = variants[name].quality
        assert quality.kept == pytest.approx(quality.value)
        assert f"{quality.kept:.2%}" in result.stdout
        capsys.readouterr()
        assert main(["inspect", str(output)]) == 0
        value = f"small, 9 queries: nDCG@10 {quality.value:.4f}, {quality.kept:.2%} of fp32 ("
        assert value in capsys.readouterr().out


def test_a_variant_that_loses_too_much_is_refused(
    tiny_checkpoint: Path, collection: Path, tmp_path: Path, run_export: Run
) -> None:
    output = tmp_path / "bundle"
    words = ("--variants", "fp32,int8", "--verify-pairs", "32", "--verify-data", collection)
    result = run_export(tiny_checkpoint, "--output", output, *words, "--max-quality-loss", "0")
    assert result.returncode == 2, result.stdout
    assert "of fp32's nDCG@10" in result.stderr
    assert "try --recipe mixed" in result.stderr
    assert not output.exists()
    kept = run_export(
        tiny_checkpoint, "--output", output, *words, "--max-quality-loss", "0", "--allow-degraded"
    )
    assert kept.returncode == 0, kept.stderr


def test_a_collection_that_tells_nothing_is_refused(
    tiny_checkpoint: Path, collection: Path, tmp_path: Path, run_export: Run
) -> None:
    """Its run has nothing relevant, so that fp32 has nothing to lose."""
    folder = shutil.copytree(collection, tmp_path / "useless")
    rows = (line.split("\t") for line in (folder / "qrels.tsv").read_text().splitlines()[1:])
    lines = [f"{query} Q0 {name} 1 1 x\n" for query, name, grade in rows if grade == "0"]
    (folder / "bm25_top100.trec").write_text("".join(lines))
    words = ("--output", tmp_path / "bundle", "--variants", "fp32,int8", "--verify-pairs", "32")
    result = run_export(tiny_checkpoint, *words, "--verify-data", folder)
    assert result.returncode == 2, result.stdout
    assert "fp32's nDCG@10 is 0" in result.stderr


def test_auto_goes_on_until_a_recipe_passes(
    tiny_checkpoint: Path, collection: Path, tmp_path: Path, run_export: Run
) -> None:
    """The fastest recipe does not agree with torch, the next one loses quality."""
    output = tmp_path / "bundle"
    words = ("--variants", "fp32,int8", "--verify-pairs", "32", "--verify-data", collection)
    result = run_export(
        tiny_checkpoint, "--output", output, *words, "--recipe", "auto", "--max-quality-loss", "0"
    )
    for recipe in ("tensor", "token", "mixed"):
        assert f"Build int8 ({recipe})" in result.stderr
    if result.returncode:
        assert "no safer recipe is left" in result.stderr
    else:
        assert read_manifest(output).variants["int8"].recipe_name == "mixed"


def test_what_is_built_again_must_agree_with_the_original(
    tiny_checkpoint: Path, collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the first evaluation on, no agreement is good enough."""
    request = ExportRequest(
        str(tiny_checkpoint),
        tmp_path / "bundle",
        variants=("fp32", "int8"),
        verify_pairs=32,
        recipe="auto",
        verify_data=(collection,),
        max_quality_loss=0,
    )
    with pytest.raises(ParityError, match="variant int8 differs too much"):
        export_bundle(
            request,
            Stages(Console(quiet=True)),
            on_report=lambda _variants, _verification: None,
            on_quality=lambda _: monkeypatch.setattr(verification, "MIN_KENDALL_TAU", 1.5),
        )
    assert not (tmp_path / "bundle").exists()


@pytest.mark.filterwarnings("ignore:Specified provider 'CUDAExecutionProvider' is not in available")
def test_a_variant_for_a_gpu_that_is_not_there_is_left_out(
    tiny_checkpoint: Path, collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with onnxruntime-gpu, which has the provider whether there is a GPU or not."""
    providers = [CUDA_PROVIDER, CPU_PROVIDER]
    monkeypatch.setattr(ort, "get_available_providers", lambda: providers)
    request = ExportRequest(
        str(tiny_checkpoint),
        tmp_path / "bundle",
        variants=("fp32", "fp16"),
        verify_pairs=32,
        verify_data=(collection,),
    )
    export_bundle(
        request,
        Stages(Console(quiet=True)),
        on_report=lambda _variants, _verification: None,
        on_quality=lambda _: None,
    )
    variants = read_manifest(tmp_path / "bundle").variants
    assert variants["fp32"].quality
    assert not variants["fp16"].quality


def test_the_reference_must_be_among_the_variants(
    tiny_checkpoint: Path, collection: Path, tmp_path: Path, run_export: Run
) -> None:
    words = ("--variants", "int8", "--verify-data", collection)
    result = run_export(tiny_checkpoint, "--output", tmp_path / "bundle", *words)
    assert result.returncode == 2
    assert "add it to --variants" in result.stderr


def test_a_broken_collection_is_refused_at_once(
    tiny_checkpoint: Path, tmp_path: Path, run_export: Run
) -> None:
    words = ("--output", tmp_path / "bundle", "--verify-data", tmp_path / "nothing")
    result = run_export(tiny_checkpoint, *words)
    assert result.returncode == 2
    assert "nothing" in result.stderr
    assert "Import the tools" not in result.stdout + result.stderr


@pytest.mark.parametrize("share", ["-0.1", "1", "much"])
def test_a_loss_is_a_share(share: str, run_export: Run) -> None:
    result = run_export("models/ranklet-mini", "--max-quality-loss", share)
    assert result.returncode == 2
    assert "--max-quality-loss" in result.stderr
