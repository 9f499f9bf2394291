"""Errors cross processes: pools send them back pickled."""

import errno
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

import ranklet.evaluation.errors
import ranklet.export.errors
import ranklet.service.errors
from ranklet.runtime.errors import BundleFileMissingError, ChecksumError, RankletError, rebuild


def subclasses(kind: type[RankletError]) -> Iterator[type[RankletError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from subclasses(below)


def sent(error: RankletError) -> RankletError:
    copy: RankletError = pickle.loads(pickle.dumps(error))  # noqa: S301 - it comes from here
    return copy


ALL = sorted(set(subclasses(RankletError)), key=lambda kind: kind.__qualname__)


@pytest.mark.parametrize("kind", ALL)
def test_every_error_can_be_pickled(kind: type[RankletError]) -> None:
    """However it is made: what it holds is taken over."""
    error = rebuild(kind, ("what went wrong",))
    error.__dict__["found"] = Path("bundle")
    copy = sent(error)
    assert type(copy) is kind
    assert (str(copy), copy.args, copy.__dict__) == (str(error), error.args, error.__dict__)


@pytest.mark.parametrize(
    "error",
    [
        BundleFileMissingError(Path("bundle/fp32.onnx"), hint="export it again"),
        ChecksumError(Path("bundle/fp32.onnx"), expected="a", found="b"),
        ranklet.evaluation.errors.CollectionFileMissingError(Path("x"), hint="name another"),
        ranklet.evaluation.errors.CacheError(Path("x"), OSError(errno.EACCES, "no")),
        ranklet.evaluation.errors.MissingPackageError("rich"),
        ranklet.export.errors.SourceNotFoundError("x", "is nowhere"),
        ranklet.service.errors.AddressError("127.0.0.1", 80, reason="it is taken"),
    ],
)
def test_a_message_stays_as_it_was(error: RankletError) -> None:
    copy = sent(error)
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))
