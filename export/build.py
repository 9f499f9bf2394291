"""The stages that convert: graph, pruning, variants, verification."""

import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime as ort

from ranklet import __version__
from ranklet.runtime.batching import pad_pairs
from ranklet.runtime.manifest import Manifest, Precision, Variant, VariantReport, Verification
from ranklet.runtime.processor import detect_processor
from ranklet.runtime.sessions import EXACT_PRODUCTS

from .checksum import describe_file
from .errors import ExportError, ParityError
from .graph_file import load_graph, save_graph
from .job import Job
from .onnx_original import import_graph, renew_operators
from .pruning import prune_to_first_token
from .quantization import VARIANTS, VariantSpec, build_variant
from .recipes import RECIPES, Recipe
from .reference import Original
from .request import AUTO_RECIPE, RECIPE_NAMES, REFERENCE, SOURCE_VARIANT
from .verification import (
    MAX_DIFFERENCE_FP16,
    MAX_DIFFERENCE_FP32,
    MIN_KENDALL_TAU,
    verify_graph,
)
from .verification_text import load_pairs

_VERIFICATION_SECONDS = 300.0
"""For the original and all variants together."""

_BATCH_PAIRS = 8
_BATCH_TOKENS = 512
"""How large a batch is verified, and how long its longest pair may be."""

_TOOLS = ("onnx", "tokenizers")
_TORCH_TOOLS = ("optimum", "optimum-onnx", "torch", "transformers")


def build_bundle(job: Job) -> Manifest:
    """Write all files of the bundle but its manifest into the job's work folder.

    Raises:
        UnsupportedCheckpointError: the checkpoint cannot be loaded or converted.
        ParityError: a variant does not rank as the original does.
    """
    texts = load_pairs(job.request.verify_pairs)
    seconds = _VERIFICATION_SECONDS / (1 + len(job.variants))
    original = _make_original(job, texts, seconds)
    kept = {SOURCE_VARIANT: _keep_source(job, original)} if SOURCE_VARIANT in job.variants else {}
    derived = [name for name in job.variants if name not in kept]
    pruned = bool(derived) and _prune(job)
    variants = kept | {name: _first_sound(job, name, original) for name in derived}
    verification = Verification(
        pairs=len(original.pairs),
        logit_std=float(original.logits.std()),
        max_difference_fp32=MAX_DIFFERENCE_FP32,
        min_kendall_tau=MIN_KENDALL_TAU,
    )
    job.on_report(variants, verification)
    _require_parity(job, original, variants)
    manifest = Manifest(
        name=job.name,
        source=job.checkpoint.source,
        architecture=job.checkpoint.architecture,
        window_tokens=job.checkpoint.window_tokens,
        graph_inputs=original.graph_inputs,
        tokenizer=describe_file(job.work.tokenizer),
        variants=variants,
        output_activation=job.checkpoint.activation,
        logit=job.checkpoint.head.description,
        prompt=job.checkpoint.prompt,
        first_token_pruned=pruned,
        tool_versions=_tool_versions(job),
        verification=verification,
    )
    if not job.request.verify_data:
        return manifest
    from .quality_gate import QualityGate  # noqa: PLC0415 - needs what `ranklet eval` needs

    return QualityGate(job).require_quality(manifest, partial(_rebuild, job, original))


def _make_original(job: Job, texts: Sequence[tuple[str, str]], seconds: float) -> Original:
    """Write the graph, made by torch or by somebody else, and score with the original."""
    graph = job.checkpoint.graph
    if graph is not None:
        return import_graph(job.checkpoint, graph, texts, job.work, job.stages, seconds=seconds)
    from .original import convert  # noqa: PLC0415 - needs torch

    return convert(job.checkpoint, texts, job.work, job.stages, seconds=seconds)


def _keep_source(job: Job, original: Original) -> Variant:
    """Take a ready graph as it is."""
    graph = job.checkpoint.graph
    if graph is None:
        message = "there is no ready graph to keep"
        raise ExportError(message)
    spec = VariantSpec(SOURCE_VARIANT, graph.precision, graph.processors, "as found")
    target = job.work.bundle / f"{spec.name}.onnx"
    with job.stages.stage(f"Keep {graph.path.name} as {spec.name}"):
        paths = save_graph(load_graph(job.work.exported_graph), target, mapped_weights=True)
    files = tuple(describe_file(path) for path in paths)
    report = _verify(job, spec, target, original)
    return Variant(spec.precision, spec.processors, files, spec.method, report)


def _prune(job: Job) -> bool:
    """Write the plain graph; gives whether it could be pruned."""
    exported = job.work.exported_graph
    with job.stages.stage("Prune it to the first token"):
        model = load_graph(exported)
        shutil.rmtree(exported.parent)
        renew_operators(job.checkpoint.source.checkpoint, model)
        pruned = prune_to_first_token(model)
        save_graph(model, job.work.plain_graph)
    return pruned


def _first_sound(job: Job, name: str, original: Original) -> Variant:
    """Build a variant with the first of the recipes in question that agrees with the original.

    Where none does, the last one is given: it is reported before it is refused.
    """
    *faster, last = RECIPE_NAMES if job.request.recipe == AUTO_RECIPE else (job.request.recipe,)
    for recipe in faster:  # what is not quantized agrees at once, or is wrong whatever the recipe
        variant = _build_variant(job, name, RECIPES[recipe], original)
        if variant.report and variant.report.passed:
            return variant
    return _build_variant(job, name, RECIPES[last], original)


def _build_variant(job: Job, name: str, recipe: Recipe, original: Original) -> Variant:
    spec = VARIANTS[name]
    is_quantized = spec.precision == "int8"
    target = job.work.bundle / f"{name}.onnx"
    with job.stages.stage(f"Build {name}" + (f" ({recipe.name})" if is_quantized else "")):
        paths = build_variant(
            spec,
            recipe,
            window_tokens=job.checkpoint.window_tokens,
            source=job.work.plain_graph,
            target=target,
        )
    report = _verify(job, spec, target, original)
    if not report.passed and spec.precision != "fp32" and job.request.allow_degraded:
        report = msgspec.structs.replace(report, degraded_allowed=True)
    return Variant(
        spec.precision,
        spec.processors,
        tuple(describe_file(path) for path in paths),
        f"{spec.method}; {recipe.description}" if is_quantized else spec.method,
        report,
        recipe.name if is_quantized else "",
    )


def _rebuild(job: Job, original: Original, name: str, recipe: str) -> Variant:
    """Build a variant of another recipe, which has to agree with the original as the first did."""
    variant = _build_variant(job, name, RECIPES[recipe], original)
    _require_agreement(name, variant.precision, variant.report)
    return variant


def _verify(job: Job, spec: VariantSpec, graph: Path, original: Original) -> VariantReport:
    feeds = [pair.feed(original.graph_inputs) for pair in original.pairs]
    logits = original.logits
    if spec.precision == "fp16":  # the one that will run padded batches, where more can go wrong
        batch = _batch_places(original)
        feeds.append(pad_pairs([original.pairs[place] for place in batch], original.graph_inputs))
        logits = np.concatenate([logits, logits[batch]])
    with job.stages.stage(f"Verify {spec.name}", total=len(feeds)) as advance:
        return verify_graph(
            graph,
            feeds,
            logits,
            precision=spec.precision,
            session_options=_session_options(spec),
            on_run=advance,
        )


def _batch_places(original: Original) -> list[int]:
    """Give the places of some pairs of different lengths, in a batch that any machine can hold."""
    tokens = [len(pair.ids) for pair in original.pairs]
    short = [place for place in range(len(tokens)) if tokens[place] <= _BATCH_TOKENS]
    short.sort(key=tokens.__getitem__)
    return short[:: -(-len(short) // _BATCH_PAIRS)]


def _session_options(spec: VariantSpec) -> dict[str, str]:
    """Give what sums products exactly: always for AVX2's, for 8-bit weights where it is needed."""
    needs_it = spec.processors == "int8-dot" and not detect_processor().has_dot_product
    return EXACT_PRODUCTS if needs_it or spec.processors == "avx2" else {}


def _require_parity(job: Job, original: Original, variants: Mapping[str, Variant]) -> None:
    """Raise ``ParityError`` for a variant that failed and is not allowed to.

    The graph that all variants are made of must be right even where it is not among them.
    """
    reports = {name: variant.report for name, variant in variants.items()}
    if REFERENCE not in reports and reports.keys() != {SOURCE_VARIANT}:
        spec = VARIANTS[REFERENCE]
        reports[REFERENCE] = _verify(job, spec, job.work.plain_graph, original)
    for name, report in reports.items():
        precision = variants[name].precision if name in variants else "fp32"
        _require_agreement(name, precision, report)


def _require_agreement(name: str, precision: Precision, report: VariantReport | None) -> None:
    if report is not None and not (report.passed or report.degraded_allowed):
        raise _parity_error(name, precision, report)


def _parity_error(name: str, precision: Precision, report: VariantReport) -> ParityError:
    found, measure = report.max_difference, "the largest difference in standard deviations"
    if precision == "fp32":
        return ParityError(name, measure=measure, found=found, limit=MAX_DIFFERENCE_FP32)
    limit = MAX_DIFFERENCE_FP16
    if precision == "int8":
        found, measure, limit = report.kendall_tau, "Kendall's tau", MIN_KENDALL_TAU
    hint = " (--allow-degraded keeps it)"
    return ParityError(name, measure=measure, found=found, limit=limit, hint=hint)


def _tool_versions(job: Job) -> dict[str, str]:
    tools = (*_TOOLS, *_TORCH_TOOLS) if job.checkpoint.graph is None else _TOOLS
    # Asked of itself: what is installed may be called onnxruntime-gpu.
    known = {"ranklet": __version__, "onnxruntime": ort.__version__}
    return known | {tool: version(tool) for tool in tools}
