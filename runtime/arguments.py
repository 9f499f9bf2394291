"""Checking what callers of the reranker give: wrong values are told before anything is scored."""

import operator
from collections.abc import Iterable, Mapping

from .errors import InputError


def require_text(value: object, *, name: str) -> None:
    """Check that ``value`` is a string.

    Raises:
        InputError: it is not.
    """
    if not isinstance(value, str):
        message = f"{name} must be a string, not {type(value).__name__}"
        raise InputError(message)


def listed_documents(documents: Iterable[str]) -> list[str]:
    """Give documents as a list, also where they can be gone through only once, as a generator's.

    Raises:
        InputError: they are no strings, or have no order that scores could follow.
    """
    kind = type(documents).__name__
    if isinstance(documents, str):
        message = "documents must be a list of strings, not a string"
        raise InputError(message)
    try:
        entries = iter(documents)
    except TypeError:
        entries = None
    if entries is None or isinstance(documents, bytes | bytearray | Mapping | set | frozenset):
        message = f"documents must be a list of strings, not {kind}"
        raise InputError(message)
    listed = list(entries)
    for index, document in enumerate(listed):
        require_text(document, name=f"documents[{index}]")
    return listed


def whole_number(value: int, *, name: str) -> int:
    """Give ``value`` as an int, also where it is one of numpy's.

    Raises:
        InputError: it is not a whole number.
    """
    try:
        return operator.index(value)
    except TypeError as error:
        message = f"{name} must be a whole number, not {value!r}"
        raise InputError(message) from error


def at_least_one(value: int, *, name: str) -> int:
    """Give ``value`` as an int.

    Raises:
        InputError: it is not a whole number, or less than 1.
    """
    number = whole_number(value, name=name)
    if number < 1:
        message = f"{name} must be at least 1, not {number}"
        raise InputError(message)
    return number
