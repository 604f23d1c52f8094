"""The client of the embedding server: prefixes, retries, the breaker, and the search for a text that breaks a batch.

What goes over the wire is wire.py's, what an answer must look like answer.py's. Packing texts into batches is
batching.py's; storing vectors is nobody's here.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from opentelemetry.trace import SpanKind
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

from resources.embedding.answer import Embedded, Vectors
from resources.embedding.breaker import Permit
from resources.embedding.concurrency import AdaptiveLimit
from resources.embedding.registry import Model, Operation
from resources.embedding.wire import (
    MODEL_UNAVAILABLE,
    REJECTED,
    UNAUTHORIZED,
    Wire,
    is_breaker_failure,
    is_server_fault,
    is_timeout,
)
from resources.errors import (
    BreakerOpenError,
    CixmlError,
    EmbeddingInvalidError,
    EmbeddingRejectedError,
    EmbeddingThrottledError,
    EmbeddingUnavailableError,
)
from resources.telemetry import attributes, metrics, tracing

PROBE_TEXT = "ping"
"""What is embedded to ask whether the server works: short, so that the answer comes in a moment or not at all."""

READ_TRIES = 2
INVALID_TRIES = 2
SERVER_FAULT_TRIES = 3
WRITE_TRIES = 8
"""Above the breaker's threshold: with nobody else calling, one batch's failures open it, and that ends the retries."""

MAX_PAUSE_SECONDS = 30.0
"""A server that asks for a longer pause gets it, but not from a waiting request: the item goes back to the queue."""

_backoff = wait_random_exponential(multiplier=0.3, max=8.0)


class Breaker(Protocol):
    """What the client needs of a circuit breaker: `resources.embedding.breaker.CircuitBreaker` is one."""

    @property
    def probe_seconds(self) -> float: ...
    async def allow(self) -> Permit: ...
    async def success(self, permit: Permit) -> None: ...
    async def failure(self, permit: Permit, reason: str) -> None: ...
    async def release(self, permit: Permit) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchEmbedded:
    """Per text a vector or a refusal: the rows of `rejected` (position -> error) hold zeros and must not be stored."""

    vectors: Vectors
    rejected: Mapping[int, EmbeddingRejectedError]
    tokens: int


class EmbeddingClient:
    """Embeds texts by one model. Async; belongs to one event loop; `aclose` it at the end."""

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str | None,
        model: Model,
        breaker: Breaker,
        timeout_seconds: float = 60.0,
        query_timeout_seconds: float = 5.0,
        concurrency: int = 3,
    ) -> None:
        self.model = model
        self._breaker = breaker
        self._timeout_seconds = timeout_seconds
        self._query_timeout_seconds = query_timeout_seconds
        self._limit = AdaptiveLimit(concurrency)
        self._wire = Wire(base_url=base_url, api_key=api_key, model=model)

    async def embed(self, texts: Sequence[str], *, operation: Operation) -> Embedded:
        """Return the vectors of all texts, or none: `read` are queries, `write` are documents (other prefix, patience).

        A read has `query_timeout_seconds` over all and one retry; a write is retried until the breaker opens.
        Raises BreakerOpenError, EmbeddingThrottledError, EmbeddingInvalidError, EmbeddingUnavailableError (retryable)
        or EmbeddingRejectedError (one of these texts; `embed_batch` finds which).
        """
        sent = [self.model.as_sent(text, operation) for text in texts]
        return await self._embed_sent(sent, operation)

    async def embed_batch(self, texts: Sequence[str]) -> BatchEmbedded:
        """Embed documents; a text that the server can't take is named instead of failing the others.

        A batch that is refused, or fails three times with 5xx or an invalid answer, is halved until the text stands
        alone; it is to blame only if the server still answers for another one. Raises as `embed` when it does not.
        """
        sent = [self.model.as_sent(text, "write") for text in texts]
        try:
            whole = await self._embed_sent(sent, "write")
        except (EmbeddingRejectedError, EmbeddingUnavailableError) as error:
            if not _may_be_one_text(error):
                raise
            return await self._isolate(sent, error)
        return BatchEmbedded(vectors=whole.vectors, rejected={}, tokens=whole.tokens)

    async def served_models(self) -> frozenset[str]:
        """Return the ids the server says it serves, past the breaker. Raises EmbeddingUnavailableError."""
        return await self._wire.model_ids(timeout_seconds=self._query_timeout_seconds)

    async def aclose(self) -> None:
        await self._wire.aclose()

    async def _embed_sent(self, sent: list[str], operation: Operation, *, most_tries: int = WRITE_TRIES) -> Embedded:
        if not sent:
            return Embedded(vectors=np.zeros((0, self.model.dimension), dtype=np.float32), tokens=0)
        deadline = time.monotonic() + self._query_timeout_seconds if operation == attributes.READ else None
        retrying = AsyncRetrying(
            retry=retry_if_exception(_is_retryable), stop=_stop(most_tries, deadline), wait=_pause, reraise=True
        )
        known = {attributes.EMBEDDING_MODEL: self.model.id, attributes.OPERATION: operation}
        with tracing.span(attributes.EMBED_SPAN, known, kind=SpanKind.CLIENT) as span:
            embedded: Embedded = await retrying(self._try_once, sent, operation, deadline)
            span.set_attribute(attributes.EMBEDDING_TOKENS, embedded.tokens)
        return embedded

    async def _try_once(self, sent: list[str], operation: Operation, deadline: float | None) -> Embedded:
        if operation == attributes.READ:
            return await self._call(sent, operation, deadline)
        async with self._limit.slot():
            try:
                embedded = await self._call(sent, operation, deadline)
            except EmbeddingUnavailableError as error:
                if isinstance(error, EmbeddingThrottledError) or is_timeout(error):
                    self._limit.shrink()
                raise
        self._limit.grow()
        return embedded

    async def _call(self, sent: list[str], operation: Operation, deadline: float | None) -> Embedded:
        """Pass the breaker and make one request. In half-open, the request that goes first is a short probe."""
        while (permit := await self._breaker.allow()).is_probe:
            seconds = self._seconds(deadline, self._breaker.probe_seconds)
            try:
                await self._request(permit, [PROBE_TEXT], operation, seconds)
            except EmbeddingUnavailableError as error:
                # A sick server has opened the breaker again: `allow` says so, and for how long.
                if not is_breaker_failure(error):
                    raise
        return await self._request(permit, sent, operation, self._seconds(deadline, self._timeout_seconds))

    @staticmethod
    def _seconds(deadline: float | None, most: float) -> float:
        return most if deadline is None else max(0.05, min(most, deadline - time.monotonic()))

    async def _request(self, permit: Permit, sent: list[str], operation: Operation, seconds: float) -> Embedded:
        """Make one request, and tell the breaker and the metrics how it went."""
        started = time.monotonic()
        tracing.event(attributes.SENT_EVENT)
        try:
            embedded = await self._wire.request(sent, timeout_seconds=seconds)
        except CixmlError as error:
            metrics.embedding_errors.labels(operation, error.code).inc()
            if is_breaker_failure(error):
                await self._breaker.failure(permit, error.code)
            else:
                await self._breaker.success(permit)
            raise
        except asyncio.CancelledError:
            await asyncio.shield(self._breaker.release(permit))
            raise
        finally:
            metrics.embedding_latency_seconds.labels(operation).observe(time.monotonic() - started)
        await self._breaker.success(permit)
        metrics.embedding_batch_size.labels(operation).observe(len(sent))
        metrics.tokens_used.labels(self.model.id, operation).inc(embedded.tokens)
        return embedded

    async def _isolate(self, sent: list[str], error: CixmlError) -> BatchEmbedded:
        """Halve a failed batch until each text that fails stands alone.

        Both halves are tried before either is halved again, so that failures and answers alternate: a poison text
        never gives the breaker a row of failures, a dead server does, and then BreakerOpenError ends this.
        """
        vectors = np.zeros((len(sent), self.model.dimension), dtype=np.float32)
        rejected: dict[int, EmbeddingRejectedError] = {}
        tokens = 0
        failed: deque[tuple[range, CixmlError]] = deque([(range(len(sent)), error)])
        while failed:
            positions, error = failed.popleft()
            if len(positions) == 1:
                rejected[positions[0]] = await self._blame(error)
                continue
            middle = len(positions) // 2
            for half in (positions[:middle], positions[middle:]):
                try:
                    part = await self._embed_sent(
                        [sent[i] for i in half], "write", most_tries=2 if len(half) == 1 else 1
                    )
                except (EmbeddingRejectedError, EmbeddingUnavailableError) as half_error:
                    if not _may_be_one_text(half_error):
                        raise
                    failed.append((half, half_error))
                else:
                    vectors[half.start : half.stop] = part.vectors
                    tokens += part.tokens
        return BatchEmbedded(vectors=vectors, rejected=rejected, tokens=tokens)

    async def _blame(self, error: CixmlError) -> EmbeddingRejectedError:
        """Return the refusal of one text, after the server has answered for another. Raises when it does not."""
        try:
            await self._embed_sent([PROBE_TEXT], "write", most_tries=1)
        except EmbeddingRejectedError as refusal:
            raise EmbeddingUnavailableError(f"The embedding server refuses every text: {refusal.message}") from refusal
        if isinstance(error, EmbeddingRejectedError):
            return error
        return EmbeddingRejectedError(REJECTED, f"The embedding server fails on this text alone: {error.message}")


def _may_be_one_text(error: CixmlError) -> bool:
    return isinstance(error, EmbeddingRejectedError | EmbeddingInvalidError) or is_server_fault(error)


def _is_retryable(error: BaseException) -> bool:
    if isinstance(error, BreakerOpenError) or not isinstance(error, EmbeddingUnavailableError):
        return False
    return error.code not in {MODEL_UNAVAILABLE, UNAUTHORIZED} and _asked_pause(error) <= MAX_PAUSE_SECONDS


def _asked_pause(error: BaseException) -> float:
    return error.retry_after_seconds if isinstance(error, EmbeddingThrottledError) else 0.0


def _stop(most_tries: int, deadline: float | None) -> Callable[[RetryCallState], bool]:
    """Return the rule that ends the tries: by the kind of failure, and for a read when its time is up."""

    def is_enough(state: RetryCallState) -> bool:
        error = _error_of(state)
        tries = most_tries if deadline is None else min(READ_TRIES, most_tries)
        if isinstance(error, EmbeddingInvalidError):
            tries = min(INVALID_TRIES, tries)
        elif isinstance(error, CixmlError) and is_server_fault(error):
            tries = min(SERVER_FAULT_TRIES, tries)
        is_late = deadline is not None and time.monotonic() + state.upcoming_sleep + 0.1 >= deadline
        return state.attempt_number >= tries or is_late

    return is_enough


def _pause(state: RetryCallState) -> float:
    """Return the seconds before the next try: full jitter, and no less than the server asked for."""
    return _asked_pause(_error_of(state)) + _backoff(state)


def _error_of(state: RetryCallState) -> BaseException:
    error = state.outcome.exception() if state.outcome else None
    return error or RuntimeError("tenacity asks about a call that did not fail")
