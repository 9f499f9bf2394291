"""Metrics by ir-measures, and the significance of differences."""

import re
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranklet.evaluation.errors import MetricError
from ranklet.evaluation.metrics import measure_run, parse_metrics
from ranklet.evaluation.significance import compare

QRELS = {"q1": {"a": 2, "b": 1, "c": 0}, "q2": {"a": 1}, "q3": {"c": 1}}
SCORES = {"q1": {"a": 1.0, "b": 3.0, "c": 2.0}, "q2": {"a": 5.0, "x": 4.0}}


def test_values_known_from_the_definitions() -> None:
    qualities = measure_run(parse_metrics("nDCG@10, RR(rel=2)@10,AP,P@1"), QRELS, SCORES)
    ndcg = (1 + 2 / 2) / (2 + 1 / np.log2(3))
    assert list(qualities) == ["nDCG@10", "RR(rel=2)@10", "AP", "P@1"]
    # Nothing was retrieved for q3, which counts 0.
    assert qualities["nDCG@10"].by_query == pytest.approx([ndcg, 1, 0])
    assert qualities["RR(rel=2)@10"].by_query == pytest.approx([1 / 3, 0, 0])
    assert qualities["AP"].by_query == pytest.approx([(1 + 2 / 3) / 2, 1, 0])
    assert qualities["P@1"].mean == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("nDGC@10", "ir-measures knows no nDGC"),
        ("nDCG@", "is not a list of metrics"),
        ("", "is not a list of metrics"),
        ("nDCG@10,", None),
        ("nDCG@ten", "has a parameter that is not a plain value"),
        ("nDCG@10.5", "invalid param cutoff=10.5"),
        ("nDCG@0", "a cutoff is at least 1"),
        ("P(cutoff=-1)", "a cutoff is at least 1"),
        ("nDCG(depth=10)", "unsupported params found"),
        ("RR(**{'rel': 2})", "unsupported params found"),
        ("nDCG(10)", "is not a metric"),
        ("alpha_nDCG@10", "Unsupported measures"),
        ("P", "needs a cutoff, as P@10"),
        ("R(rel=2)", "needs a cutoff, as R(rel=2)@10"),
        ("IPrec", "needs a recall"),
        ("__import__('os')", "is not a metric"),
    ],
)
def test_wrong_metrics_are_named(text: str, problem: str | None) -> None:
    if problem is None:
        assert [metric.name for metric in parse_metrics(text)] == ["nDCG@10"]
        return
    with pytest.raises(MetricError, match=re.escape(problem)):
        parse_metrics(text)


def test_a_metric_named_twice_is_computed_once() -> None:
    assert [metric.name for metric in parse_metrics("AP,MAP,AP")] == ["AP"]


def test_equal_scores_are_ordered_alike_by_all_programs() -> None:
    """RR@10 and RR come from different ones, and so does AP."""
    qrels, scores = {"q": {"a": 1, "b": 0}}, {"q": {"b": 1.0, "a": 1.0, "c": 1.0 + 1e-12}}
    qualities = measure_run(parse_metrics("RR@10,RR,AP"), qrels, scores)
    assert {name: quality.mean for name, quality in qualities.items()} == {
        "RR@10": pytest.approx(1 / 3),
        "RR": pytest.approx(1 / 3),
        "AP": pytest.approx(1 / 3),
    }


@pytest.mark.skipif(not shutil.which("perl"), reason="the program for ERR is in Perl")
def test_queries_have_any_names_in_err() -> None:
    """A relevance of 2, of at most 4, satisfies with a probability of 3 in 16."""
    quality = measure_run(parse_metrics("ERR@10"), QRELS, SCORES)["ERR@10"]
    assert quality.by_query[2] == 0
    assert quality.by_query[1] == pytest.approx(1 / 16, abs=1e-5)


def test_accuracy_has_a_value_where_something_is_not_relevant() -> None:
    metrics = parse_metrics("Accuracy")
    assert measure_run(metrics, QRELS, SCORES)["Accuracy"].by_query == pytest.approx([0.5, 1, 0])
    with pytest.raises(MetricError, match="'Accuracy': has no value for one of the queries"):
        measure_run(metrics, QRELS, {"q2": {"a": 1.0}})


class TestComparison:
    def test_equal_systems_do_not_differ(self) -> None:
        values = np.array([0.5, 0.25, 1.0, 0.1])
        comparison = compare([(values, values)])
        assert (comparison.difference, comparison.kept, comparison.p_value) == (0, 1, 1)
        assert (comparison.difference_interval, comparison.kept_interval) == ((0, 0), (1, 1))

    def test_a_clear_difference_is_significant(self) -> None:
        first = np.random.default_rng(20).uniform(0.4, 0.9, 50)
        comparison = compare([(first - 0.1, first)])
        assert comparison.difference == pytest.approx(-0.1)
        assert comparison.p_value is not None
        assert comparison.p_value < 0.001
        assert comparison.kept == pytest.approx((first.mean() - 0.1) / first.mean())

    def test_chance_is_not(self) -> None:
        rng = np.random.default_rng(20)
        comparison = compare([(rng.uniform(0, 1, 40), rng.uniform(0, 1, 40))])
        assert comparison.p_value is not None
        assert comparison.p_value > 0.05

    def test_the_test_is_exact_for_few_queries(self) -> None:
        """Of the 16 ways to swap the pairs, two are as extreme as the one at hand."""
        comparison = compare([(np.array([0.4, 0.5, 0.6, 0.9]), np.array([0.1, 0.3, 0.5, 0.5]))])
        assert comparison.p_value == pytest.approx(2 / 16)

    def test_one_query_tells_nothing(self) -> None:
        comparison = compare([(np.array([1.0]), np.array([0.5]))])
        assert comparison.kept == 2
        assert comparison.p_value is None
        assert comparison.difference_interval is None

    def test_nothing_is_kept_of_nothing(self) -> None:
        comparison = compare([(np.array([0.5, 0.0]), np.zeros(2))])
        assert comparison.kept is None
        assert comparison.kept_interval is None

    def test_collections_weigh_the_same(self) -> None:
        small = (np.array([0.6, 0.8]), np.array([0.7, 0.9]))
        large = (np.linspace(0.3, 0.9, 400), np.linspace(0.2, 0.8, 400))
        comparison = compare([small, large])
        assert comparison.difference == pytest.approx(0)
        assert comparison.p_value is None
        assert comparison.difference_interval == pytest.approx((-0.001, 0.001), abs=0.01)

    @given(st.lists(st.tuples(*[st.integers(0, 100)] * 2), min_size=2, max_size=8))
    def test_any_values_compare(self, pairs: list[tuple[int, int]]) -> None:
        values, first = np.array(pairs).T / 100
        comparison = compare([(values, first)])
        assert comparison.p_value is not None
        assert 0 < comparison.p_value <= 1
        assert comparison.difference_interval is not None
        low, high = comparison.difference_interval
        assert low <= high + 1e-9
