"""Rerank documents with quantized cross-encoders on CPUs and small devices.

The three parts are ``ranklet.export`` (checkpoint to bundle), ``ranklet.runtime`` (bundle to
scores) and ``ranklet.service`` (scores over HTTP). What most programs need is here.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ranklet.runtime.errors import RankletError
    from ranklet.runtime.ranking import RankedDocument
    from ranklet.runtime.reranker import Reranker

__all__ = ["RankedDocument", "RankletError", "Reranker", "__version__"]

__version__ = "0.1.0"

_HOMES = {
    "RankedDocument": "ranklet.runtime.ranking",
    "RankletError": "ranklet.runtime.errors",
    "Reranker": "ranklet.runtime.reranker",
}


def __getattr__(name: str) -> object:
    """Import what is asked for on first use: ``ranklet --help`` shall not wait for onnxruntime."""
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(_HOMES[name]), name)
