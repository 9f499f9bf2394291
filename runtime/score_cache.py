"""A bounded cache of scores: exact, since a pair's score on the CPU depends on the pair alone."""

import threading
from array import array
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import msgspec
import numpy as np

from .manifest import Manifest
from .scoring import DocumentScores, Scorer, Scoring
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
    """Asks a cache before a scorer whose scores depend on the pair alone.

    A key is a 256-bit digest of all that decides the score: the bundle and its variant, the tokens
    of the query, the text of the document, and how both are cut. Texts are not kept.
    """

    def __init__(
        self, scorer: Scorer, cache: ScoreCache, manifest: Manifest, *, variant: str
    ) -> None:
        """Ask ``cache``, which others may share, before ``scorer``."""
        self.encoder = scorer.encoder
        self._scorer = scorer
        self._cache = cache
        identity = msgspec.json.encode((manifest, variant))
        self._identity = blake2b(identity, digest_size=32).digest()

    def pairs_in_turn(self, lengths: Sequence[int], *, workers: int) -> int:
        """Give what the scorer does: nothing may be known."""
        return self._scorer.pairs_in_turn(lengths, workers=workers)

    def score(self, query: EncodedQuery, documents: Sequence[str], *, max_windows: int) -> Scoring:
        """Score documents for a query, as ``Scorer`` says."""
        keys = [self._key(query, document, max_windows) for document in documents]
        known = {key: score for key in keys if (score := self._cache.get(key)) is not None}
        unknown = [place for place, key in enumerate(keys) if key not in known]
        tokenization_seconds = inference_seconds = 0.0
        if unknown:
            scores = yield from self._scorer.score(
                query, [documents[place] for place in unknown], max_windows=max_windows
            )
            tokenization_seconds = scores.tokenization_seconds
            inference_seconds = scores.inference_seconds
            for key, score in zip((keys[place] for place in unknown), _each(scores), strict=True):
                self._cache.put(key, score)
                known[key] = score
        return DocumentScores(
            np.array([known[key].logit for key in keys], np.float32),
            np.array([known[key].tokens for key in keys], np.int64),
            np.array([known[key].was_cut for key in keys], np.bool_),
            tokenization_seconds,
            inference_seconds,
            cached=len(keys) - len(unknown),
        )

    def _key(self, query: EncodedQuery, document: str, max_windows: int) -> bytes:
        """Digest the parts one after the other, the document under a key made of the others."""
        reading = repr((query.room, query.cut, query.lead, max_windows)).encode(
            "utf-8", "backslashreplace"
        )
        digest = blake2b(array("q", query.encoding.ids).tobytes(), key=self._identity)
        outer = blake2b(reading, key=digest.digest()).digest()
        text = document.encode("utf-8", "surrogatepass")
        return blake2b(text, digest_size=32, key=outer).digest()


def _each(scores: DocumentScores) -> Iterator[KnownScore]:
    columns = (scores.logits.tolist(), scores.tokens.tolist(), scores.were_cut.tolist())
    for logit, tokens, was_cut in zip(*columns, strict=True):
        yield KnownScore(logit, tokens, was_cut)
