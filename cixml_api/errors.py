"""What an error looks like over HTTP: the status table, and RFC 9457 bodies with the house's `error_code`.

Code families: 0xx look-up, 1xx field, 2xx permission or state, 3xx limit, 5xx dependency. The object and the verb of
a code come from the route's operation id: `cixml_job_create_104`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Scope

from resources import errors

MEDIA_TYPE = "application/problem+json"
MOST_FIELD_PROBLEMS = 1000

MISSING, UNKNOWN, URL, VALUE, CHARACTER, RANGE = 103, 102, 104, 105, 106, 107
"""Numbers of single fields: missing, unknown, a URL, a wrong value or type, a refused character, out of range."""

_log = logging.getLogger("cixml.api")


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldProblem:
    """One field that is wrong. `pointer` is a JSON pointer into the body, or `/name` of a query parameter."""

    pointer: str
    number: int
    detail: str


class InvalidFieldsError(errors.InvalidRequestError):
    """Fields of the request are not valid."""

    def __init__(self, problems: Sequence[FieldProblem]) -> None:
        one = problems[0].detail if len(problems) == 1 else f"{len(problems)} fields are not valid: see 'errors'"
        super().__init__(one, pointer=problems[0].pointer)
        self.problems = problems[:MOST_FIELD_PROBLEMS]


class MalformedBodyError(errors.CallerError):
    """The body is not JSON."""

    code = "malformed_body"


class MediaTypeError(errors.CallerError):
    """The body's type is not JSON: send it as 'Content-Type: application/json'."""

    code = "unsupported_media_type"


class KeyReusedError(errors.CallerError):
    """The Idempotency-Key was used for another body on this path: send a new key with a new request."""

    code = "idempotency_key_reused"


class NothingToRetryError(errors.CallerError):
    """The job has no item that could be retried so."""

    code = "nothing_to_retry"


class BodyTooLargeError(errors.CallerError):
    """The body is too large."""

    code = "body_too_large"


@dataclass(frozen=True, slots=True)
class Answer:
    """How one class of errors is answered."""

    status: int
    number: int
    title: str

    @property
    def type(self) -> str:
        return "urn:cixml:problem:" + self.title.lower().replace(" ", "-")


_INTERNAL = Answer(500, 599, "Internal error")

ANSWERS: dict[type[errors.CixmlError], Answer] = {
    errors.NotFoundError: Answer(404, 1, "Not found"),
    MalformedBodyError: Answer(400, 100, "Malformed body"),
    MediaTypeError: Answer(415, 101, "Unsupported media type"),
    errors.InvalidRequestError: Answer(422, VALUE, "Invalid request"),
    errors.InvalidUrlError: Answer(422, URL, "Invalid request"),
    InvalidFieldsError: Answer(422, VALUE, "Invalid request"),
    errors.UnauthenticatedError: Answer(401, 201, "Unauthenticated"),
    KeyReusedError: Answer(422, 203, "Key reused"),
    NothingToRetryError: Answer(409, 202, "Nothing to retry"),
    errors.ForbiddenError: Answer(403, 204, "Forbidden"),
    errors.ConflictError: Answer(409, 211, "Conflict"),
    errors.PreconditionFailedError: Answer(412, 212, "Precondition failed"),
    errors.PreconditionRequiredError: Answer(428, 213, "Precondition required"),
    BodyTooLargeError: Answer(413, 301, "Body too large"),
    errors.RateLimitedError: Answer(429, 302, "Too many requests"),
    errors.QuotaExceededError: Answer(429, 303, "Quota exceeded"),
    errors.TooManyBadKeysError: Answer(429, 304, "Too many bad keys"),
    errors.DatabaseUnavailableError: Answer(503, 501, "Database unavailable"),
    errors.StorageFullError: Answer(503, 505, "Storage full"),
    errors.CacheUnavailableError: Answer(503, 502, "Cache unavailable"),
    errors.MembershipUnavailableError: Answer(503, 503, "Membership unavailable"),
    errors.ExtractorUnavailableError: Answer(503, 504, "Extractor unavailable"),
    errors.EmbeddingUnavailableError: Answer(503, 510, "Embedding unavailable"),
    errors.BreakerOpenError: Answer(503, 511, "Breaker open"),
    errors.EmbeddingThrottledError: Answer(503, 512, "Embedding throttled"),
    errors.EmbeddingInvalidError: Answer(503, 513, "Embedding invalid"),
    # The pipeline's own: none reaches a caller; if one does, it is a fault of ours.
    errors.ScrapingError: _INTERNAL,
    errors.HostPausedError: _INTERNAL,
    errors.ChunkingError: _INTERNAL,
    errors.EmbeddingRejectedError: _INTERNAL,
    errors.LeaseLostError: _INTERNAL,
    errors.ConfigurationError: Answer(500, 598, "Configuration error"),
}

_HTTP_ANSWERS = {404: Answer(404, 2, "No such path"), 405: Answer(405, 3, "Method not allowed")}


def answer_of(kind: type[errors.CixmlError]) -> Answer:
    """Return the entry of a class or of its nearest parent that has one."""
    return next((ANSWERS[each] for each in kind.__mro__ if each in ANSWERS), _INTERNAL)


def problem(scope: Scope, error: errors.CixmlError, answer: Answer | None = None) -> Response:
    """Return the answer to a request that failed with `error`."""
    answer = answer or answer_of(type(error))
    operation = getattr(scope.get("route"), "operation_id", None) or "request_read"
    family = f"cixml_{operation.partition('.')[0]}"
    state = scope.setdefault("state", {})
    state["error_code"] = f"{family}_{answer.number:03}"
    body: dict[str, object] = {
        "type": answer.type,
        "title": answer.title,
        "status": answer.status,
        "detail": error.message if answer.status != 500 else "The error is logged with this request id.",
        "instance": scope["path"],
        "error_code": state["error_code"],
        "request_id": state.get("request_id"),
        "trace_id": state.get("trace_id"),
        "retryable": error.retryable,
        "errors": [
            {"pointer": each.pointer, "error_code": f"{family}_{each.number:03}", "detail": each.detail}
            for each in _field_problems(error, answer)
        ],
    }
    headers = {"X-Request-Id": state["request_id"]} if "request_id" in state else {}
    if isinstance(error, errors.LimitError):
        body["violated-policies"] = error.policies
    if isinstance(error, errors.DependencyError | errors.LimitError) and error.retry_after_seconds is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_seconds)))
    if isinstance(error, errors.UnauthenticatedError):
        headers["WWW-Authenticate"] = "Bearer"
    return Response(orjson.dumps(body), status_code=answer.status, headers=headers, media_type=MEDIA_TYPE)


def _field_problems(error: errors.CixmlError, answer: Answer) -> Sequence[FieldProblem]:
    if isinstance(error, InvalidFieldsError):
        return error.problems
    if isinstance(error, errors.InvalidRequestError) and error.pointer:
        return [FieldProblem(pointer=error.pointer, number=answer.number, detail=error.message)]
    return []


def install(app: FastAPI) -> None:
    """Answer every exception with a problem."""
    app.add_exception_handler(errors.CixmlError, _on_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_parameters)
    app.add_exception_handler(Exception, _on_bug)


async def _on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.CixmlError)
    answer = answer_of(type(error))
    if answer.status >= 500:
        _log.warning(
            "%s %s: %s: %s", request.method, request.url.path, error.code, error, exc_info=answer.status == 500
        )
    return problem(request.scope, error, answer)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    answer = _HTTP_ANSWERS.get(error.status_code, Answer(error.status_code, 4, "Request refused"))
    response = problem(request.scope, errors.CallerError(str(error.detail)), answer)
    response.headers.update(error.headers or {})
    return response


async def _on_parameters(request: Request, error: Exception) -> Response:
    """Query parameters that FastAPI refused; bodies are validated in bodies.py."""
    assert isinstance(error, RequestValidationError)
    problems = [
        FieldProblem(pointer="/" + "/".join(map(str, each["loc"][1:])), number=RANGE, detail=each["msg"])
        for each in error.errors()
    ]
    return problem(request.scope, InvalidFieldsError(problems))


async def _on_bug(request: Request, error: Exception) -> Response:
    """Answer a bug; the exception itself goes on to the server, which logs it."""
    return problem(request.scope, errors.CixmlError(str(error)), _INTERNAL)
