"""Whether a bundle works on this machine: its files, its variants, one pair scored."""

import time
from pathlib import Path

import msgspec

from .bundle import check_all_files, choose_variant
from .errors import BundleError, RankletError
from .manifest import ProcessorFamily, read_manifest
from .processor import Processor, detect_processor
from .reranker import Reranker
from .sessions import cuda_is_available

QUERY = "Organic skincare products for sensitive skin"
DOCUMENT = "Natural organic skincare range for sensitive skin"


class VariantCheck(msgspec.Struct, frozen=True):
    """Whether a variant fits this machine."""

    name: str
    size_bytes: int
    runs_here: bool
    reason: str
    """Why it does not run here, or why it was chosen; empty where neither."""


class BundleCheck(msgspec.Struct, frozen=True):
    """What became of a bundle that was tried."""

    folder: str
    name: str | None = None
    """None where its manifest cannot be read."""
    variants: tuple[VariantCheck, ...] = ()
    chosen: str | None = None
    """The variant that runs; None where none does."""
    score: float | None = None
    """Of the one pair; None where it could not be scored."""
    milliseconds: float | None = None
    """For that pair, warm, on one core."""
    problem: str | None = None
    """What is wrong and what to do about it."""


def check_bundle(folder: Path, *, variant: str | None = None) -> BundleCheck:
    """Try a bundle; whatever goes wrong is told in the answer and not raised.

    Args:
        folder: The bundle.
        variant: Which variant to run; the one that fits this machine best where None.
    """
    check = BundleCheck(str(folder))
    try:
        manifest = read_manifest(folder)
        check = msgspec.structs.replace(check, name=manifest.name)
        processor, cuda = detect_processor(), cuda_is_available()
        choice = choose_variant(manifest, processor, cuda=cuda, name=variant)
        variants = tuple(
            VariantCheck(
                name,
                candidate.size_bytes,
                runs_here=not (why_not := obstacle(candidate.processors, processor, cuda=cuda)),
                reason=why_not or (choice.reason if name == choice.name else ""),
            )
            for name, candidate in manifest.variants.items()
        )
        check = msgspec.structs.replace(check, variants=variants, chosen=choice.name)
        check_all_files(folder, manifest)
        score, milliseconds = _score_a_pair(folder, variant)
    except BundleError as error:
        return msgspec.structs.replace(check, problem=str(error))
    except (RankletError, OSError) as error:
        return msgspec.structs.replace(check, problem=f"{folder} cannot be used: {error}")
    return msgspec.structs.replace(check, score=score, milliseconds=milliseconds)


def obstacle(family: ProcessorFamily, processor: Processor, *, cuda: bool) -> str:
    """Say what keeps the files of a family from running well here; empty where nothing does."""
    if family == "int8-dot" and not processor.has_dot_product:
        what = f"{processor.description} has no dot products of 8-bit integers"
        return f"{what}; --variant computes them exactly, but slower"
    if family == "avx2" and not processor.has_avx2:
        return f"made for AVX2, this is {processor.description}"
    if family == "cuda" and not cuda:
        return "needs onnxruntime-gpu and an NVIDIA GPU"
    return ""


def _score_a_pair(folder: Path, variant: str | None) -> tuple[float, float]:
    with Reranker.open(folder, variant=variant, workers=1) as reranker:
        reranker.score(QUERY, [DOCUMENT])
        start = time.perf_counter()
        [score] = reranker.score(QUERY, [DOCUMENT])
        return float(score), 1000 * (time.perf_counter() - start)
