"""One module a peer: opens its model and scores documents the way its documentation shows.

Each has ``open_model(models, ...)``, which gives a ``Score``. They run in the peers' environments,
so they import nothing but the peer and the standard library; peers that have no types, or are not
installed where types are checked, come in through ``import_module``.
"""

from collections.abc import Callable, Sequence

Score = Callable[..., Sequence[float]]
"""Takes a query, documents and the setting's options; gives scores in the documents' order."""


def longest_first(score: Callable[[list[str]], list[float]], documents: list[str]) -> list[float]:
    """Score documents sorted by their length in characters, as a caller can for any peer."""
    order = sorted(range(len(documents)), key=lambda index: -len(documents[index]))
    sorted_scores = score([documents[index] for index in order])
    scores = [0.0] * len(documents)
    for index, value in zip(order, sorted_scores, strict=True):
        scores[index] = value
    return scores
