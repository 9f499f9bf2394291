"""Texts of known length for measurements, the same for everyone who names the same seed."""

import numpy as np

# Frequent English words, each a single token of the usual English vocabularies, so that a document
# of n words has n tokens.
_WORDS = (
    "the of and to in is that for it as was with be by on not he his but at are this have from or "
    "had an they which one you were all her she there would their we him been has when who will no "
    "more if out so up said what its about than into them can only other time new some could these "
    "two may first then do any like my now over such our man me even most made after also did many "
    "off before must through back years where much your way well down should because each just "
    "state people too little good world make very year still see work life right old day house "
    "under water long great place high small"
).split()

QUERY = "how many people were in the old house when the water was high"

_MIXED_MEDIAN_WORDS = 80
_MIXED_SIGMA = 0.7
_MIXED_RANGE_WORDS = (8, 380)


def uniform_documents(tokens: int, count: int, *, seed: int) -> list[str]:
    """Draw documents whose pairs with ``QUERY`` have ``tokens`` tokens, special ones included."""
    rng = np.random.default_rng(seed)
    query_and_special_tokens = len(QUERY.split()) + 3
    return [_document(rng, tokens - query_and_special_tokens) for _ in range(count)]


def mixed_documents(count: int, *, seed: int) -> list[str]:
    """Draw documents of lognormal length: median 80 words, between 8 and 380."""
    rng = np.random.default_rng(seed)
    lengths = rng.lognormal(np.log(_MIXED_MEDIAN_WORDS), _MIXED_SIGMA, count)
    return [_document(rng, int(words)) for words in np.clip(lengths, *_MIXED_RANGE_WORDS)]


def _document(rng: np.random.Generator, words: int) -> str:
    return " ".join(rng.choice(_WORDS, words))
