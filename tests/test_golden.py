"""The shipped model gives the scores that it gives in torch, whatever versions are installed."""

from pathlib import Path

import msgspec
import numpy as np

from ranklet.runtime.arrays import Float32Array
from ranklet.runtime.reranker import Reranker

FP32_TOLERANCE = 1e-3
"""Of the logits' standard deviation. Processors and versions sum in different orders: on the
machine where a bundle is built the export allows a tenth of it."""

INT8_TOLERANCE = 0.5
"""Of the logits' standard deviation, for the worst pair."""

INT8_MEAN_TOLERANCE = 0.1
"""Of the logits' standard deviation, for the mean over all pairs."""


class Case(msgspec.Struct):
    """A query with its documents and the logits that torch gives them."""

    query: str
    documents: list[str]
    logits: list[float]


def load_cases() -> list[Case]:
    """Read what golden/generate.py wrote."""
    content = (Path(__file__).parent / "golden/scores.json").read_bytes()
    return msgspec.json.decode(content, type=list[Case])


CASES = load_cases()


def differences(bundle: Path, variant: str | None) -> Float32Array:
    """Give the absolute differences to torch, in standard deviations of the golden logits."""
    with Reranker.open(bundle, variant=variant) as reranker:
        found = [reranker.score(case.query, case.documents, raw_scores=True) for case in CASES]
    golden = np.concatenate([case.logits for case in CASES]).astype(np.float32)
    result: Float32Array = np.abs(np.concatenate(found) - golden) / golden.std()
    return result


def test_fp32(bundle: Path) -> None:
    assert differences(bundle, "fp32").max() < FP32_TOLERANCE


def test_the_variant_for_this_processor(bundle: Path) -> None:
    found = differences(bundle, None)
    assert found.max() < INT8_TOLERANCE
    assert found.mean() < INT8_MEAN_TOLERANCE


def test_the_documented_example_ranks_as_documented(bundle: Path) -> None:
    case = CASES[0]
    for variant in (None, "fp32"):
        with Reranker.open(bundle, variant=variant) as reranker:
            best = [ranked.index for ranked in reranker.rerank(case.query, case.documents, top_n=3)]
        assert best[0] == 3
        assert sorted(best) == [2, 3, 6]
