"""Lists to rank: a query, passages, the teacher's scores, and which of the passages may answer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .texts import Texts

NONE = -1
"""Stands in a list where there is no passage."""


@dataclass(frozen=True, slots=True)
class RankingLists:
    """What ``prepare`` makes and ``train`` reads."""

    queries: Texts
    passages: Texts
    documents: NDArray[np.int32]
    """Places of passages, shape (queries, passages in a list); ``NONE`` where there is none."""
    teacher: NDArray[np.float32]
    """Scores of the teacher, of the same shape."""
    grades: NDArray[np.int8]
    """How well each passage is known to answer, 0 to 3, of the same shape; an own one that nobody
    graded has 3, any other 0."""
    own: int
    """How many of a list's first passages are of the document that answers, or are graded to
    answer, or are missing."""
    is_taught: NDArray[np.bool_] | None = None
    """Whether a cross-encoder that teaches has a say in a list, shape (queries,); None: in all."""

    @property
    def taught(self) -> NDArray[np.bool_]:
        """``is_taught``, of every list."""
        everywhere = np.ones(len(self.queries), dtype=np.bool_)
        return everywhere if self.is_taught is None else self.is_taught

    @classmethod
    def none(cls, *, own: int) -> "RankingLists":
        """Make what holds no list."""
        nothing = np.empty((0, own), dtype=np.int32)
        grades = nothing.astype(np.int8)
        return cls(Texts.of([]), Texts.of([]), nothing, nothing.astype(np.float32), grades, own)

    def rows(self, places: NDArray[np.integer] | slice) -> "RankingLists":
        """Keep some lists, in the order of ``places``."""
        return replace(
            self,
            queries=self.queries.take(np.arange(len(self.queries))[places]),
            documents=self.documents[places],
            teacher=self.teacher[places],
            grades=self.grades[places],
            is_taught=None if self.is_taught is None else self.is_taught[places],
        )

    def behind(self, passages: Texts) -> "RankingLists":
        """Put other passages before those of the lists, which stay what they are."""
        texts = [one[place] for one in (passages, self.passages) for place in range(len(one))]
        moved = np.where(self.documents == NONE, NONE, self.documents + len(passages))
        return replace(self, passages=Texts.of(texts), documents=moved.astype(np.int32))

    def columns(self, places: NDArray[np.integer]) -> "RankingLists":
        """Keep some passages of each list; ``places`` of shape (lists, passages kept)."""
        return replace(
            self,
            documents=np.take_along_axis(self.documents, places, 1),
            teacher=np.take_along_axis(self.teacher, places, 1),
            grades=np.take_along_axis(self.grades, places, 1),
        )

    def save(self, path: Path) -> None:
        """Write the file as a whole or not at all, with those passages alone that are in a list."""
        used, places = np.unique(self.documents, return_inverse=True)
        missing = int(used[0] < 0)
        passages = self.passages.take(used[missing:])
        new = path.with_suffix(".new.npz")
        np.savez(
            new,
            query_ids=self.queries.ids,
            query_starts=self.queries.starts,
            passage_ids=passages.ids,
            passage_starts=passages.starts,
            documents=(places.reshape(self.documents.shape) - missing).astype(np.int32),
            teacher=self.teacher,
            grades=self.grades,
            own=self.own,
            is_taught=self.taught,
        )
        new.replace(path)


def load_lists(path: Path) -> RankingLists:
    """Read what ``RankingLists.save`` wrote."""
    with np.load(path) as arrays:
        documents, own = arrays["documents"], int(arrays["own"])
        return RankingLists(
            queries=Texts(arrays["query_ids"], arrays["query_starts"]),
            passages=Texts(arrays["passage_ids"], arrays["passage_starts"]),
            documents=documents,
            teacher=arrays["teacher"],
            grades=arrays["grades"] if "grades" in arrays else grade_own(documents, own),
            own=own,
            is_taught=arrays.get("is_taught"),
        )


def load_all(paths: Sequence[Path]) -> RankingLists:
    """Read the lists of several files, those of the last in front.

    Raises:
        ValueError: the files do not have the same ``own``.
    """
    lists, *others = map(load_lists, paths)
    for more, path in zip(others, paths[1:], strict=True):
        if more.own != lists.own:
            message = f"the lists in {path} have `own` {more.own}, those in {paths[0]} {lists.own}"
            raise ValueError(message)
        lists = join(more.behind(lists.passages), lists)
    return lists


def join(first: RankingLists, second: RankingLists) -> RankingLists:
    """Put lists behind others, whose passages begin with theirs; short ones end in ``NONE``."""
    width = max(first.documents.shape[1], second.documents.shape[1])
    lists = [_widen(one, width) for one in (first, second)]
    texts = [one.queries[place] for one in lists for place in range(len(one.queries))]
    return RankingLists(
        Texts.of(texts),
        first.passages,
        np.concatenate([one.documents for one in lists]),
        np.concatenate([one.teacher for one in lists]),
        np.concatenate([one.grades for one in lists]),
        first.own,
        np.concatenate([one.taught for one in lists]),
    )


def _widen(lists: RankingLists, width: int) -> RankingLists:
    pad = ((0, 0), (0, width - lists.documents.shape[1]))
    return replace(
        lists,
        documents=np.pad(lists.documents, pad, constant_values=NONE),
        teacher=np.pad(lists.teacher, pad),
        grades=np.pad(lists.grades, pad),
    )


def grade_own(documents: NDArray[np.int32], own: int) -> NDArray[np.int8]:
    """Give the grades of lists that nobody graded: 3 to each of the first ``own`` that is there."""
    grades = np.zeros(documents.shape, dtype=np.int8)
    grades[:, :own] = 3 * (documents[:, :own] >= 0)
    return grades
