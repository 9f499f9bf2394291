"""The score cache: exact, bounded, and told apart by all that decides a score."""

import random
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ranklet.runtime.reranker import Reranker
from ranklet.runtime.score_cache import KnownScore, ScoreCache
from ranklet.runtime.tokenization import Cut

DOCUMENTS = ["organic soap", "yoga mats " * 300, "", "soap", "\ud800 soap", "organic soap"]


@pytest.fixture
def cache() -> ScoreCache:
    return ScoreCache(100)


@pytest.fixture
def cached(tiny_bundle: Path, cache: ScoreCache) -> Iterator[Reranker]:
    with Reranker.open(tiny_bundle, cache=cache) as reranker:
        yield reranker


def test_cached_scores_are_the_same_to_the_bit(tiny_bundle: Path, cached: Reranker) -> None:
    first = cached.submit("organic soap", DOCUMENTS).result()
    again = cached.submit("organic soap", DOCUMENTS).result()
    with Reranker.open(tiny_bundle) as plain:
        expected = plain.submit("organic soap", DOCUMENTS).result()
    assert (expected.pairs, expected.cached) == (5, 0)  # one comes twice
    assert (first.pairs, first.cached) == (5, 0)
    assert (again.pairs, again.cached) == (0, 5)
    for scores in (first, again):
        assert scores.logits.tobytes() == expected.logits.tobytes()
        assert scores.tokens.tolist() == expected.tokens.tolist()
        assert scores.documents_cut.tolist() == expected.documents_cut.tolist()
        assert scores.query_tokens == expected.query_tokens
    assert again.times.inference_seconds == 0 < first.times.inference_seconds


def test_everything_that_decides_a_score_is_in_the_key(cached: Reranker) -> None:
    long = "organic soap and yoga mats " * 100
    readings: list[tuple[str, dict[str, Any]]] = [
        ("soap", {}),
        ("mats", {}),
        ("soap", {"max_windows": 3}),
        ("soap", {"cut": Cut(document_tokens=5)}),
        ("soap", {"cut": Cut(document_tokens=5, side="left")}),
        ("soap", {"cut": Cut(pair_tokens=9)}),
    ]
    for query, options in readings:
        assert cached.submit(query, [long], **options).result().cached == 0
    for query, options in readings:
        assert cached.submit(query, [long], **options).result().cached == 1
    assert cached.submit("soap", [long + " "]).result().cached == 0


def test_variants_and_windows_share_a_cache_but_no_scores(
    tiny_bundle: Path, cache: ScoreCache
) -> None:
    for variant, window in (("fp32", None), ("int8", None), ("fp32", 16)):
        for expected in (0, 1):
            with Reranker.open(
                tiny_bundle, variant=variant, window_tokens=window, cache=cache
            ) as reranker:
                assert reranker.submit("soap", ["organic soap"]).result().cached == expected
    assert len(cache) == 3


def test_the_least_recently_used_goes_first() -> None:
    cache = ScoreCache(2)
    score = KnownScore(1.0, 2, was_cut=False)
    cache.put(b"a", score)
    cache.put(b"b", score)
    assert cache.get(b"a") == score
    cache.put(b"c", score)
    assert len(cache) == 2
    assert cache.get(b"b") is None
    assert cache.get(b"a") == cache.get(b"c") == score


def test_threads_never_see_another_pairs_score() -> None:
    cache = ScoreCache(50)
    wrong: list[bytes] = []

    def use(seed: int) -> None:
        numbers = random.Random(seed)
        for _ in range(5_000):
            number = numbers.randrange(200)
            key = number.to_bytes(32, "big")
            known = cache.get(key)
            if known is None:
                cache.put(key, KnownScore(float(number), number, was_cut=False))
            elif known.tokens != number:
                wrong.append(key)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=use, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong
    assert len(cache) == 50


def test_an_entry_takes_what_the_settings_say() -> None:
    """The setting's documentation promises about 300 bytes."""
    cache = ScoreCache(10_000)
    tracemalloc.start()
    try:
        for number in range(20_000):
            logit = float(np.float32(number))
            cache.put(number.to_bytes(32, "big"), KnownScore(logit, number + 300, was_cut=False))
        size = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert size / 10_000 < 350
