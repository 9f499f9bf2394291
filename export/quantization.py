"""The variants of a bundle and how each is made from the plain fp32 graph."""

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers import optimizer

from ranklet.runtime.manifest import Precision, ProcessorFamily

EXTERNAL_DATA_SUFFIX = ".data"
"""Added to a graph's file name for the file that holds its weights."""


@dataclass(frozen=True, slots=True)
class VariantSpec:
    """What a variant is."""

    name: str
    precision: Precision
    processors: ProcessorFamily
    recipe: str
    """How it is made, in words for the manifest."""
    session_options: dict[str, str] = field(default_factory=dict[str, str])
    """onnxruntime session options that verification needs: ``int8-avx2`` is computed exactly with
    them on every x86 processor, also on one that has no use for the variant."""


VARIANTS: dict[str, VariantSpec] = {
    spec.name: spec
    for spec in (
        VariantSpec("fp32", "fp32", "any", "as exported"),
        VariantSpec(
            "int8",
            "int8",
            "int8-dot",
            "weights 8 bits signed per channel, activations 8 bits dynamic",
        ),
        VariantSpec(
            "int8-avx2",
            "int8",
            "avx2",
            "weights 7 bits signed per channel, activations 8 bits dynamic",
            {"session.x64quantprecision": "1"},
        ),
        VariantSpec("fp16", "fp16", "cuda", "fused, weights and activations 16 bits"),
    )
}
"""Every variant that can be built, by name, the reference first."""


def build_variant(spec: VariantSpec, *, source: Path, target: Path) -> tuple[Path, ...]:
    """Make a variant's files.

    Args:
        spec: One of ``VARIANTS``.
        source: The plain fp32 graph; external data beside it.
        target: The ``.onnx`` file to write; external data goes beside it.

    Returns:
        The files written: the graph, then its external data if it has any.
    """
    _BUILDERS[spec.name](source, target)
    data = target.with_name(target.name + EXTERNAL_DATA_SUFFIX)
    return (target, data) if data.exists() else (target,)


def _build_fp32(source: Path, target: Path) -> None:
    _save(onnx.load(source), target, external=True)


def _build_int8(source: Path, target: Path) -> None:
    _quantize(source, target, seven_bits=False)


def _build_int8_avx2(source: Path, target: Path) -> None:
    _quantize(source, target, seven_bits=True)


def _quantize(source: Path, target: Path, *, seven_bits: bool) -> None:
    with _silenced_root_logger():
        quantize_dynamic(
            source,
            target,
            per_channel=True,
            reduce_range=seven_bits,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
        )


def _build_fp16(source: Path, target: Path) -> None:
    fused = optimizer.optimize_model(str(source), model_type="bert", opt_level=0, use_gpu=True)
    fused.convert_float_to_float16(keep_io_types=True)
    _save(fused.model, target, external=False)


def _save(model: onnx.ModelProto, target: Path, *, external: bool) -> None:
    """Write a graph, its weights apart if asked to or if one file cannot hold them."""
    if not external and model.ByteSize() < onnx.checker.MAXIMUM_PROTOBUF:
        onnx.save_model(model, target)
        return
    location = target.name + EXTERNAL_DATA_SUFFIX
    onnx.save_model(model, target, save_as_external_data=True, location=location)


@contextmanager
def _silenced_root_logger() -> Generator[None]:
    """Drop what onnxruntime logs through the root logger: advice to run its own preprocessing."""
    root = logging.getLogger()
    root.addFilter(_nothing)
    try:
        yield
    finally:
        root.removeFilter(_nothing)


def _nothing(_record: logging.LogRecord) -> bool:
    return False


_BUILDERS: dict[str, Callable[[Path, Path], None]] = {
    "fp32": _build_fp32,
    "int8": _build_int8,
    "int8-avx2": _build_int8_avx2,
    "fp16": _build_fp16,
}
