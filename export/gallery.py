"""The gallery: rerankers that people know, and what is known of them."""

import difflib
import re
from pathlib import Path

import msgspec
import yaml

from .errors import ExportError
from .request import Origin

_CATALOG = Path(__file__).with_name("catalog.yaml")

_RESTRICTED = re.compile(r"\bnc\b|non-?commercial|\bother\b|research", re.IGNORECASE)


class Quality(msgspec.Struct, frozen=True):
    """A published figure."""

    metric: str
    value: float
    url: str
    """The page that gives it."""


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A model of the gallery."""

    source: str
    """What ``ranklet export`` takes."""
    licence: str
    languages: str
    window: int
    """Longest sequence in tokens."""
    parameters: float | None = None
    """In millions."""
    revision: str | None = None
    """The commit to fetch; the newest where None."""
    origin: Origin = "auto"
    quality: tuple[Quality, ...] = ()
    note: str = ""
    unavailable: str = ""
    """Why it cannot be exported; empty where it can."""

    @property
    def is_in_checkout(self) -> bool:
        """Whether the source is a folder of this repository, which no installation has."""
        return self.source.startswith("./")

    @property
    def is_restricted(self) -> bool:
        """Whether the licence forbids commercial use, or may."""
        return restricts_use(self.licence)


def restricts_use(licence: str | None) -> bool:
    """Whether a licence forbids commercial use, or is one that its reader has to judge.

    Args:
        licence: As a model card gives it; None where it does not.
    """
    return licence is not None and _RESTRICTED.search(licence) is not None


def read_catalog() -> dict[str, Entry]:
    """Give the models of the gallery by name."""
    return msgspec.convert(yaml.safe_load(_CATALOG.read_bytes()), dict[str, Entry])


def find_entry(name: str) -> tuple[str, Entry]:
    """Give a model of the gallery by its name there, or by what it is made of, and that name.

    Raises:
        ExportError: there is none of that name; the message says which is near.
    """
    catalog = read_catalog()
    for known, entry in catalog.items():
        if name.lower() in {known, entry.source.lower()}:
            return known, entry
    near = difflib.get_close_matches(name.lower(), catalog, n=1, cutoff=0.3)
    hint = f"; did you mean {near[0]}?" if near else ""
    message = f"the gallery has no {name!r}{hint} (`ranklet models list` shows all)"
    raise ExportError(message)
