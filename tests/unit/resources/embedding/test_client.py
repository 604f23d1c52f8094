"""The client against a real server that fails in every way it can."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import numpy as np
import pytest
from prometheus_client import REGISTRY

from resources.embedding.breaker_local import BreakerLimits
from resources.embedding.client import EmbeddingClient
from resources.embedding.registry import Model
from resources.errors import (
    BreakerOpenError,
    EmbeddingInvalidError,
    EmbeddingRejectedError,
    EmbeddingThrottledError,
    EmbeddingUnavailableError,
)
from tests.fakes.embedding_server import EmbeddingServer, _hash_vector

MakeClient = Callable[..., EmbeddingClient]


def expected(text: str, dimension: int = 16) -> np.ndarray:
    return _hash_vector(text, dimension)


def used_tokens(operation: str) -> float:
    labels = {"model": "all-MiniLM-L6-v2", "operation": operation}
    return REGISTRY.get_sample_value("openai_tokens_used_total", labels) or 0.0


async def test_vectors_come_in_the_order_of_the_texts_with_the_documents_prefix(client: EmbeddingClient) -> None:
    embedded = await client.embed(["one", "two", "three"], operation="write")
    assert embedded.vectors.dtype == np.float32
    for vector, text in zip(embedded.vectors, ["one", "two", "three"], strict=True):
        np.testing.assert_allclose(vector, expected(f"passage: {text}"), atol=1e-6)
    assert embedded.tokens == 3 * 5


async def test_a_query_has_the_querys_prefix(client: EmbeddingClient) -> None:
    embedded = await client.embed(["one"], operation="read")
    np.testing.assert_allclose(embedded.vectors[0], expected("query: one"), atol=1e-6)


async def test_no_texts_make_no_request(client: EmbeddingClient, server: EmbeddingServer) -> None:
    assert (await client.embed([], operation="write")).vectors.shape == (0, 16)
    assert server.stats.requests == 0


async def test_tokens_are_counted_by_model_and_operation(client: EmbeddingClient) -> None:
    before = used_tokens("read"), used_tokens("write")
    await client.embed(["a b c"], operation="read")
    await client.embed(["a b c", "d"], operation="write")
    assert (used_tokens("read") - before[0], used_tokens("write") - before[1]) == (8, 8 + 5)


async def test_the_key_is_sent_and_the_format_is_base64(client: EmbeddingClient, server: EmbeddingServer) -> None:
    await client.embed(["one"], operation="write")
    assert server.stats.headers["authorization"] == "Bearer secret"


@pytest.mark.parametrize("kind", ["truncated_json", "wrong_dimension", "nan", "zero", "wrong_order", "short"])
async def test_an_invalid_answer_is_refused_after_two_tries(
    client: EmbeddingClient, server: EmbeddingServer, kind: str
) -> None:
    server.break_next(2, kind)
    with pytest.raises(EmbeddingInvalidError):
        await client.embed(["one", "two"], operation="write")
    assert server.stats.requests == 2


@pytest.mark.parametrize("kind", ["truncated_json", "wrong_dimension", "nan", "hang_up"])
async def test_one_bad_answer_is_asked_again(client: EmbeddingClient, server: EmbeddingServer, kind: str) -> None:
    server.break_next(1, kind)
    assert (await client.embed(["one"], operation="write")).vectors.shape == (1, 16)


@pytest.mark.parametrize("status", [500, 502, 503, 408, 429])
async def test_a_write_is_tried_again_after_a_passing_failure(
    client: EmbeddingClient, server: EmbeddingServer, status: int
) -> None:
    server.fail_next(1, status=status, retry_after=0)
    assert (await client.embed(["one"], operation="write")).vectors.shape == (1, 16)
    assert server.stats.requests == 2


async def test_retry_after_is_honoured(client: EmbeddingClient, server: EmbeddingServer) -> None:
    server.fail_next(1, status=429, retry_after=0.5)
    started = time.monotonic()
    await client.embed(["one"], operation="write")
    assert time.monotonic() - started >= 0.5


async def test_a_long_retry_after_is_passed_on_instead_of_waited_for(
    client: EmbeddingClient, server: EmbeddingServer
) -> None:
    server.fail_next(1, status=429, retry_after=120)
    with pytest.raises(EmbeddingThrottledError) as caught:
        await client.embed(["one"], operation="write")
    assert caught.value.retry_after_seconds == 120
    assert server.stats.requests == 1


async def test_a_dead_server_opens_the_breaker_and_ends_the_retries(
    make_client: MakeClient, server: EmbeddingServer
) -> None:
    client = make_client(limits=BreakerLimits(reset_seconds=60))
    server.go_down()
    with pytest.raises(BreakerOpenError):
        await client.embed(["one"], operation="write")
    started = time.monotonic()
    with pytest.raises(BreakerOpenError):
        await client.embed(["one"], operation="read")
    assert time.monotonic() - started < 0.1


async def test_the_breaker_closes_by_itself_when_the_server_is_back(
    client: EmbeddingClient, server: EmbeddingServer
) -> None:
    server.go_down()
    with pytest.raises(BreakerOpenError):
        await client.embed(["one"], operation="write")
    server.come_back()
    deadline = time.monotonic() + 10
    while True:
        try:
            await client.embed(["one"], operation="write")
            break
        except BreakerOpenError as error:
            assert time.monotonic() < deadline
            await asyncio.sleep(min(0.05, error.retry_after_seconds))
    assert server.stats.texts == 3, "two probes, then the text"


async def test_a_read_ends_within_its_time_when_the_server_hangs(
    make_client: MakeClient, server: EmbeddingServer
) -> None:
    client = make_client(query_timeout_seconds=0.3)
    server.break_next(5, "hang")
    started = time.monotonic()
    with pytest.raises(EmbeddingUnavailableError, match="no answer within"):
        await client.embed(["one"], operation="read")
    assert time.monotonic() - started < 1.0


async def test_a_read_is_tried_once_more_and_no_oftener(client: EmbeddingClient, server: EmbeddingServer) -> None:
    server.fail_next(2)
    with pytest.raises(EmbeddingUnavailableError):
        await client.embed(["one"], operation="read")
    assert server.stats.requests == 2


async def test_a_text_above_the_window_is_a_refusal_not_a_failure(
    client: EmbeddingClient, server: EmbeddingServer
) -> None:
    server.max_tokens = 10
    with pytest.raises(EmbeddingRejectedError) as caught:
        await client.embed(["word " * 20], operation="write")
    assert (caught.value.code, caught.value.retryable, server.stats.requests) == ("context_too_long", False, 1)


async def test_a_model_that_is_gone_is_named_and_not_retried(client: EmbeddingClient, server: EmbeddingServer) -> None:
    server.models = ("another",)
    with pytest.raises(EmbeddingUnavailableError, match="EMBEDDING_MODEL") as caught:
        await client.embed(["one"], operation="write")
    assert (caught.value.code, server.stats.requests) == ("model_unavailable", 1)
    assert await client.served_models() == {"another"}


async def test_a_wrong_key_is_named_and_not_retried(client: EmbeddingClient, server: EmbeddingServer) -> None:
    server.api_key = "another"
    with pytest.raises(EmbeddingUnavailableError, match="EMBEDDING_API_KEY") as caught:
        await client.embed(["one"], operation="write")
    assert (caught.value.code, server.stats.requests) == ("embedding_unauthorized", 1)


async def test_refusals_do_not_open_the_breaker(client: EmbeddingClient, server: EmbeddingServer) -> None:
    server.fail_next(20, status=400)
    for _ in range(20):
        with pytest.raises(EmbeddingRejectedError):
            await client.embed(["one"], operation="write")
    await client.embed(["one"], operation="write")


async def test_a_poison_text_is_found_and_the_others_are_embedded(
    client: EmbeddingClient, server: EmbeddingServer
) -> None:
    texts = [f"text {i}" for i in range(32)]
    server.poison = "text 17"
    batch = await client.embed_batch(texts)
    assert set(batch.rejected) == {17}
    assert batch.rejected[17].code == "embedding_rejected"
    for i in set(range(32)) - {17}:
        np.testing.assert_allclose(batch.vectors[i], expected(f"passage: text {i}"), atol=1e-6)


@pytest.mark.parametrize("position", [0, 31])
async def test_a_poison_text_at_an_end_does_not_open_the_breaker(
    client: EmbeddingClient, server: EmbeddingServer, position: int
) -> None:
    texts = [f"<text {i}>" for i in range(32)]
    server.poison = f"<text {position}>"
    assert set((await client.embed_batch(texts)).rejected) == {position}


async def test_each_text_above_the_window_is_found(client: EmbeddingClient, server: EmbeddingServer) -> None:
    server.max_tokens = 10
    texts = ["short", "word " * 20, "short too", "word " * 30]
    batch = await client.embed_batch(texts)
    assert {i: error.code for i, error in batch.rejected.items()} == {1: "context_too_long", 3: "context_too_long"}
    assert np.linalg.norm(batch.vectors[2]) == pytest.approx(1.0)


async def test_a_batch_is_not_blamed_for_a_server_that_fails_on_everything(
    make_client: MakeClient, server: EmbeddingServer
) -> None:
    client = make_client(limits=BreakerLimits(reset_seconds=60))
    server.fail_next(1000)
    for texts in (["one"], [f"text {i}" for i in range(8)]):
        with pytest.raises(EmbeddingUnavailableError):
            await client.embed_batch(texts)
    assert server.stats.requests == 5, "the breaker ends it"


async def test_a_server_that_refuses_every_text_is_to_blame_itself(
    client: EmbeddingClient, server: EmbeddingServer
) -> None:
    server.fail_next(1000, status=400)
    with pytest.raises(EmbeddingUnavailableError, match="refuses every text"):
        await client.embed_batch(["one", "two"])


async def test_writes_share_the_slots_and_reads_need_none(make_client: MakeClient, server: EmbeddingServer) -> None:
    client = make_client(concurrency=2)
    server.latency_seconds = 0.2
    writes = [client.embed([f"text {i}"], operation="write") for i in range(6)]
    await asyncio.gather(*writes)
    assert server.stats.in_flight_max == 2


async def test_a_cancelled_call_leaves_the_client_usable(client: EmbeddingClient, server: EmbeddingServer) -> None:
    server.break_next(1, "hang")
    task = asyncio.create_task(client.embed(["one"], operation="write"))
    while server.stats.in_flight == 0:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await client.embed(["one"], operation="write")).tokens == 5


async def test_a_server_that_answers_lists_of_numbers_is_understood(model: Model) -> None:
    from resources.embedding.answer import read_answer

    body = b'{"data": [{"index": 0, "embedding": [3.0, 4.0]}]}'
    embedded = read_answer(body, count=1, dimension=2)
    np.testing.assert_allclose(embedded.vectors, [[0.6, 0.8]])
    assert embedded.tokens == 0
