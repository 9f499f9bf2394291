"""What a wire dialect is, and which there are: every module of ``dialects`` is one."""

import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Generic, TypeVar

import msgspec

from . import dialects
from .answers import ErrorBody, ErrorWriter, write_error
from .body import field_names
from .rerank import RerankRequest, RerankResult

_Body = TypeVar("_Body", bound=msgspec.Struct)
_Answer = TypeVar("_Answer")


def _no_headers(_: RerankRequest, _result: RerankResult) -> dict[str, str]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect(Generic[_Body, _Answer]):
    """Translates between what goes over the wire and our own request and result."""

    name: str
    """Whose clients speak it."""
    documents_field: str
    """What it calls documents: by this it is told apart where several share a path."""
    paths: tuple[str, ...]
    """Where it is spoken unless the body says otherwise; each path belongs to one dialect."""
    shared_paths: tuple[str, ...] = ()
    """Where a body that has ``documents_field`` is taken for it."""
    body: type[_Body]
    body_schema: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What its schema says beside the struct's own: which fields there must be, say."""
    answer: type[_Answer]
    error: type[msgspec.Struct] = ErrorBody
    read: Callable[[_Body], RerankRequest]
    """Raises FieldError where the body asks for something that cannot be."""
    write: Callable[[_Body, RerankRequest, RerankResult], _Answer]
    """Raises FieldError where the caller does not want what came of it."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """The headers that ``write_headers`` gives, with what they tell."""
    write_headers: Callable[[RerankRequest, RerankResult], dict[str, str]] = _no_headers
    write_error: ErrorWriter = write_error
    summary: str
    description: str
    example: dict[str, Any]
    """A body that works as it stands; begins with the two fields that every body needs."""


def all_dialects() -> list[Dialect[Any, Any]]:
    """Give the ``DIALECT`` of every module in ``dialects``: adding a dialect is adding a file."""
    names = sorted(module.name for module in pkgutil.iter_modules(dialects.__path__))
    return [import_module(f"{dialects.__name__}.{name}").DIALECT for name in names]


def dialects_by_path(
    spoken: Sequence[Dialect[Any, Any]],
) -> dict[str, tuple[Dialect[Any, Any], ...]]:
    """Give the dialects of each path, first the one to which the path belongs."""
    return {
        path: (owner, *(guest for guest in spoken if path in guest.shared_paths))
        for owner in spoken
        for path in owner.paths
    }


def told_apart(spoken: Sequence[Dialect[Any, Any]], content: bytes) -> Dialect[Any, Any]:
    """Give the dialect of a readable body, the first of ``spoken`` where it does not say.

    Documents under two names are read as a guest's: llama.cpp's server takes a body for TEI's
    wherever it has ``texts``.
    """
    owner, *guests = spoken
    names = [guest.documents_field for guest in guests]
    # Searching for bytes costs nothing beside decoding, which few bodies need twice.
    if any(f'"{name}"'.encode() in content for name in names):
        fields = field_names(content, names)
        return next((guest for guest in guests if guest.documents_field in fields), owner)
    return owner
