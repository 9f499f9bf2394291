"""Scoring: the same to the bit whatever the company, fair, bounded, never a crash."""

import gc
import pickle
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ranklet
from ranklet import RankedDocument, Reranker
from ranklet.runtime.batching import batches_under_budget, pad_pairs
from ranklet.runtime.cuda_scoring import CudaScorer
from ranklet.runtime.errors import ClosedError, InputError, ProviderError, ScoringError
from ranklet.runtime.manifest import read_manifest
from ranklet.runtime.processor import Processor
from ranklet.runtime.scheduler import Scheduler
from ranklet.runtime.scoring import (
    CpuScorer,
    DocumentScores,
    Scoring,
)
from ranklet.runtime.sessions import EXACT_PRODUCTS, cpu_session
from ranklet.runtime.tokenization import Cut, EncodedQuery, Encoder, PairEncoder

TINY = Path(__file__).parent / "tiny/bundle"
QUERY = "what is the capital city of france"
DOCUMENTS = [
    "the moon is old",
    "paris is the capital of france",
    "a large city on the river",
    "",
    "the capital city of france is paris and it is very old " * 20,
    "bread and milk",
]


CONTAINERS: list[Callable[[list[str]], Iterable[str]]] = [
    iter,
    tuple,
    np.array,
    lambda documents: map(str, documents),
]


@pytest.fixture(scope="module", params=["fp32", "int8", "int8-avx2"])
def reranker(request: pytest.FixtureRequest) -> Iterator[Reranker]:
    with Reranker.open(TINY, variant=request.param, workers=2) as reranker:
        yield reranker


class TestScore:
    def test_gives_probabilities_in_input_order(self, reranker: Reranker) -> None:
        scores = reranker.score(QUERY, DOCUMENTS)
        assert scores.dtype == np.float32
        assert scores.shape == (6,)
        assert ((scores >= 0) & (scores <= 1)).all()
        assert scores[1] > scores[0]

    def test_raw_scores_are_the_logits(self, reranker: Reranker) -> None:
        logits = reranker.score(QUERY, DOCUMENTS, raw_scores=True)
        np.testing.assert_allclose(
            reranker.score(QUERY, DOCUMENTS), 1 / (1 + np.exp(-logits)), 1e-6
        )

    def test_no_documents(self, reranker: Reranker) -> None:
        assert reranker.score(QUERY, []).shape == (0,)
        assert reranker.rerank(QUERY, []) == []

    @settings(deadline=None, max_examples=60)
    @given(st.lists(st.sampled_from(DOCUMENTS) | st.text(max_size=50), max_size=12))
    def test_a_score_does_not_depend_on_its_company(
        self, reranker: Reranker, documents: list[str]
    ) -> None:
        together = reranker.score(QUERY, documents, raw_scores=True)
        alone = [reranker.score(QUERY, [text], raw_scores=True)[0] for text in documents]
        assert together.tobytes() == np.array(alone, np.float32).tobytes()

    def test_nor_on_concurrent_callers(self, reranker: Reranker) -> None:
        expected = reranker.score(QUERY, DOCUMENTS)
        with ThreadPoolExecutor(8) as pool:
            results = [pool.submit(reranker.score, QUERY, DOCUMENTS) for _ in range(64)]
        assert {result.result().tobytes() for result in results} == {expected.tobytes()}

    def test_nor_on_the_number_of_workers(self, reranker: Reranker) -> None:
        with Reranker.open(TINY, variant=reranker.variant, workers=5) as other:
            assert other.score(QUERY, DOCUMENTS).tobytes() == (
                reranker.score(QUERY, DOCUMENTS).tobytes()
            )

    @pytest.mark.parametrize(
        "text",
        [
            "\x00",
            "a\x00b",
            "\ud800 lone",
            "العربية \u202e עברית",
            "\U0001f469\u200d\U0001f52c" * 300,
            "e" + "\u0301" * 5000,
            "\n\t\u3000",
            "x" * 1_000_000,
            "word " * 200_000,
        ],
    )
    def test_hostile_text_is_scored(self, reranker: Reranker, text: str) -> None:
        assert np.isfinite(reranker.score(text, ["plain", text])).all()
        assert np.isfinite(reranker.score("plain", [text, "plain"])).all()


class TestRerank:
    def test_ranks_best_first(self, reranker: Reranker) -> None:
        ranking = reranker.rerank(QUERY, DOCUMENTS)
        assert sorted(ranked.index for ranked in ranking) == list(range(6))
        assert [ranked.score for ranked in ranking] == sorted(reranker.score(QUERY, DOCUMENTS))[
            ::-1
        ]
        assert ranking[0].index in {1, 4}

    def test_top_n_is_a_prefix(self, reranker: Reranker) -> None:
        ranking = reranker.rerank(QUERY, DOCUMENTS)
        for top_n in (1, 3, 6, 99):
            assert reranker.rerank(QUERY, DOCUMENTS, top_n=top_n) == ranking[:top_n]

    def test_equal_documents_keep_their_order(self, reranker: Reranker) -> None:
        ranking = reranker.rerank(QUERY, ["same text"] * 5)
        assert [ranked.index for ranked in ranking] == [0, 1, 2, 3, 4]
        assert isinstance(ranking[0], RankedDocument)

    @pytest.mark.parametrize("top_n", [0, -1])
    def test_top_n_below_one_is_refused(self, reranker: Reranker, top_n: int) -> None:
        with pytest.raises(InputError, match=f"top_n must be at least 1, not {top_n}"):
            reranker.rerank(QUERY, DOCUMENTS, top_n=top_n)


class TestInput:
    @pytest.mark.parametrize(
        ("query", "documents", "message"),
        [
            (None, ["a"], "query must be a string, not NoneType"),
            ("q", ["a", 3], r"documents\[1\] must be a string, not int"),
            ("q", [b"a"], r"documents\[0\] must be a string, not bytes"),
            ("q", "text", "documents must be a list of strings, not a string"),
            ("q", b"text", "documents must be a list of strings, not bytes"),
            ("q", {"a", "b"}, "documents must be a list of strings, not set"),
            ("q", {"a": "b"}, "documents must be a list of strings, not dict"),
            ("q", 5, "documents must be a list of strings, not int"),
            ("q", np.array("a"), "documents must be a list of strings, not ndarray"),
            ("q", np.array([5]), r"documents\[0\] must be a string, not int64"),
        ],
    )
    def test_what_is_not_text_is_named(
        self, reranker: Reranker, query: str, documents: list[str], message: str
    ) -> None:
        with pytest.raises(InputError, match=message):
            reranker.score(query, documents)

    @pytest.mark.parametrize("take", CONTAINERS)
    @pytest.mark.parametrize("count", [0, 1, 6])
    def test_documents_come_in_whatever_has_an_order(
        self, reranker: Reranker, take: Callable[[list[str]], Iterable[str]], count: int
    ) -> None:
        documents = DOCUMENTS[:count]
        scores = reranker.submit(QUERY, take(documents)).result(timeout=30).logits
        assert scores.tolist() == reranker.score(QUERY, documents, raw_scores=True).tolist()
        assert len(reranker.rerank(QUERY, take(documents))) == count

    @pytest.mark.parametrize("value", [1.5, "2"])
    def test_numbers_that_are_not_whole_are_refused(self, reranker: Reranker, value: int) -> None:
        problem = f"must be a whole number, not {value!r}"
        with pytest.raises(InputError, match=f"max_windows {problem}"):
            reranker.score(QUERY, DOCUMENTS, max_windows=value)
        with pytest.raises(InputError, match=f"top_n {problem}"):
            reranker.rerank(QUERY, DOCUMENTS, top_n=value)
        with pytest.raises(InputError, match=f"workers {problem}"):
            Reranker.open(TINY, workers=value)
        with pytest.raises(InputError, match=f"window_tokens {problem}"):
            Reranker.open(TINY, window_tokens=value)

    def test_whole_numbers_may_be_those_of_numpy(self, reranker: Reranker) -> None:
        one: Any = np.int64(1)
        assert len(reranker.rerank(QUERY, DOCUMENTS, top_n=one, max_windows=one)) == 1

    def test_workers_below_one_are_refused(self) -> None:
        with pytest.raises(InputError, match="workers must be at least 1, not 0"):
            Reranker.open(TINY, workers=0)

    def test_more_workers_than_any_machine_has_cores_are_refused(self) -> None:
        with pytest.raises(InputError, match="workers must be at most 1024, not 1025"):
            Reranker.open(TINY, workers=1025)

    def test_more_workers_than_the_system_allows_leave_no_threads(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        start, started = threading.Thread.start, list[threading.Thread]()

        def start_three(thread: threading.Thread) -> None:
            if len(started) == 3:
                message = "can't start new thread"
                raise RuntimeError(message)
            started.append(thread)
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", start_three)
        with pytest.raises(InputError, match="the system allows no 5 threads; give fewer workers"):
            Reranker.open(TINY, workers=5)
        assert len(started) == 3
        assert not any(thread.is_alive() for thread in started)


class TestLongDocuments:
    LONG = "the moon " * 60 + "paris is the capital city of france " + "the moon " * 60

    def test_the_best_window_counts(self, reranker: Reranker) -> None:
        cut, windowed = (
            reranker.score(QUERY, [self.LONG], max_windows=count)[0] for count in (1, 10)
        )
        assert windowed > cut + 0.1

    def test_a_document_that_fits_is_scored_the_same(self, reranker: Reranker) -> None:
        short = DOCUMENTS[:4]
        assert reranker.score(QUERY, short, max_windows=10).tobytes() == (
            reranker.score(QUERY, short).tobytes()
        )

    def test_windows_are_bounded_and_all_their_tokens_counted(self, reranker: Reranker) -> None:
        # [CLS] moon [SEP] and the last [SEP] leave 60 of 64 tokens; windows share a quarter, 15.
        for count, expected in ((1, 64), (2, 128), (3, 192), (99, 320)):
            scores = reranker.submit("moon", ["sun " * 240], max_windows=count).result()
            assert scores.tokens.tolist() == [expected]

    def test_less_than_one_window_is_refused(self, reranker: Reranker) -> None:
        with pytest.raises(InputError, match="max_windows must be at least 1, not 0"):
            reranker.score(QUERY, DOCUMENTS, max_windows=0)


class TestUsage:
    def test_counts_the_tokens_that_were_read(self, reranker: Reranker) -> None:
        scores = reranker.submit("moon", ["moon", "old moon", "moon", "moon " * 999]).result()
        # [CLS] moon [SEP] … [SEP]; twins are scored once and counted each.
        assert scores.tokens.tolist() == [5, 6, 5, 64]
        assert (scores.query_tokens, scores.query_cut) == (1, False)

    def test_reports_a_query_that_was_cut(self, reranker: Reranker) -> None:
        scores = reranker.submit("moon " * 40, ["moon"]).result()
        assert (scores.query_tokens, scores.query_cut) == (32, True)

    def test_reports_documents_that_were_cut(self, reranker: Reranker) -> None:
        documents = ["moon", "moon " * 61, "moon " * 60]
        scores = reranker.submit("moon", documents).result()
        assert scores.documents_cut.tolist() == [False, True, False]
        windowed = reranker.submit("moon", documents, max_windows=2).result()
        assert not windowed.documents_cut.any()

    def test_tells_where_the_time_went(self, reranker: Reranker) -> None:
        started = time.perf_counter()
        times = reranker.submit(QUERY, DOCUMENTS).result().times
        took = time.perf_counter() - started
        assert 0 < times.queue_seconds < took
        assert 0 < times.tokenization_seconds < took * reranker.workers
        assert 0 < times.inference_seconds < took * reranker.workers


class TestCut:
    LONG = " ".join(f"{word} {number}" for number in range(50) for word in ("sun", "moon"))

    def ids(self, cut: Cut) -> list[int]:
        encoder = PairEncoder.from_file(TINY / "tokenizer.json", window_tokens=64)
        query = encoder.encode_query("old moon", cut)
        ids: list[int] = encoder.encode_pair(query, self.LONG).ids.tolist()
        return ids

    def test_the_left_side_is_cut_where_asked(self) -> None:
        right, left = self.ids(Cut()), self.ids(Cut(side="left"))
        assert len(right) == len(left) == 64
        assert right[:4] == left[:4]  # the query fits
        assert right[4:] != left[4:]

    def test_documents_may_be_cut_further(self) -> None:
        assert self.ids(Cut(document_tokens=5)) == [*self.ids(Cut())[:9], self.ids(Cut())[-1]]
        assert self.ids(Cut(document_tokens=0)) == [*self.ids(Cut())[:4], self.ids(Cut())[-1]]

    def test_the_window_may_be_smaller(self) -> None:
        assert self.ids(Cut(pair_tokens=10)) == [*self.ids(Cut())[:9], self.ids(Cut())[-1]]
        assert len(self.ids(Cut(pair_tokens=1))) == 3  # nothing but special tokens

    def test_the_query_may_be_cut_further(self) -> None:
        ids = self.ids(Cut(query_tokens=1))
        assert ids[:3] == [*self.ids(Cut())[:2], self.ids(Cut())[3]]

    def test_a_shorter_window_than_a_document_allows_is_a_window(self, reranker: Reranker) -> None:
        cut = Cut(document_tokens=30)
        scores = reranker.submit("moon", ["sun " * 240], max_windows=9, cut=cut).result()
        assert scores.tokens.tolist() == [34]


class TestClosing:
    def test_closed_is_closed(self) -> None:
        with Reranker.open(TINY) as reranker:
            pass
        with pytest.raises(ClosedError, match="the reranker is closed"):
            reranker.score(QUERY, DOCUMENTS)
        reranker.close()

    def test_what_waits_fails_and_threads_end(self) -> None:
        before = threading.active_count()
        reranker = Reranker.open(TINY, workers=2)
        futures = [reranker.submit(QUERY, [f"{n} {m}" for m in range(500)]) for n in range(8)]
        reranker.close()
        assert threading.active_count() == before
        errors = [future.exception(timeout=10) for future in futures]
        assert any(isinstance(error, ClosedError) for error in errors)
        assert all(error is None or isinstance(error, ClosedError) for error in errors)

    def test_a_forgotten_reranker_leaves_no_threads(self) -> None:
        before = threading.active_count()
        Reranker.open(TINY, workers=3).score(QUERY, DOCUMENTS)
        gc.collect()
        assert threading.active_count() == before


FORK = """
import os, signal, sys
from ranklet import Reranker
reranker = Reranker.open(sys.argv[1], workers=2)
reranker.score("moon", ["moon"])
if child := os.fork():
    _, status = os.waitpid(child, 0)
    print(status, len(reranker.score("moon", ["moon"])))
else:
    signal.alarm(20)  # ends it where it waits forever
    try:
        reranker.score("moon", ["moon"])
    except RuntimeError as error:
        print(error, flush=True)
    with Reranker.open(sys.argv[1], workers=1) as own:
        print(len(own.score("moon", ["moon"])), flush=True)
    os._exit(0)  # onnxruntime's own end waits forever in a child that did not import it itself
"""


class TestProcesses:
    def test_a_forked_process_needs_its_own(self) -> None:
        command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK, str(TINY)]
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        problem = "the reranker was opened before this process was forked; open one in it"
        assert result.stdout.splitlines() == [problem, "1", "0 1"], result.stderr

    def test_pickling_is_refused(self, reranker: Reranker) -> None:
        with pytest.raises(TypeError, match="cannot be pickled; open one in each process"):
            pickle.dumps(reranker)

    def test_it_tells_what_it_is(self) -> None:
        with Reranker.open(TINY, variant="fp32", workers=2) as reranker:
            assert repr(reranker) == "<Reranker tiny fp32, workers=2, open>"
        assert repr(reranker) == "<Reranker tiny fp32, workers=2, closed>"


class SlowScorer:
    """The real scorer behind a gate, so that tests decide when pairs are scored."""

    def __init__(self) -> None:
        self.encoder: Encoder = PairEncoder.from_file(TINY / "tokenizer.json", window_tokens=64)
        self._scorer = CpuScorer(
            cpu_session(TINY / "fp32.onnx"), self.encoder, read_manifest(TINY).graph_inputs
        )
        self.gate = threading.Event()
        self.seen: list[str] = []

    def pairs_in_turn(self, lengths: Sequence[int], *, workers: int) -> int:
        return self._scorer.pairs_in_turn(lengths, workers=workers)

    def score(self, query: EncodedQuery, documents: Sequence[str], *, max_windows: int) -> Scoring:
        self.gate.wait(10)
        self.seen += documents
        if "fail" in documents:
            message = "asked to fail"
            raise ScoringError(message)
        return (yield from self._scorer.score(query, documents, max_windows=max_windows))


class GatedScorer(SlowScorer):
    """Scores at once, except documents with a gate of their own."""

    def __init__(self, *gated: str) -> None:
        super().__init__()
        self.gate.set()
        self.begun = {document: threading.Event() for document in gated}
        self.gates = {document: threading.Event() for document in gated}

    def score(self, query: EncodedQuery, documents: Sequence[str], *, max_windows: int) -> Scoring:
        for document in documents:
            if document in self.gates:
                self.begun[document].set()
                self.gates[document].wait(10)
        return (yield from super().score(query, documents, max_windows=max_windows))


def finished(steps: Scoring) -> DocumentScores:
    """Do all steps, one after the other."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            scores: DocumentScores = end.value
            return scores


def last_seen(scorer: SlowScorer, start: str) -> int:
    return max(place for place, text in enumerate(scorer.seen) if text.startswith(start))


@pytest.fixture
def slow() -> Iterator[tuple[Scheduler, SlowScorer]]:
    scorer = SlowScorer()
    scheduler = Scheduler(scorer, workers=1)
    yield scheduler, scorer
    scorer.gate.set()
    scheduler.close()


class TestScheduler:
    def test_requests_take_turns_pair_by_pair(self, slow: tuple[Scheduler, SlowScorer]) -> None:
        scheduler, scorer = slow
        long = scheduler.submit("q", [f"long {number} " * 90 for number in range(100)])
        short = scheduler.submit("q", [f"short {number} " * 90 for number in range(3)])
        scorer.gate.set()
        short.result(10)
        assert last_seen(scorer, "short") <= 7
        assert len(long.result(10).logits) == 100

    def test_a_turn_of_short_pairs_is_no_longer_than_that_of_a_long_one(
        self, slow: tuple[Scheduler, SlowScorer]
    ) -> None:
        scheduler, scorer = slow
        long = scheduler.submit("q", [f"long {number} " * 10 for number in range(100)])
        short = scheduler.submit("q", ["short"])
        scorer.gate.set()
        short.result(10)
        assert 1 < last_seen(scorer, "short") * len("long 00 " * 10) <= 1000
        assert len(long.result(10).logits) == 100

    def test_longest_first_within_a_request(self, slow: tuple[Scheduler, SlowScorer]) -> None:
        scheduler, scorer = slow
        scorer.gate.set()
        scheduler.submit("q", ["mm", "m", "mmmm", "mmm"]).result(10)
        assert scorer.seen == ["mmmm", "mmm", "mm", "m"]

    def test_a_document_of_many_windows_takes_turns_as_well(
        self, slow: tuple[Scheduler, SlowScorer]
    ) -> None:
        scheduler, scorer = slow
        long = scheduler.submit("q", ["moon " * 20_000], max_windows=1000)
        short = scheduler.submit("q", ["short"])
        was_done: list[bool] = []
        short.add_done_callback(lambda _: was_done.append(long.done()))
        scorer.gate.set()
        assert long.result(30).tokens[0] > 20_000
        assert was_done == [False]

    def test_closing_does_not_wait_for_a_document_of_many_windows(
        self, slow: tuple[Scheduler, SlowScorer]
    ) -> None:
        scheduler, scorer = slow
        long = scheduler.submit("q", ["moon " * 20_000], max_windows=1000)
        short = scheduler.submit("q", ["short"])
        scorer.gate.set()
        short.result(10)
        scheduler.close()
        with pytest.raises(ClosedError):
            long.result(0)

    def test_a_callback_may_close(self, slow: tuple[Scheduler, SlowScorer]) -> None:
        scheduler, scorer = slow
        first = scheduler.submit("q", ["moon"])
        first.add_done_callback(lambda _: scheduler.close())
        others = [scheduler.submit("q", ["sun"]) for _ in range(3)]
        scorer.gate.set()
        for other in others:
            with pytest.raises(ClosedError):
                other.result(10)

    def test_a_request_that_failed_while_its_last_pair_was_scored_stays_failed(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        scorer = GatedScorer("first", "last")
        scheduler = Scheduler(scorer, workers=2)
        first = scheduler.submit("q", ["first"])
        assert scorer.begun["first"].wait(10)
        # The other worker scores "longest", puts that lane behind the second and begins with it.
        both = scheduler.submit("q", ["longest", "last"])
        assert scorer.begun["last"].wait(10)
        closing = threading.Thread(target=scheduler.close)
        closing.start()
        assert scheduler._closing.wait(10)  # noqa: SLF001 - it is set before all workers end
        scorer.gates["first"].set()  # this worker now meets the first lane and fails it
        assert isinstance(both.exception(10), ClosedError)
        scorer.gates["last"].set()
        closing.join(10)
        assert first.exception(0) is None
        assert caplog.records == []

    def test_a_request_without_documents_is_complete(
        self, slow: tuple[Scheduler, SlowScorer]
    ) -> None:
        assert slow[0].submit("q", []).result(10).logits.shape == (0,)

    def test_an_answered_request_is_not_kept(self) -> None:
        class Text(str):
            __slots__ = ("__weakref__",)

        with Reranker.open(TINY, workers=2) as reranker:
            text = Text("moon")
            kept = weakref.ref(text)
            reranker.score("q", [text])
            del text
            for _ in range(100):
                gc.collect()
                if kept() is None:
                    break
                time.sleep(0.05)
            assert kept() is None

    def test_twins_are_scored_once(self, slow: tuple[Scheduler, SlowScorer]) -> None:
        scheduler, scorer = slow
        scorer.gate.set()
        scores = scheduler.submit("moon", ["moon", "sun", "moon"]).result(10)
        assert sorted(scorer.seen) == ["moon", "sun"]
        assert scores.logits[0] == scores.logits[2] != scores.logits[1]

    def test_cancelling_frees_the_waiting_pairs(self, slow: tuple[Scheduler, SlowScorer]) -> None:
        scheduler, scorer = slow
        abandoned = scheduler.submit("q", [f"abandoned {number}" for number in range(100)])
        assert abandoned.cancel()
        scorer.gate.set()
        scheduler.submit("q", ["wanted"]).result(10)
        assert len(scorer.seen) <= 2
        with pytest.raises(CancelledError):
            abandoned.result()

    def test_an_error_reaches_its_request_only(self, slow: tuple[Scheduler, SlowScorer]) -> None:
        scheduler, scorer = slow
        failing = scheduler.submit("q", ["fail", "moon", "sun"])
        sound = scheduler.submit("q", ["moon", "sun"])
        scorer.gate.set()
        with pytest.raises(ScoringError, match="asked to fail"):
            failing.result(10)
        assert len(sound.result(10).logits) == 2


def test_damaged_weights_fail_a_request(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(TINY / "fp32.onnx")
    [offset] = [tensor for tensor in model.graph.initializer if tensor.name == "offset"]
    offset.CopyFrom(onnx.numpy_helper.from_array(np.array(np.nan, np.float32), "offset"))
    onnx.save(model, tmp_path / "damaged.onnx")
    encoder = PairEncoder.from_file(TINY / "tokenizer.json", window_tokens=64)
    session = cpu_session(tmp_path / "damaged.onnx")
    scorer = CpuScorer(session, encoder, read_manifest(TINY).graph_inputs)
    with pytest.raises(ScoringError, match="a logit is not a number"):
        finished(scorer.score(encoder.encode_query(QUERY), DOCUMENTS, max_windows=1))


class TestTurns:
    """How many pairs a worker takes at once."""

    @given(st.lists(st.integers(0, 5000), min_size=1, max_size=80), st.integers(1, 8))
    def test_are_short_and_leave_pairs_to_others(self, lengths: list[int], workers: int) -> None:
        lengths.sort()
        count = SlowScorer().pairs_in_turn(lengths, workers=workers)
        assert 1 <= count <= max(1, len(lengths) // (2 * workers))
        assert count == 1 or sum(lengths[-count:]) <= 800

    def test_short_pairs_share_one(self) -> None:
        assert SlowScorer().pairs_in_turn([80] * 100, workers=2) == 10
        assert SlowScorer().pairs_in_turn([80] * 10, workers=2) == 2


class TestCudaBatches:
    """The batches that CUDA runs, on the CPU: the arithmetic of padding needs no GPU."""

    @given(st.lists(st.integers(1, 512), min_size=1, max_size=80), st.integers(1, 4096))
    def test_hold_every_pair_once_under_the_budget(self, tokens: list[int], budget: int) -> None:
        lengths = np.array(tokens, np.int64)
        batches = batches_under_budget(lengths, budget)
        assert sorted(np.concatenate(batches).tolist()) == list(range(len(tokens)))
        for batch in batches:
            assert len(batch) == 1 or len(batch) * int(lengths[batch].max()) <= budget

    def test_padding_does_not_change_a_score(self) -> None:
        manifest = read_manifest(TINY)
        encoder = PairEncoder.from_file(TINY / "tokenizer.json", window_tokens=64)
        session = cpu_session(TINY / "fp32.onnx")
        query = encoder.encode_query(QUERY)
        scorers = (
            CpuScorer(session, encoder, manifest.graph_inputs),
            CudaScorer(session, encoder, manifest.graph_inputs, device="cpu"),
        )
        single, batched = (
            finished(scorer.score(query, DOCUMENTS, max_windows=3)) for scorer in scorers
        )
        np.testing.assert_allclose(batched.logits, single.logits, atol=1e-5)
        assert batched.tokens.tolist() == single.tokens.tolist()
        assert batched.were_cut.tolist() == single.were_cut.tolist()

    def test_a_device_that_fails_to_warm_up_is_not_used(self) -> None:
        manifest = read_manifest(TINY)
        encoder = PairEncoder.from_file(TINY / "tokenizer.json", window_tokens=64)
        session = cpu_session(TINY / "fp32.onnx")
        CudaScorer(session, encoder, manifest.graph_inputs, device="cpu").warm_up(64)
        unfed = CudaScorer(session, encoder, manifest.graph_inputs[:1], device="cpu")
        with pytest.raises(ProviderError, match="cannot score the model's largest batch"):
            unfed.warm_up(64)

    def test_rows_are_padded_at_the_end(self) -> None:
        encoder = PairEncoder.from_file(TINY / "tokenizer.json", window_tokens=64)
        query = encoder.encode_query("moon")
        pairs = [encoder.encode_pair(query, text) for text in ("sun", "sun and moon")]
        feed = pad_pairs(pairs, ["input_ids", "attention_mask"])
        assert feed["attention_mask"].tolist() == [[1, 1, 1, 1, 1, 0, 0], [1] * 7]
        assert (feed["input_ids"][0, 5:] == 0).all()


def test_memory_is_bounded_by_the_workers(reranker: Reranker) -> None:
    """A thousand long documents need hardly more memory than ten."""
    resource = pytest.importorskip("resource")
    long = ["the moon and the sun " * 100 + str(number) for number in range(1000)]
    reranker.score(QUERY, long[:10])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reranker.score(QUERY, long)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 20_000  # KiB on Linux


def test_the_package_gives_its_names_lazily() -> None:
    assert ranklet.Reranker is Reranker
    with pytest.raises(AttributeError, match="no attribute 'Rerankers'"):
        ranklet.Rerankers  # noqa: B018


def test_scoring_leaves_the_processor_alone_afterwards(reranker: Reranker) -> None:
    reranker.score(QUERY, DOCUMENTS)
    started = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - started < 0.1


def test_a_shorter_window_cuts_what_is_read(tiny_bundle: Path) -> None:
    with Reranker.open(tiny_bundle, window_tokens=16) as reranker:
        assert reranker.manifest.window_tokens == 16
        scores = reranker.submit("skin", ["skin care " * 100]).result()
    assert scores.tokens.tolist() == [16]


@pytest.mark.parametrize("window_tokens", [15, 100_000])
def test_a_window_that_the_model_does_not_have_is_refused(
    tiny_bundle: Path, window_tokens: int
) -> None:
    with pytest.raises(InputError, match="window_tokens must be from 16 to"):
        Reranker.open(tiny_bundle, window_tokens=window_tokens)


@pytest.mark.parametrize(
    ("flags", "expected"), [({"avx2"}, EXACT_PRODUCTS), ({"avx2", "avx_vnni"}, {})]
)
def test_a_variant_for_other_processors_is_computed_exactly(
    flags: set[str], expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[dict[str, str]] = []

    def record(graph: Path, *, options: dict[str, str]) -> object:
        opened.append(options)
        return cpu_session(graph, options=options)

    processor = Processor("x86_64", frozenset(flags))
    monkeypatch.setattr("ranklet.runtime.opening.detect_processor", lambda: processor)
    monkeypatch.setattr("ranklet.runtime.opening.cpu_session", record)
    with Reranker.open(TINY, variant="int8") as reranker:
        assert reranker.score(QUERY, DOCUMENTS).shape == (6,)
    with Reranker.open(TINY, variant="int8-avx2"):
        pass
    assert opened == [expected, {}]
