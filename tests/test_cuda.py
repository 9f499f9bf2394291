"""Scoring on an NVIDIA GPU; skipped where none can be used."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from ranklet.runtime.errors import ProviderError
from ranklet.runtime.reranker import Reranker
from ranklet.runtime.sessions import cuda_session

from .conftest import CHECKPOINT, RANKLET, ROOT

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def exported(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        cuda_session(tiny_bundle / "fp32.onnx")
    except ProviderError as error:
        pytest.skip(str(error))
    output = tmp_path_factory.mktemp("cuda") / "ranklet-mini"
    command = [
        *RANKLET,
        "export",
        str(CHECKPOINT),
        "--variants",
        "fp32,fp16",
        "--output",
        str(output),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return output


@pytest.fixture(scope="module")
def on_gpu(exported: Path) -> Iterator[Reranker]:
    with Reranker.open(exported) as reranker:
        yield reranker


def test_the_16_bit_variant_is_chosen(on_gpu: Reranker) -> None:
    assert on_gpu.variant == "fp16"


def test_scores_are_those_of_the_cpu(on_gpu: Reranker, exported: Path) -> None:
    lines = (ROOT / "export/verification_pairs.jsonl").read_bytes().splitlines()
    texts = [msgspec.json.decode(line) for line in lines]
    with Reranker.open(exported, variant="fp32") as on_cpu:
        expected, found = (
            np.concatenate([reranker.score(**text, raw_scores=True) for text in texts])
            for reranker in (on_cpu, on_gpu)
        )
    assert np.abs(found - expected).max() < 0.02 * expected.std()


def test_company_changes_a_score_by_rounding_alone(on_gpu: Reranker) -> None:
    documents = [f"the moon is {number} days old " * (number % 40 + 1) for number in range(600)]
    together = on_gpu.score("how old is the moon", documents, raw_scores=True)
    alone = [
        on_gpu.score("how old is the moon", [document], raw_scores=True)[0]
        for document in documents[:60]
    ]
    np.testing.assert_allclose(together[:60], alone, atol=0.02)
