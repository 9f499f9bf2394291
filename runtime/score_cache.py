"""A bounded cache of scores: exact, since a pair's score on the CPU depends on the pair alone."""

import threading
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import msgspec
import numpy as np

from .manifest import Manifest
from .scoring import DocumentScores, Scorer
from .tokenization import EncodedQuery


@dataclass(frozen=True, slots=True)
class KnownScore:
    """What is kept of a pair."""

    logit: float
    tokens: int
    was_cut: bool


class ScoreCache:
    """Keeps scores by digest; the least recently used go first.

    Safe to use from many threads. Its lock is held for less than a microsecond a pair.
    """

    def __init__(self, entries: int) -> None:
        """Keep at most ``entries`` scores."""
        self._entries = entries
        self._scores: OrderedDict[bytes, KnownScore] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._scores)

    def get(self, key: bytes) -> KnownScore | None:
        """Give what is known of a pair."""
        with self._lock:
            score = self._scores.get(key)
            if score is not None:
                self._scores.move_to_end(key)
            return score

    def put(self, key: bytes, score: KnownScore) -> None:
        """Keep a score, and forget the one that was used longest ago where there are too many."""
        with self._lock:
            self._scores[key] = score
            self._scores.move_to_end(key)
            if len(self._scores) > self._entries:
                self._scores.popitem(last=False)


class CachedScorer:
    """Asks a cache before a scorer that takes one pair a call.

    A key is a 256-bit digest of all that decides the score: the bundle and its variant, the tokens
    of the query, the text of the document, and how both are cut. Texts are not kept.
    """

    pairs_per_call = 1

    def __init__(
        self, scorer: Scorer, cache: ScoreCache, manifest: Manifest, *, variant: str
    ) -> None:
        """Ask ``cache``, which others may share, before ``scorer``."""
        self.encoder = scorer.encoder
        self._scorer = scorer
        self._cache = cache
        identity = msgspec.json.encode((manifest, variant))
        self._identity = blake2b(identity, digest_size=32).digest()

    def score(
        self, query: EncodedQuery, documents: Sequence[str], *, max_windows: int
    ) -> DocumentScores:
        """Score a document for a query, as ``Scorer`` says."""
        [document] = documents
        key = self._key(query, document, max_windows)
        known = self._cache.get(key)
        if known is not None:
            return DocumentScores(
                np.array([known.logit], np.float32),
                np.array([known.tokens], np.int64),
                np.array([known.was_cut], np.bool_),
                tokenization_seconds=0.0,
                inference_seconds=0.0,
                cached=1,
            )
        scores = self._scorer.score(query, documents, max_windows=max_windows)
        score = KnownScore(float(scores.logits[0]), int(scores.tokens[0]), bool(scores.were_cut[0]))
        self._cache.put(key, score)
        return scores

    def _key(self, query: EncodedQuery, document: str, max_windows: int) -> bytes:
        """Digest the parts one after the other, the document under a key made of the others."""
        reading = repr((query.room, query.cut, query.lead, max_windows)).encode(
            "utf-8", "backslashreplace"
        )
        digest = blake2b(array("q", query.encoding.ids).tobytes(), key=self._identity)
        outer = blake2b(reading, key=digest.digest()).digest()
        text = document.encode("utf-8", "surrogatepass")
        return blake2b(text, digest_size=32, key=outer).digest()
