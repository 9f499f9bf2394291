"""What can go wrong in the service, beyond what the runtime knows.

The status that a caller sees for each of these is in ``answers``.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from ranklet.runtime.errors import InputError, OverloadedError, RankletError


class _ProblemsError(RankletError, ValueError):
    """Something has problems, all of which are told at once."""

    heading: ClassVar[str]
    """What cannot be done, or what is wrong."""

    def __init__(self, problems: Sequence[str]) -> None:
        """List every one of ``problems``."""
        separator = " " if len(problems) == 1 else "\n  - "
        super().__init__(separator.join([f"{self.heading}:", *problems]))
        self.problems = tuple(problems)


class SettingsError(_ProblemsError):
    """Options or variables are wrong; the message lists all of them."""

    heading = "cannot start with these settings"


class ModelConfigError(_ProblemsError):
    """Model configuration files are wrong; the message lists all problems of all files."""

    heading = "the model configuration has problems"


class AddressError(RankletError, OSError):
    """The address to listen on cannot be had."""

    def __init__(self, host: str, port: int, *, reason: str, is_in_use: bool = False) -> None:
        """Name the address and the ``reason`` that the operating system gives."""
        super().__init__(
            f"cannot listen on {host}:{port}: {reason}; choose another address with --host and "
            "--port, or stop what uses it"
        )
        self.is_in_use = is_in_use


class UnauthorizedError(RankletError):
    """The caller has no key, or one that is not known; no message ever holds it."""

    def __init__(self, *, was_sent: bool) -> None:
        """Say whether a key ``was_sent``."""
        problem = "the API key is not known here" if was_sent else "an API key is required"
        super().__init__(
            f"{problem}; send a key as `Authorization: Bearer KEY` or `x-api-key: KEY`"
        )


class MalformedBodyError(InputError):
    """The body is not JSON or not UTF-8."""


class EmptyRequestError(InputError):
    """There is nothing to rank, where a dialect does not allow that."""

    def __init__(self, *, field: str) -> None:
        """Name the ``field`` that is empty."""
        super().__init__(f"{field} cannot be empty; send at least one")
        self.field = field


class FieldError(InputError):
    """A field of the body is missing or has a wrong value."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        """Say what is wrong with ``field``, the body as a whole where None."""
        super().__init__(message)
        self.field = field


class TooLargeError(InputError):
    """The request is beyond a limit."""

    def __init__(
        self, *, what: str, found: int | None, limit: int, setting: str, field: str | None = None
    ) -> None:
        """Say what there is too much of, both numbers, and the ``setting`` of the limit."""
        number = "more" if found is None else f"{found:,}"
        super().__init__(
            f"too many {what}: {number}, at most {limit:,} are allowed (set by {setting})"
        )
        self.field = field


class BodyTooSlowError(InputError):
    """The body came too slowly to wait for the rest of it."""

    def __init__(self, found: int) -> None:
        """Say how many bytes were ``found``."""
        super().__init__(
            f"the body came too slowly: {found:,} bytes so far; send it again over a faster "
            "connection, or in smaller requests"
        )


class UnknownModelError(InputError, LookupError):
    """No model of that name is configured."""

    def __init__(self, name: str, *, known: Sequence[str]) -> None:
        """Name the model and those that there are."""
        super().__init__(f"no model is called {name!r}; there are: {', '.join(known)}")
        self.field = "model"


class ModelNotInstalledError(RankletError):
    """The model is configured but its bundle has not been built yet."""

    def __init__(self, name: str, *, bundle: Path, command: str) -> None:
        """Name the model and the ``command`` that builds its bundle."""
        super().__init__(
            f"model {name!r} is not installed: there is no bundle at {bundle}; install it with "
            f"`{command}`, then POST to /v1/models/reload"
        )


class BundleRebuiltError(RankletError):
    """A bundle is no longer the one that the configuration was read with."""

    def __init__(self, bundle: Path) -> None:
        """Name the ``bundle``."""
        super().__init__(
            f"{bundle} was built again since the models were read; POST to /v1/models/reload, or "
            "send SIGHUP, to serve the new one"
        )


MODEL_RETRY_SECONDS = 10
"""How long a failed load is not tried again: not every request shall open a damaged file."""


class ModelLoadError(OverloadedError):
    """The model is installed but cannot be loaded."""

    def __init__(self, bundle: Path, *, reason: str) -> None:
        """Name the ``bundle`` and say why."""
        super().__init__(f"the model in {bundle} cannot be loaded: {reason}")
        self.retry_after_seconds = MODEL_RETRY_SECONDS


class ReloadError(_ProblemsError):
    """The configuration cannot be reloaded; the one that was running still is."""

    heading = "nothing was reloaded, what ran before still runs"


class NotReadyError(OverloadedError):
    """The model is still being loaded."""

    def __init__(self, name: str) -> None:
        """Name the model."""
        super().__init__(f"model {name!r} is being loaded; try again in a moment")


class QueueFullError(OverloadedError):
    """Too much waits already."""

    def __init__(  # noqa: PLR0913 - all of it is said
        self,
        *,
        what: str,
        wanted: int,
        waiting: int,
        limit: int,
        setting: str,
        retry_after_seconds: int = 1,
    ) -> None:
        """Give the request's size, how much waits, how much may, and when to try again."""
        super().__init__(
            f"{waiting:,} {what} are waiting, so {wanted:,} more would pass the {limit:,} allowed "
            f"(set by {setting}); try again in {retry_after_seconds} s"
        )
        self.retry_after_seconds = retry_after_seconds


class BodiesFullError(OverloadedError):
    """Too many large bodies are on their way in."""

    def __init__(self, found: int, *, limit: int) -> None:
        """Say how many bytes of all of them are here and how many may be."""
        super().__init__(
            f"{found:,} bytes of large requests are on their way in, at most {limit:,} are taken "
            "at once (four times RANKLET_MAX_BODY_BYTES); try again in a moment, or send smaller "
            "requests"
        )


class ClientGoneError(RankletError):
    """The caller closed the connection before the answer was there."""
