"""onnxruntime sessions, set up for one pair after another of ever changing length."""

import logging
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import onnxruntime as ort

from .errors import BundleError, ProviderError

CPU_PROVIDER = "CPUExecutionProvider"
CUDA_PROVIDER = "CUDAExecutionProvider"

EXACT_PRODUCTS = {"session.x64quantprecision": "1"}
"""Session options with which x86 sums products of 8-bit integers in 32 bits, whatever it has to do
for that. Needed where it lacks an instruction that does; of no effect elsewhere."""


SLOWER_ON_CPU = ("BiasGeluFusion",)
"""Fusions of onnxruntime that cost time: its Gelu alone is 1.5 times as fast as that with a bias,
which makes whole graphs 2 to 4 % faster."""


def cuda_is_available() -> bool:
    """Whether the installed onnxruntime has the CUDA provider.

    onnxruntime and onnxruntime-gpu install the same files: with both, the one installed last wins.
    That is logged, since it is the usual reason why a GPU stays idle.
    """
    if _is_installed("onnxruntime") and _is_installed("onnxruntime-gpu"):
        logging.getLogger(__name__).warning(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other; keep "
            "one: pip uninstall onnxruntime onnxruntime-gpu, then pip install the one you want"
        )
    return CUDA_PROVIDER in ort.get_available_providers()


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def cpu_session(graph: Path, *, options: dict[str, str] | None = None) -> ort.InferenceSession:
    """Open a graph for single-threaded runs; many threads may call ``run`` at the same time.

    Args:
        graph: The ``.onnx`` file; external data is found beside it and mapped into memory.
        options: onnxruntime session options beyond the ones set here.

    Raises:
        BundleError: onnxruntime cannot load it.
    """
    return _open(graph, cpu_settings(options), [CPU_PROVIDER], disabled_optimizers=SLOWER_ON_CPU)


def cpu_settings(options: dict[str, str] | None = None) -> ort.SessionOptions:
    """Give the settings for single-threaded runs; ``options`` as in ``cpu_session``."""
    settings = ort.SessionOptions()
    # Parallelism comes from many pairs at once, not from within one: no barriers, no spinning.
    settings.intra_op_num_threads = 1
    settings.inter_op_num_threads = 1
    settings.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    # Plans of memory are kept per shape: with a new length each run they only accumulate.
    settings.enable_mem_pattern = False
    settings.log_severity_level = 3
    for key, value in (options or {}).items():
        settings.add_session_config_entry(key, value)
    return settings


def cuda_session(graph: Path) -> ort.InferenceSession:
    """Open a graph on the first CUDA device.

    Raises:
        ProviderError: the provider is not installed or cannot be loaded.
        BundleError: onnxruntime cannot load the graph.
    """
    message = (
        f"onnxruntime {ort.__version__} cannot run on CUDA here: install onnxruntime-gpu in place "
        "of onnxruntime, with the CUDA and cuDNN versions that it names"
    )
    if CUDA_PROVIDER not in ort.get_available_providers():
        raise ProviderError(message)
    ort.preload_dlls()  # finds CUDA's libraries where pip puts them
    settings = ort.SessionOptions()
    # As on the CPU: a batch has a new shape nearly every time.
    settings.enable_mem_pattern = False
    settings.log_severity_level = 4  # onnxruntime's own words on a missing library are a page long
    session = _open(graph, settings, [CUDA_PROVIDER, CPU_PROVIDER])
    if CUDA_PROVIDER not in session.get_providers():
        raise ProviderError(message)
    return session


def _open(
    graph: Path,
    settings: ort.SessionOptions,
    providers: list[str],
    *,
    disabled_optimizers: tuple[str, ...] = (),
) -> ort.InferenceSession:
    try:
        return ort.InferenceSession(
            graph, settings, providers=providers, disabled_optimizers=disabled_optimizers
        )
    except Exception as error:  # onnxruntime raises many kinds, all from its own C++ module
        message = f"onnxruntime {ort.__version__} cannot load {graph}: {error}"
        raise BundleError(message) from error
