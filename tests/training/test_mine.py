"""Rounds of harder negatives: what a model gets wrong stays in its lists."""

import numpy as np
import pytest
from numpy.typing import NDArray
from training.lists import RankingLists
from training.mine import keep_hardest

pytestmark = pytest.mark.torch

ROW, COLUMN = 3, 4
"""The one passage that the model gets wrong, in a list that lacks two others; elsewhere it agrees
but for scale and shift."""


def scores_wrong_by(lists: RankingLists, difference: float) -> NDArray[np.float32]:
    scores = lists.teacher.copy()
    scores[ROW, COLUMN] += difference
    return 0.5 * scores + 3


@pytest.mark.parametrize("difference", [8, -8], ids=["overrated", "underrated"])
def test_what_the_model_gets_wrong_stays(lists: RankingLists, difference: float) -> None:
    lists.teacher[ROW, COLUMN] = lists.teacher[ROW].max() - difference / 2
    mined = keep_hardest(lists, scores_wrong_by(lists, difference), hardest=1, others=2)
    assert mined.documents.shape == mined.teacher.shape == (12, lists.own + 1 + 2)
    np.testing.assert_array_equal(mined.documents[:, : lists.own], lists.documents[:, : lists.own])
    assert mined.documents[ROW, lists.own] == lists.documents[ROW, COLUMN]


def test_passages_keep_their_scores_and_appear_once(lists: RankingLists) -> None:
    mined = keep_hardest(lists, scores_wrong_by(lists, 8), hardest=1, others=2)
    for row, (documents, teacher) in enumerate(zip(mined.documents, mined.teacher, strict=True)):
        there = documents >= 0
        before = dict(zip(lists.documents[row].tolist(), lists.teacher[row].tolist(), strict=True))
        found = dict(zip(documents[there].tolist(), teacher[there].tolist(), strict=True))
        assert found == {place: before[place] for place in found}
        assert len(found) == there.sum()


def test_missing_passages_come_last(lists: RankingLists) -> None:
    there = (lists.documents[:, lists.own :] >= 0).sum(axis=1)
    lists.documents[2, 3:] = -1
    there[2] = 1
    mined = keep_hardest(lists, scores_wrong_by(lists, 8), hardest=1, others=2)
    kept = (mined.documents[:, lists.own :] >= 0).sum(axis=1)
    np.testing.assert_array_equal(kept, np.minimum(there, 3))


def test_missing_passages_count_for_nothing(lists: RankingLists) -> None:
    lists.teacher[ROW, COLUMN] = lists.teacher[ROW].min() - 1
    scores = scores_wrong_by(lists, 16)
    wanted = keep_hardest(lists, scores, hardest=2, others=0)
    missing = lists.documents < 0
    lists.teacher[missing] = -1e3
    scores[missing] = 1e3
    np.testing.assert_array_equal(
        keep_hardest(lists, scores, hardest=2, others=0).documents, wanted.documents
    )
