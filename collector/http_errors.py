"""JSON answers, and the form of every error: ``{"error": {"code": "…", "message": "…"}}``."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.routing import Match
from typing_extensions import TypedDict

from core.metrics import count_degraded

_FIXED_FIELDS: Final = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
_CODES = {404: "not_found", 405: "method_not_allowed"}


class ErrorDetail(TypedDict):
    """What went wrong."""

    code: str
    """A fixed word for programs."""
    message: str
    """What is wrong, for people."""


class Error(TypedDict):
    """The form of every error."""

    error: ErrorDetail


class ApiError(Exception):
    """A request that fails with ``status``; ``code`` is a fixed word for programs, ``message`` is for people.

    ``retry_after``: seconds, for the header ``Retry-After``.
    """

    def __init__(self, status: int, code: str, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after


def json_response(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer that is not cached, and whose type browsers do not guess."""
    response = Response(msgspec.json.encode(content), status, media_type="application/json")
    response.raw_headers += _FIXED_FIELDS
    if headers:
        response.headers.update(headers)
    return response


def error_response(error: ApiError) -> Response:
    """The answer of an error, with ``Retry-After`` in whole seconds (at least 1) when the error has it."""
    headers = {}
    if error.retry_after is not None:
        headers["retry-after"] = str(max(1, round(error.retry_after + 0.499)))
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    content: Error = {"error": {"code": error.code, "message": error.message}}
    return json_response(content, error.status, headers)


def unexpected_error_response() -> Response:
    """The answer of an error that nobody foresaw; it is counted."""
    count_degraded("collector", "unexpected_error")
    return error_response(ApiError(500, "internal_error", "unexpected error; the collector's log has the reason"))


def install_error_handlers(app: FastAPI) -> None:
    """Answer every error of ``app``, also those of the framework, in the form of `Error`."""

    async def answer_api_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError)
        return error_response(error)

    async def answer_http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = _CODES.get(error.status_code, "http_error")
        response = error_response(ApiError(error.status_code, code, str(error.detail)))
        response.headers.update(error.headers or {})
        if error.status_code == 405:
            # Starlette lists the methods of one route; a path may have several routes.
            response.headers["allow"] = ", ".join(_find_allowed_methods(request))
        return response

    async def answer_unexpected_error(_: Request, __: Exception) -> Response:
        return unexpected_error_response()

    handlers: list[tuple[type[Exception], Callable[[Request, Exception], Awaitable[Response]]]] = [
        (ApiError, answer_api_error),
        (HTTPException, answer_http_error),
        (Exception, answer_unexpected_error),
    ]
    for kind, handler in handlers:
        app.add_exception_handler(kind, handler)


def _find_allowed_methods(request: Request) -> list[str]:
    found = [route for route in request.app.router.routes if route.matches(request.scope)[0] != Match.NONE]
    # A path of its own (/v1/incidents/bulk) is not one with a parameter (/v1/incidents/{incident_id}) that it would fit, too.
    own = [route for route in found if route.path == request.scope["path"]]
    return sorted({method for route in own or found for method in route.methods})
