"""Training computes in bf16 only where the processor can."""

import pytest
import torch
from training.precision import computes_bf16, reduced_precision

from ranklet.runtime.processor import Processor

pytestmark = pytest.mark.torch


@pytest.mark.parametrize(
    ("flags", "expected"),
    [({"avx2", "fma"}, False), ({"avx2", "avx512_bf16"}, True), ({"asimddp", "bf16"}, True)],
)
def test_bf16_needs_instructions(
    monkeypatch: pytest.MonkeyPatch, flags: set[str], *, expected: bool
) -> None:
    processor = Processor("any", frozenset(flags))
    monkeypatch.setattr("training.precision.detect_processor", lambda: processor)
    assert computes_bf16("cpu") is expected
    with reduced_precision("cpu"):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.bfloat16 if expected else torch.float32)


def test_a_gpu_computes_bf16() -> None:
    assert computes_bf16("cuda")
