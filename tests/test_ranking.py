"""Order comes from the logit, scores from the activation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ranklet.runtime.arrays import Float32Array
from ranklet.runtime.ranking import activate, rank

logits = arrays.arrays(np.float32, st.integers(0, 30), elements=st.floats(-600, 600, width=32))


@given(logits, st.none() | st.integers(1, 40))
def test_rank_is_the_sort_of_a_list(values: Float32Array, top_n: int | None) -> None:
    expected = sorted(range(len(values)), key=lambda index: -values[index])[:top_n]
    assert rank(values, top_n).tolist() == expected


def test_order_survives_where_the_sigmoid_is_one() -> None:
    saturated = np.array([20, 40, 30], np.float32)
    assert activate(saturated, "sigmoid").tolist() == [1, 1, 1]
    assert rank(saturated).tolist() == [1, 2, 0]


@given(logits)
def test_the_sigmoid_keeps_order_and_range(values: Float32Array) -> None:
    scores = activate(values, "sigmoid")
    assert scores.dtype == np.float32
    assert ((scores >= 0) & (scores <= 1)).all()
    assert (np.diff(scores[rank(values)]) <= 0).all()
    expected = 1 / (1 + np.exp(-values.astype(np.float64)))
    np.testing.assert_allclose(scores, expected, rtol=1e-6, atol=1e-38)


@pytest.mark.parametrize("value", [-1e30, -100.0, 100.0, 1e30])
def test_the_sigmoid_does_not_overflow(value: float) -> None:
    assert activate(np.array([value], np.float32), "sigmoid")[0] == pytest.approx(float(value > 0))


def test_identity_leaves_the_logits() -> None:
    values = np.array([-3.5, 0, 12], np.float32)
    assert activate(values, "identity").tolist() == [-3.5, 0, 12]
