# bm25s ships no types: this is the slice that ranklet uses.
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

__version__: str

class Results(NamedTuple):
    documents: NDArray[np.int64]
    scores: NDArray[np.float32]

class BM25:
    vocab_dict: dict[str, int]
    def __init__(self, k1: float = 1.5, b: float = 0.75) -> None: ...
    def index(self, corpus: list[list[str]], *, show_progress: bool = True) -> None: ...
    def get_scores(self, query_tokens_single: list[str]) -> NDArray[np.float32]: ...
    def retrieve(
        self, query_tokens: list[list[str]], *, k: int = 10, show_progress: bool = True
    ) -> Results: ...

def tokenize(
    texts: list[str],
    *,
    stopwords: str | list[str] | None = "english",
    return_ids: Literal[False],
    show_progress: bool = True,
) -> list[list[str]]: ...
