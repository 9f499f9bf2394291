"""Error answers: the status of each kind of error, and a body that every client understands.

OpenAI's and LocalAI's clients read ``error.message``, Jina's ``detail``, Cohere's ``message``.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from litestar.connection import Request
from litestar.exceptions import HTTPException
from litestar.response import Response
from msgspec import UNSET, Meta, UnsetType

from ranklet.runtime.errors import (
    ClosedError,
    InputError,
    OverloadedError,
    RankletError,
    ScoringError,
)

from .errors import (
    BodiesFullError,
    BodyTooSlowError,
    ClientGoneError,
    EmptyRequestError,
    FieldError,
    MalformedBodyError,
    ModelLoadError,
    ModelNotInstalledError,
    NotReadyError,
    ReloadError,
    TooLargeError,
    UnauthorizedError,
    UnknownModelError,
)

_log = logging.getLogger(__name__)

JSON = "application/json"

_RETRY_AFTER_SECONDS = 1
"""Where the error does not know better: loading a model from a warm disk takes less."""


class ErrorDetail(msgspec.Struct, kw_only=True):
    """What went wrong, as OpenAI's and LocalAI's clients read it."""

    message: Annotated[str, Meta(description="What is wrong and what to change.")]
    type: Annotated[str, Meta(description="The kind of error.", examples=["invalid_request_error"])]
    code: Annotated[str, Meta(description="The error itself.", examples=["invalid_value"])]
    param: Annotated[
        str | UnsetType,
        Meta(description="The field that is wrong, where one is.", examples=["top_n"]),
    ] = UNSET


class ErrorBody(msgspec.Struct):
    """The body of every answer that is not a success."""

    error: ErrorDetail
    detail: Annotated[str, Meta(description="The message again, where Jina's clients look.")]
    message: Annotated[str, Meta(description="The message again, where Cohere's clients look.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What an error answer has to say, whatever its body looks like."""

    status: int
    type: str
    code: str
    message: str
    field: str | None = None
    """The field that is wrong, where one is."""


ErrorWriter = Callable[[Failure], msgspec.Struct]


@dataclass(frozen=True, slots=True)
class Answer:
    """How a kind of error is answered."""

    status: int
    type: str
    code: str
    is_worth_retrying: bool = False


_INVALID = "invalid_request_error"

ANSWERS: dict[type[Exception], Answer] = {
    MalformedBodyError: Answer(400, _INVALID, "malformed_body"),
    EmptyRequestError: Answer(400, _INVALID, "empty"),
    UnauthorizedError: Answer(401, "authentication_error", "invalid_api_key"),
    UnknownModelError: Answer(404, "not_found_error", "model_not_found"),
    BodyTooSlowError: Answer(408, _INVALID, "body_too_slow"),
    TooLargeError: Answer(413, _INVALID, "too_large"),
    FieldError: Answer(422, _INVALID, "invalid_value"),
    InputError: Answer(422, _INVALID, "invalid_value"),
    OverloadedError: Answer(429, "overloaded_error", "queue_full", is_worth_retrying=True),
    BodiesFullError: Answer(429, "overloaded_error", "bodies_full", is_worth_retrying=True),
    ClientGoneError: Answer(499, _INVALID, "client_closed_request"),
    ScoringError: Answer(500, "server_error", "scoring_failed"),
    RankletError: Answer(500, "server_error", "internal_error"),
    ReloadError: Answer(409, _INVALID, "invalid_configuration"),
    ModelLoadError: Answer(503, "unavailable_error", "model_failed", is_worth_retrying=True),
    ModelNotInstalledError: Answer(503, "unavailable_error", "model_not_installed"),
    NotReadyError: Answer(503, "unavailable_error", "model_loading", is_worth_retrying=True),
    ClosedError: Answer(503, "unavailable_error", "shutting_down", is_worth_retrying=True),
}
"""By class; a subclass that is not listed is answered as its nearest base."""

ERROR_WRITER = "ranklet_error_writer"
"""Where a route has its ``ErrorWriter`` among its options, for errors before the body is read."""

_LONGEST_MESSAGE = 1_000
"""In characters, of those that quote the caller."""

_FRAMEWORK_CODES = {404: "route_not_found", 405: "method_not_allowed"}


def answer_ranklet_error(request: Request[Any, Any, Any], error: RankletError) -> Response[bytes]:
    """Answer an error that ranklet raised on purpose."""
    answer = next(ANSWERS[kind] for kind in type(error).__mro__ if kind in ANSWERS)
    headers: dict[str, str] = {}
    if answer.is_worth_retrying:
        headers["Retry-After"] = str(getattr(error, "retry_after_seconds", _RETRY_AFTER_SECONDS))
    if isinstance(error, UnauthorizedError):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, TooLargeError | BodyTooSlowError | BodiesFullError):
        headers["Connection"] = "close"  # what is left of the body is never read
    if answer.status == 500:  # noqa: PLR2004 - ours to repair, so the log needs the details
        _log.error("a request failed", exc_info=error)
    field: str | None = getattr(error, "field", None)
    failure = Failure(
        status=answer.status,
        type=answer.type,
        code=answer.code,
        message=_shortened(str(error)) if isinstance(error, InputError) else str(error),
        field=field and _shortened(field),
    )
    return _response(request, failure, headers)


def answer_framework_error(
    request: Request[Any, Any, Any], error: HTTPException
) -> Response[bytes]:
    """Answer what Litestar itself refuses: a route or a method that there is not."""
    status = error.status_code
    message = f"{request.method} {request.url.path}: {error.detail}; see /docs for what there is"
    kind = "not_found_error" if status == 404 else _INVALID if status < 500 else "server_error"  # noqa: PLR2004 - statuses
    code = _FRAMEWORK_CODES.get(status, "http_error")
    failure = Failure(status=status, type=kind, code=code, message=_shortened(message))
    return _response(request, failure, dict(error.headers or {}))


def answer_unknown_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer a bug: the details are for the log, not for the caller."""
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    message = "an internal error; the server's log has the details"
    failure = Failure(status=500, type="server_error", code="internal_error", message=message)
    return _response(request, failure, {})


def write_error(failure: Failure) -> ErrorBody:
    """Give the body that all clients understand but those of dialects with errors of their own."""
    detail = ErrorDetail(
        message=failure.message,
        type=failure.type,
        code=failure.code,
        param=failure.field or UNSET,
    )
    return ErrorBody(detail, failure.message, failure.message)


def answer_errors_with(request: Request[Any, Any, Any], write: ErrorWriter) -> None:
    """Choose how errors of this request are written from now on, whatever its route says."""
    request.scope["state"][ERROR_WRITER] = write


def _writer(request: Request[Any, Any, Any]) -> ErrorWriter:
    has_route = "route_handler" in request.scope  # not where none matches
    options = request.route_handler.opt if has_route else {}
    of_route: ErrorWriter = options.get(ERROR_WRITER, write_error)
    of_body: ErrorWriter = request.scope["state"].get(ERROR_WRITER, of_route)
    return of_body


def _shortened(text: str) -> str:
    """Leave out the middle of a message or a field that quotes what came at any length."""
    half = _LONGEST_MESSAGE // 2
    return text if len(text) <= 2 * half else f"{text[:half]} … {text[-half:]}"


def _response(
    request: Request[Any, Any, Any], failure: Failure, headers: dict[str, str]
) -> Response[bytes]:
    write = _writer(request)
    body = msgspec.json.encode(write(failure))
    return Response(body, status_code=failure.status, headers=headers, media_type=JSON)
