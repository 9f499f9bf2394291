"""Who takes part, at which settings.

Every peer scores one query's documents in one call, as its documentation shows, and one call at a
time. Where a peer does not sort documents by length, its sweep does so for it, as a caller can.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Options = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Setting:
    """How a peer is asked to score."""

    name: str
    model: Options = field(default_factory=dict[str, object])
    """Options to open the model with."""
    call: Options = field(default_factory=dict[str, object])
    """Options of each call."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A way to score that is compared with ours."""

    name: str
    engine: str
    """What computes: onnxruntime, torch or OpenVINO."""
    adapter: str
    environment: str | None
    """Where it is installed; None is the Python that runs the comparison."""
    packages: tuple[str, ...]
    """Whose versions are told."""
    default: Setting
    sweep: tuple[Setting, ...] = ()
    extra: tuple[Setting, ...] = ()
    """Measured beside the default and the best setting."""


def make_ours(bundle: Path, variants: Sequence[str], workers: int) -> list[Peer]:
    """Give ranklet's variants; they have nothing to tune."""
    return [
        Peer(
            name=f"ranklet {variant}",
            engine="onnxruntime",
            adapter="ranklet",
            environment=None,
            packages=("onnxruntime", "tokenizers"),
            default=Setting(
                f"{workers} workers",
                {"bundle": str(bundle.resolve()), "variant": variant, "workers": workers},
            ),
        )
        for variant in variants
    ]


def _batches(
    label: str, model: Options, sizes: Sequence[int], **call: object
) -> tuple[Setting, ...]:
    return tuple(
        Setting(f"{label}, batches of {size}", model, {"batch": size, **call}) for size in sizes
    )


def _fastembed() -> Peer:
    def model(files: str, **more: object) -> Options:
        return {"files": files, "window": 512, **more}

    return Peer(
        name="fastembed",
        engine="onnxruntime",
        adapter="fastembed",
        environment="fastembed",
        packages=("fastembed", "onnxruntime", "tokenizers"),
        default=Setting("defaults", {"files": "fp32"}),
        extra=(Setting("defaults, window of 512", model("fp32")),),
        sweep=(
            *_batches("fp32, sorted", model("fp32"), (1, 8, 32), by_length=True),
            *_batches("int8, sorted", model("int8"), (1, 8, 32), by_length=True),
            *_batches("int8, sorted, 1 thread", model("int8", threads=1), (1,), by_length=True),
        ),
    )


def _flashrank() -> Peer:
    return Peer(
        name="FlashRank",
        engine="onnxruntime",
        adapter="flashrank",
        environment="flashrank",
        packages=("flashrank", "onnxruntime", "tokenizers"),
        default=Setting("defaults", {"files": "fp32"}),
        sweep=(
            Setting("int8, one pass", {"files": "int8"}),
            *_batches("fp32, sorted", {"files": "fp32"}, (1, 8, 32)),
            *_batches("int8, sorted", {"files": "int8"}, (1, 8, 32)),
        ),
    )


def _sentence_transformers() -> list[Peer]:
    torch: Options = {"files": "torch", "dtype": "float32"}
    bfloat16: Options = {"files": "torch", "dtype": "bfloat16"}
    onnx: Options = {"files": "onnx", "backend": "onnx"}
    openvino: Options = {"files": "openvino", "backend": "openvino"}
    qint8: Options = {**onnx, "graph": "onnx/model_qint8_avx512_vnni.onnx"}
    optimized: Options = {**onnx, "graph": "onnx/model_O3.onnx"}
    plain_onnx: Options = {**onnx, "graph": "onnx/model.onnx"}
    plain_openvino: Options = {**openvino, "graph": "openvino/openvino_model.xml"}
    quantized: Options = {**openvino, "graph": "openvino/openvino_model_qint8_quantized.xml"}
    return [
        Peer(
            name="sentence-transformers torch",
            engine="torch",
            adapter="sentence_transformers",
            environment="sentence-transformers",
            packages=("sentence-transformers", "transformers", "torch"),
            default=Setting("defaults", {"files": "torch"}),
            sweep=(
                *_batches("fp32", torch, (1, 8, 32)),
                *_batches("bf16", bfloat16, (8, 32)),
                *_batches("fp32, 1 thread", {**torch, "threads": 1}, (8,)),
            ),
        ),
        Peer(
            name="sentence-transformers ONNX",
            engine="onnxruntime",
            adapter="sentence_transformers",
            environment="sentence-transformers-onnx",
            packages=("sentence-transformers", "optimum-onnx", "onnxruntime", "transformers"),
            default=Setting("defaults", plain_onnx),
            sweep=(
                *_batches("fp32", plain_onnx, (8,)),
                *_batches("O3", optimized, (8, 32)),
                *_batches("qint8", qint8, (1, 8, 32)),
            ),
        ),
        Peer(
            name="sentence-transformers OpenVINO",
            engine="OpenVINO",
            adapter="sentence_transformers",
            environment="sentence-transformers",
            packages=("sentence-transformers", "optimum-intel", "openvino", "transformers"),
            default=Setting("defaults", plain_openvino),
            sweep=(
                *_batches("default precision", plain_openvino, (1, 8)),
                *_batches("fp32", {**plain_openvino, "precision": "f32"}, (8, 32)),
                *_batches("qint8", quantized, (1, 8, 32)),
            ),
        ),
    ]


def _rerankers() -> Peer:
    torch: Options = {"files": "torch"}
    bfloat16: Options = {"files": "torch", "dtype": "bfloat16"}
    return Peer(
        name="rerankers",
        engine="torch",
        adapter="rerankers",
        environment="rerankers",
        packages=("rerankers", "transformers", "torch"),
        default=Setting("defaults", torch),
        sweep=(
            *_batches("fp32, sorted", torch, (1, 8, 32), by_length=True),
            *_batches("bf16, sorted", bfloat16, (8, 32), by_length=True),
        ),
    )


def _infinity() -> list[Peer]:
    torch: Options = {"files": "torch", "engine": "torch"}
    onnx: Options = {"files": "fp32", "engine": "optimum"}
    quantized: Options = {"files": "int8", "engine": "optimum"}

    def sizes(label: str, model: Options, batches: Sequence[int]) -> tuple[Setting, ...]:
        return tuple(
            Setting(f"{label}, batches of {size}", {**model, "batch": size}) for size in batches
        )

    return [
        Peer(
            name="infinity torch",
            engine="torch",
            adapter="infinity",
            environment="infinity",
            packages=("infinity-emb", "transformers", "torch"),
            default=Setting("defaults", torch),
            sweep=(
                *sizes("fp32", {**torch, "dtype": "float32"}, (8, 32)),
                *sizes("bf16", {**torch, "dtype": "bfloat16"}, (8, 32)),
                *sizes("int8", {**torch, "dtype": "int8"}, (8,)),
            ),
        ),
        Peer(
            name="infinity ONNX",
            engine="onnxruntime",
            adapter="infinity",
            environment="infinity",
            packages=("infinity-emb", "optimum", "onnxruntime", "transformers"),
            default=Setting("defaults", onnx),
            sweep=(*sizes("fp32", onnx, (8,)), *sizes("int8", quantized, (8, 32))),
        ),
    ]


def _openvino(pruned_graph: Path | None) -> Peer:
    tokenizer = "fp32/tokenizer.json"
    plain: Options = {"graph": "fp32/model.onnx", "tokenizer": tokenizer}
    int8: Options = {"graph": "nncf/model.xml", "tokenizer": tokenizer}
    graphs = {"fp32": {**plain, "precision": "f32"}, "default precision": plain, "int8": int8}
    if pruned_graph is not None:
        graphs["our pruned graph"] = {**plain, "graph": str(pruned_graph.resolve())}
    return Peer(
        name="bare OpenVINO",
        engine="OpenVINO",
        adapter="openvino",
        environment="openvino",
        packages=("openvino", "nncf", "tokenizers"),
        default=Setting("defaults", plain),
        sweep=tuple(
            setting
            for label, graph in graphs.items()
            for setting in (
                *_batches(f"{label}, sorted", graph, (8,)),
                *_batches(f"{label}, sorted, 2 streams", {**graph, "streams": 2}, (1, 8)),
            )
        ),
    )


def make_peers(pruned_graph: Path | None) -> list[Peer]:
    """Give everyone but ours.

    Args:
        pruned_graph: Our fp32 graph, which bare OpenVINO also tries; it is not a peer's graph.
    """
    return [
        _fastembed(),
        _flashrank(),
        *_sentence_transformers(),
        _rerankers(),
        *_infinity(),
        _openvino(pruned_graph),
    ]


REFERENCE = Peer(
    name="torch fp32",
    engine="torch",
    adapter="transformers",
    environment="sentence-transformers-onnx",
    packages=("transformers", "torch"),
    default=Setting("as trained", {"files": "torch", "segments": True}),
    extra=(Setting("without segment ids", {"files": "torch", "segments": False}),),
)
"""What every peer should give; it is not timed."""
