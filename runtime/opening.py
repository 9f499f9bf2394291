"""Opening a bundle: which variant runs here, its graph and its tokenizer."""

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .bundle import Choice, check_file, choose_variant
from .cuda_scoring import CudaScorer
from .errors import ProviderError
from .manifest import Manifest
from .processor import Processor, detect_processor
from .prompt import open_encoder
from .scoring import CpuScorer, Scorer
from .sessions import EXACT_PRODUCTS, cpu_session, cuda_is_available, cuda_session


def open_scorer(folder: Path, manifest: Manifest, *, variant: str | None) -> tuple[Choice, Scorer]:
    """Open the variant that fits best; without a usable GPU, the best for the processor.

    Args:
        folder: The bundle's folder.
        manifest: Its manifest.
        variant: Overrides the choice.

    Raises:
        BundleError: a file is missing or damaged, or there is no such variant.
    """
    processor = detect_processor()
    choice = choose_variant(manifest, processor, cuda=cuda_is_available(), name=variant)
    try:
        return choice, _open_variant(folder, manifest, choice, processor)
    except ProviderError as error:
        if variant is not None:
            raise
        logging.getLogger(__name__).warning("%s; scoring on the CPU instead", error)
    choice = choose_variant(manifest, processor)
    return choice, _open_variant(folder, manifest, choice, processor)


def _open_variant(folder: Path, manifest: Manifest, choice: Choice, processor: Processor) -> Scorer:
    """Open tokenizer and graph at the same time: each takes about half of the start."""
    with ThreadPoolExecutor(1) as pool:
        tokenizer = pool.submit(
            lambda: open_encoder(
                check_file(folder, manifest.tokenizer),
                window_tokens=manifest.window_tokens,
                prompt=manifest.prompt,
            )
        )
        graph, *_ = [check_file(folder, file) for file in choice.variant.files]
        if choice.variant.processors == "cuda":
            scorer = CudaScorer(cuda_session(graph), tokenizer.result(), manifest.graph_inputs)
            scorer.warm_up(manifest.window_tokens)
            return scorer
        # A variant for other processors gives the same scores here, if more slowly.
        options = {} if processor.has_dot_product else EXACT_PRODUCTS
        session = cpu_session(
            graph, options=options if choice.variant.processors == "int8-dot" else {}
        )
        return CpuScorer(session, tokenizer.result(), manifest.graph_inputs)
