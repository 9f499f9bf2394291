"""Platt's line and what it is checked with."""

import numpy as np
import pytest
import torch
from scipy.special import expit
from training.calibration import check_calibration, fit_line

pytestmark = pytest.mark.torch


def test_the_line_makes_probabilities_of_logits() -> None:
    random = np.random.default_rng(2)
    logits = random.normal(size=(20_000, 2)).astype(np.float32)
    # Each list's first document is the relevant one: draw lists where the model says so as often
    # as a slope of 3 claims.
    gap = 3 * (logits[:, 0] - logits[:, 1])
    kept = logits[random.random(20_000) < expit(gap)]
    logits = kept.ravel()
    relevant = np.arange(logits.size) % 2 == 0
    line = fit_line(logits, relevant)
    calibration = check_calibration(line.apply(logits), relevant)
    assert sum(one.documents for one in calibration.bins) == kept.size
    for one in calibration.bins:
        assert one.low <= one.mean_probability <= one.high
        assert one.relevant == pytest.approx(one.mean_probability, abs=0.05)
    probability = expit(line.apply(kept)[:, 0])
    assert (probability >= calibration.threshold).mean() == pytest.approx(0.95, abs=0.001)


def test_folding_the_line_keeps_the_ranking() -> None:
    classifier = torch.nn.Linear(5, 1)
    pooled = torch.randn(7, 5)
    before = classifier(pooled).detach().numpy()
    logits = np.array([2, 1, 0, -1, 1, 2, 0, 0], dtype=np.float32)
    line = fit_line(logits, np.arange(8) % 4 == 0)
    assert line.slope > 0
    line.fold_into(classifier)
    after = classifier(pooled).detach().numpy()
    np.testing.assert_allclose(after, line.apply(before), rtol=1e-5)


def test_a_line_that_would_turn_the_ranking_round_is_refused() -> None:
    random = np.random.default_rng(4)
    logits = random.normal(size=1600).astype(np.float32)
    relevant = np.arange(1600) % 8 == 0
    logits[relevant] += 2
    with pytest.raises(ValueError, match="no line makes probabilities of these logits"):
        fit_line(-logits, relevant)
