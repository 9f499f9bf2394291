"""The tiny bundle is what its generator writes, and it behaves as a cross-encoder does."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from ranklet.runtime.reranker import Reranker

pytest.importorskip("onnx", reason="the generator needs onnx")

QUERY = "organic skincare for sensitive skin"
DOCUMENTS = ["yoga mats", "skincare for dry skin", "organic skincare for sensitive skin", "soap"]


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "generate", Path(__file__).parent / "tiny/generate.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_generator_writes_what_is_checked_in(
    generator: ModuleType, tiny_bundle: Path, tmp_path: Path
) -> None:
    generator.write_bundle(tmp_path)
    for path in tiny_bundle.iterdir():
        if path.suffix == ".json":
            continue  # tokenizers formats its files as it likes, and the manifest has their sums
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize("variant", ["fp32", "int8", "int8-avx2"])
def test_more_words_of_the_query_rank_higher(tiny_bundle: Path, variant: str) -> None:
    with Reranker.open(tiny_bundle, variant=variant) as reranker:
        ranking = reranker.rerank(QUERY, DOCUMENTS)
    assert [ranked.index for ranked in ranking[:2]] == [2, 1]


def test_quantized_scores_differ_a_little(tiny_bundle: Path) -> None:
    with (
        Reranker.open(tiny_bundle, variant="fp32") as exact,
        Reranker.open(tiny_bundle, variant="int8") as quantized,
    ):
        differences = np.abs(exact.score(QUERY, DOCUMENTS) - quantized.score(QUERY, DOCUMENTS))
    assert 0 < differences.max() < 0.01
