"""What may be written for an option; for anything else, ValueError says what was expected."""

import math
import re
from collections.abc import Callable, Sequence

_DIGITS = re.compile(r"[0-9]{1,18}")
_ORIGIN = re.compile(r"\*|[a-z][a-z0-9+.-]*://[^/?#\s,]+")

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*((?:[kmg]i?)?b?)", re.IGNORECASE | re.ASCII)
_UNITS = {
    prefix + suffix: factor
    for prefix, factor in {
        "": 1,
        **{letter: 1000 ** (power + 1) for power, letter in enumerate("KMG")},
        **{f"{letter}I": 1024 ** (power + 1) for power, letter in enumerate("KMG")},
    }.items()
    for suffix in ("", "B")
}
"""Bytes in a unit, in capitals: K and KB are 1000, KI and KIB 1024."""


def at_least(lowest: int, highest: int | None = None) -> Callable[[str], int]:
    """Make a parser of whole numbers from ``lowest`` to ``highest``, or up where None."""
    expected = f"a whole number from {lowest}" + (f" to {highest}" if highest else " up")

    def parse(text: str) -> int:
        # `int` would also take 1_000 and the digits of all scripts.
        value = int(text) if _DIGITS.fullmatch(text.strip()) else -1
        if value < lowest or (highest is not None and value > highest):
            raise ValueError(expected)
        return value

    return parse


def size(text: str) -> int:
    """Give the bytes of a size, as ``512MiB``."""
    found = _SIZE.fullmatch(text.strip())
    size = float(found[1]) * _UNITS[found[2].upper()] if found else 0
    if not 1 <= size < math.inf:
        message = "a number of bytes, as 512MiB, 2GB or 536870912"
        raise ValueError(message)
    return int(size)


def one_of(words: Sequence[str]) -> Callable[[str], str]:
    """Make a parser of ``words``, which are in small letters, in any case."""

    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError("one of " + ", ".join(words))
        return text.lower()

    return parse


def comma_list(text: str) -> tuple[str, ...]:
    """Give what stands between commas."""
    parts = tuple(part for part in map(str.strip, text.split(",")) if part)
    if not parts:
        message = "at least one entry beside commas"
        raise ValueError(message)
    return parts


def origins(text: str) -> tuple[str, ...]:
    """Give the origins of pages between commas, or ``*``."""
    found = comma_list(text)
    if not all(_ORIGIN.fullmatch(origin) for origin in found):
        message = "* or origins without a path, as https://a.example,http://localhost:3000"
        raise ValueError(message)
    return found
