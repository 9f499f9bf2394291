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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_bf16_needs_a_gpu_of_ampere_or_newer() -> None:
    assert computes_bf16("cuda") is (torch.cuda.get_device_capability() >= (8, 0))
