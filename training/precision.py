"""bf16 where the processor computes in it, fp32 elsewhere.

Without such instructions torch emulates bf16, which takes far longer than fp32.
"""

import torch

from ranklet.runtime.processor import detect_processor

_BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""As Linux names the instructions, on x86 and ARM."""


def computes_bf16(device: str) -> bool:
    """Whether the device, by torch's name of it, has instructions for bf16."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return not detect_processor().flags.isdisjoint(_BF16_FLAGS)


def reduced_precision(device: str) -> torch.autocast:
    """Let torch compute in bf16 where that is quicker."""
    return torch.autocast(device, torch.bfloat16, enabled=computes_bf16(device))
