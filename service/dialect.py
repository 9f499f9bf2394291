"""What a wire dialect is, and which there are: every module of ``dialects`` is one."""

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Generic, TypeVar

import msgspec

from . import dialects
from .rerank import RerankRequest, RerankResult

_Body = TypeVar("_Body", bound=msgspec.Struct)
_Answer = TypeVar("_Answer", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect(Generic[_Body, _Answer]):
    """Translates between what goes over the wire at ``paths`` and our own request and result."""

    paths: tuple[str, ...]
    body: type[_Body]
    answer: type[_Answer]
    read: Callable[[_Body], RerankRequest]
    """Raises FieldError where the body asks for something that cannot be."""
    write: Callable[[_Body, RerankRequest, RerankResult], _Answer]
    summary: str
    description: str
    example: dict[str, Any]
    """A body that works as it stands."""


def all_dialects() -> list[Dialect[Any, Any]]:
    """Give the ``DIALECT`` of every module in ``dialects``: adding a dialect is adding a file."""
    names = sorted(module.name for module in pkgutil.iter_modules(dialects.__path__))
    return [import_module(f"{dialects.__name__}.{name}").DIALECT for name in names]
