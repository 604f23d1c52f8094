"""What every request gets before anything looks at it: an id, a span, and a limit on its body; and after it ended.

An endpoint's dependencies leave `access` (what the audit record gets) and `count` (the rate limit) in the state.
"""

from __future__ import annotations

import math
import re
import time
from uuid import uuid4

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cixml_api.audit import AuditLog
from cixml_api.errors import BodyTooLargeError, problem
from cixml_api.request_span import RequestSpan, request_span
from resources.cache.rate_limits import WINDOW_SECONDS, Count
from resources.telemetry import metrics

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


ENDED_WITHOUT_ANSWER = 499
"""In the audit record: the caller went away."""


class RequestFrame:
    """Sets `request_id`, `trace_id`, `traceparent` and `started` (perf_counter) in the request's state."""

    def __init__(self, app: ASGIApp, *, max_body_bytes: int, audit: AuditLog) -> None:
        self._app = app
        self._audit = audit
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        state = scope.setdefault("state", {})
        state["started"] = time.perf_counter()
        state["request_id"] = _request_id(headers.get(b"x-request-id", b"").decode("latin-1"))
        with request_span(scope, headers.get(b"traceparent", b"").decode("latin-1")) as span:
            state["traceparent"] = span.traceparent
            state["trace_id"] = span.traceparent[3:35]
            await self._framed(scope, headers, receive, send, span)

    async def _framed(
        self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, send: Send, span: RequestSpan
    ) -> None:
        state = scope["state"]
        status = ENDED_WITHOUT_ANSWER

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _observe(scope, state["started"])
                message["headers"] = [
                    *(header for header in message["headers"] if header[0] != b"x-request-id"),
                    (b"x-request-id", state["request_id"].encode()),
                    (b"traceparent", state["traceparent"].encode()),
                    *_rate_headers(state.get("count")),
                ]
                if "access" in state:
                    _note_made(state["access"].ids, message["headers"])
            await send(message)

        try:
            await self._limited(scope, headers.get(b"content-length", b""), receive, send_with_id)
        except Exception:
            status = 500
            raise
        finally:
            metrics.requests.labels(_route(scope), status).inc()
            span.end(scope, status)
            if "access" in state:
                self._audit.add(state["access"], state, status=status)

    async def _limited(self, scope: Scope, declared: bytes, receive: Receive, send: Send) -> None:
        """Refuse a body that says it is too large; stop reading one that turns out to be."""
        too_large = BodyTooLargeError(f"The body may have {self._max_body_bytes} bytes: split the request")
        if declared.isdigit() and int(declared) > self._max_body_bytes:
            await problem(scope, too_large)(scope, receive, send)
            return
        received = 0

        async def receive_limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_body_bytes:
                raise too_large
            return message

        await self._app(scope, receive_limited, send)


def _route(scope: Scope) -> str:
    """Return the id of the operation that answered, so that no path of a caller is in a metric."""
    return getattr(scope.get("route"), "operation_id", None) or "none"


def _observe(scope: Scope, started: float) -> None:
    metrics.request_duration_seconds.labels(_route(scope)).observe(time.perf_counter() - started)


def _rate_headers(count: Count | None) -> list[tuple[bytes, bytes]]:
    """Return the two fields of draft-ietf-httpapi-ratelimit-headers, for whoever is known."""
    if count is None:
        return []
    seconds = math.ceil(count.reset_seconds)
    return [
        (b"ratelimit-policy", f'"{count.policy}";q={count.limit};w={WINDOW_SECONDS}'.encode()),
        (b"ratelimit", f'"{count.policy}";r={count.remaining};t={seconds}'.encode()),
    ]


def _note_made(ids: dict[str, str], headers: list[tuple[bytes, bytes]]) -> None:
    """Add the id of what was made, from the answer's Location: it is the record's one link to it."""
    location = next((value.decode("latin-1") for name, value in headers if name == b"location"), None)
    if location is not None:
        ids["made"] = location.rpartition("/")[2]


def _request_id(given: str) -> str:
    return given if _REQUEST_ID.fullmatch(given) else uuid4().hex
