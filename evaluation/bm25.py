"""BM25 as first stage, through bm25s (https://github.com/xhluca/bm25s)."""

from collections.abc import Mapping

import bm25s

from .trec import Retrieved


def retrieve(
    queries: Mapping[str, str], documents: Mapping[str, str], *, depth: int
) -> dict[str, list[Retrieved]]:
    """Find documents that share words with each query.

    Parameters and words are those of bm25s: two letters or digits and more, between blanks and
    signs, in lower case. None is left out as too common and nothing is stemmed, so that any
    language will do that puts blanks between its words; one that does not needs another retriever.

    Args:
        queries: Texts by id.
        documents: Texts by id.
        depth: The most documents to give for a query.

    Returns:
        Documents with scores above 0, best first; nothing where no document has a word.
    """
    names, words = list(documents), _words(documents)
    if not any(words):  # bm25s fails on them
        return {}
    index = bm25s.BM25()
    index.index(words, show_progress=False)
    found = index.retrieve(_words(queries), k=min(depth, len(names)), show_progress=False)
    return {
        query: [
            Retrieved(names[int(place)], float(score))
            for place, score in zip(places, scores, strict=True)
            if score > 0
        ]
        for query, places, scores in zip(queries, found.documents, found.scores, strict=True)
    }


def _words(texts: Mapping[str, str]) -> list[list[str]]:
    return bm25s.tokenize(
        list(texts.values()), stopwords=None, return_ids=False, show_progress=False
    )
