"""API keys: who may call.

Only digests of the keys are kept, so that no log, dump or representation can show a key, and all
comparisons are of equal length.
"""

import ipaddress
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from .errors import SettingsError, UnauthorizedError
from .settings import Settings

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/health", "/ping", "/version"})
"""What load balancers and supervisors ask, mostly without a key."""

_KEY_HEADERS = ("x-api-key", "xi-api-key")

Guard = Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ApiKeys:
    """The keys that open the server; where there are none, it is open to all."""

    digests: tuple[bytes, ...]

    def admit(self, candidates: Iterable[str]) -> bool:
        """Whether one of ``candidates`` is a key; takes as long whichever it is."""
        found = False
        for candidate in candidates:
            # Headers hold bytes, which ASGI servers read as Latin-1.
            digest = sha256(candidate.encode("latin-1", "replace")).digest()
            for known in self.digests:
                found |= compare_digest(digest, known)
        return found


def read_api_keys(settings: Settings) -> ApiKeys:
    """Read the keys of the variable and of the file.

    Raises:
        SettingsError: the file cannot be read or holds no key, or no header can carry a key; no
            key is quoted.
    """
    keys = [(f"key {n} of RANKLET_API_KEYS", key) for n, key in enumerate(settings.api_keys, 1)]
    file = settings.api_keys_file
    if file is not None:
        try:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            message = f"--api-keys-file is '{file}', which cannot be read: {reason}"
            raise SettingsError([message]) from error
        stripped = [(f"{file}:{n}", line.strip()) for n, line in enumerate(lines, 1)]
        of_file = [(place, key) for place, key in stripped if key and not key.startswith("#")]
        if not of_file:
            message = f"--api-keys-file is '{file}', which holds no key; write one a line"
            raise SettingsError([message])
        keys += of_file
    problems = [
        f"{place} has characters that no header can carry; use printable ASCII without spaces"
        for place, key in keys
        if not (key.isascii() and key.isprintable()) or " " in key
    ]
    if problems:
        raise SettingsError(problems)
    return ApiKeys(tuple(sha256(key.encode()).digest() for _, key in keys))


def key_guard(keys: ApiKeys) -> Guard:
    """Make the guard that closes all routes but the open ones to callers without a key."""

    async def require_key(
        connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler
    ) -> None:
        if connection.scope["path"].rstrip("/") in OPEN_PATHS:
            return
        candidates = _candidates(connection)
        if not keys.admit(candidates):
            raise UnauthorizedError(was_sent=bool(candidates))

    return require_key


def _candidates(connection: ASGIConnection[Any, Any, Any, Any]) -> list[str]:
    """Give what may be a key; some clients send theirs twice, or without saying ``Bearer``."""
    found = [value for name in _KEY_HEADERS for value in connection.headers.getall(name, [])]
    for value in connection.headers.getall("authorization", []):
        scheme, _, token = value.partition(" ")
        found.append(token if scheme.lower() == "bearer" else value)
    return [value for value in map(str.strip, found) if value]


def is_open_to_others(host: str) -> bool:
    """Whether an address to listen on can be reached from other machines."""
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() != "localhost"
