"""The span of a request: a child of the gateway's or caller's, named by its route, in error when the API failed."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, use_span
from starlette.types import Scope

from resources.telemetry import attributes, tracing

_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_PROBES = frozenset({"/livez", "/readyz", "/healthz"})
"""They come every second and would be most of what is stored."""


@dataclass(frozen=True, slots=True)
class RequestSpan:
    """The span under which a request is answered, and its W3C form: what the answer says and the job's row keeps."""

    span: Span

    @property
    def traceparent(self) -> str:
        return tracing.traceparent(self.span.get_span_context())

    def end(self, scope: Scope, status: int) -> None:
        """Name it by its route, which only the router knows, and say whether the API failed."""
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        route = getattr(scope.get("route"), "path", None)
        self.span.update_name(f"{method} {route}" if route else method)
        if status >= 500:
            tracing.fail(self.span, str(scope["state"].get("error_code", status)))


@contextmanager
def request_span(scope: Scope, given: str) -> Iterator[RequestSpan]:
    """Answer inside a span; `given` is the request's `traceparent`. A probe has ids alone, as all without traces."""
    parent = tracing.parse(given) if _TRACEPARENT.fullmatch(given) else None
    if not tracing.is_on() or scope["path"] in _PROBES:
        with use_span(NonRecordingSpan(parent or _new_ids())) as carried:
            yield RequestSpan(carried)
        return
    known = {attributes.HTTP_REQUEST_ID: scope["state"]["request_id"]}
    with tracing.span("request", known, parent=tracing.within(parent), kind=SpanKind.SERVER) as span:
        yield RequestSpan(span)


def _new_ids() -> SpanContext:
    return tracing.remote(int(secrets.token_hex(16), 16) or 1, int(secrets.token_hex(8), 16) or 1)
