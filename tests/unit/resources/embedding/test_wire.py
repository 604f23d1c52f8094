"""Small parts of the wire: the Retry-After header, the limit of requests at once, the trace on the request."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from opentelemetry.sdk.trace import TracerProvider

from resources.embedding.client import EmbeddingClient
from resources.embedding.concurrency import AdaptiveLimit
from resources.embedding.wire import retry_after_seconds
from tests.fakes.embedding_server import EmbeddingServer


@pytest.mark.parametrize(
    ("header", "seconds"), [("3", 3.0), ("0.5", 0.5), ("-1", 0.0), ("", None), (None, None), ("soon", None)]
)
def test_retry_after_is_a_number_of_seconds(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header) == seconds


def test_retry_after_may_be_a_date() -> None:
    header = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert retry_after_seconds(header) == pytest.approx(29.5, abs=1)


async def test_the_limit_halves_under_overload_and_grows_back() -> None:
    limit = AdaptiveLimit(8)
    limit.shrink()
    limit.shrink()
    assert limit.limit == 2
    limit.shrink()
    limit.shrink()
    limit.shrink()
    assert limit.limit == 1
    for _ in range(100):
        limit.grow()
    assert limit.limit == 8


async def test_no_more_hold_a_slot_than_the_limit() -> None:
    limit = AdaptiveLimit(3)
    busy = most = 0

    async def work() -> None:
        nonlocal busy, most
        async with limit.slot():
            busy += 1
            most = max(most, busy)
            await asyncio.sleep(0)
            busy -= 1

    await asyncio.gather(*(work() for _ in range(50)))
    assert most == 3


async def test_the_trace_goes_on_to_the_server(client: EmbeddingClient, server: EmbeddingServer) -> None:
    with TracerProvider().get_tracer("test").start_as_current_span("search") as span:
        await client.embed(["one"], operation="read")
    assert f"{span.get_span_context().trace_id:032x}" in server.stats.headers["traceparent"]
