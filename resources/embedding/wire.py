"""One request to the embedding server, and what its errors mean. The only module that owns the openai library.

Retries, the breaker and the search for a poison text are client.py's. openai stands on httpx2, not httpx: an
`except httpx.TimeoutException` round this would catch nothing.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2
import openai
from opentelemetry import propagate

from resources.embedding.answer import Embedded, read_answer
from resources.embedding.registry import Model
from resources.errors import (
    CixmlError,
    EmbeddingInvalidError,
    EmbeddingRejectedError,
    EmbeddingThrottledError,
    EmbeddingUnavailableError,
)

CONNECT_TIMEOUT_SECONDS = 3.0
"""The server is a neighbour: a host that does not take a connection in this time is gone, not slow."""

CONTEXT_TOO_LONG = "context_too_long"
REJECTED = "embedding_rejected"
MODEL_UNAVAILABLE = "model_unavailable"
UNAUTHORIZED = "embedding_unauthorized"

_TOO_LONG = re.compile(r"context.{0,20}length|too long|too many tokens|maximum.{0,40}tokens|exceed", re.IGNORECASE)


class Wire:
    """Sends requests for one model. Async; belongs to one event loop; `aclose` it at the end."""

    def __init__(self, *, base_url: str, api_key: str | None, model: Model, connections: int = 64) -> None:
        self._model = model
        # No proxy from the environment: it would carry texts and key to a third party without anybody asking.
        limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
        http_client = httpx2.AsyncClient(trust_env=False, limits=limits)
        # The client refuses to be made without a key; a server that wants none ignores it.
        self._openai = openai.AsyncOpenAI(
            base_url=base_url, api_key=api_key or "none", max_retries=0, http_client=http_client
        )

    async def request(self, texts: list[str], *, timeout_seconds: float) -> Embedded:
        """Embed texts as they are, prefixes included. Raises EmbeddingUnavailableError or EmbeddingRejectedError."""
        headers: dict[str, str] = {}
        propagate.inject(headers)
        timeout = httpx2.Timeout(timeout_seconds, connect=min(CONNECT_TIMEOUT_SECONDS, timeout_seconds))
        with _mapped_errors(timeout_seconds):
            # httpx's time-outs are per read: a server that drips bytes would never meet them.
            async with asyncio.timeout(timeout_seconds):
                # base64 costs 1/25 of "float": 4 bytes a number instead of up to 20 characters to parse.
                raw = await self._openai.embeddings.with_raw_response.create(
                    input=texts, model=self._model.id, encoding_format="base64", extra_headers=headers, timeout=timeout
                )
        return read_answer(raw.content, count=len(texts), dimension=self._model.dimension)

    async def model_ids(self, *, timeout_seconds: float) -> frozenset[str]:
        """Return the ids that the server says it serves. Raises EmbeddingUnavailableError."""
        with _mapped_errors(timeout_seconds):
            async with asyncio.timeout(timeout_seconds):
                page = await self._openai.models.list(timeout=timeout_seconds)
        return frozenset(model.id for model in page.data)

    async def aclose(self) -> None:
        await self._openai.close()


def is_server_fault(error: CixmlError) -> bool:
    """Return whether the server answered 5xx: the one failure that a single text may cause."""
    return isinstance(error.__cause__, openai.InternalServerError)


def is_timeout(error: CixmlError) -> bool:
    """Return whether the answer did not come in time."""
    return isinstance(error.__cause__, openai.APITimeoutError | TimeoutError)


def is_breaker_failure(error: CixmlError) -> bool:
    """Return whether an error says that the server is sick. A refusal, and a wrong key or model, is an answer."""
    return isinstance(error, EmbeddingUnavailableError) and error.code not in {MODEL_UNAVAILABLE, UNAUTHORIZED}


@contextmanager
def _mapped_errors(timeout_seconds: float) -> Iterator[None]:
    try:
        yield
    except (openai.APITimeoutError, TimeoutError) as error:
        raise EmbeddingUnavailableError(
            f"The embedding server gave no answer within {timeout_seconds:.1f} seconds"
        ) from error
    except openai.APIConnectionError as error:
        raise EmbeddingUnavailableError(f"The embedding server can't be reached: {error.__cause__ or error}") from error
    except openai.APIStatusError as error:
        raise _of_status(error) from error
    except (openai.OpenAIError, httpx2.HTTPError, ValueError) as error:
        raise EmbeddingInvalidError(f"The embedding server's answer can't be read: {error}"[:300]) from error


def _of_status(error: openai.APIStatusError) -> CixmlError:
    """Return what an HTTP status means."""
    status, said = error.status_code, error.message[:300]
    if status == 429:
        seconds = retry_after_seconds(error.response.headers.get("retry-after"))
        return EmbeddingThrottledError(
            f"The embedding server asks to slow down: {said}", retry_after_seconds=1.0 if seconds is None else seconds
        )
    if status >= 500 or status == 408:
        seconds = retry_after_seconds(error.response.headers.get("retry-after"))
        return EmbeddingUnavailableError(
            f"The embedding server answered {status}: {said}", retry_after_seconds=5.0 if seconds is None else seconds
        )
    if status in (401, 403):
        return _coded(UNAUTHORIZED, f"The embedding server refuses EMBEDDING_API_KEY ({status}): {said}")
    if status == 404:
        return _coded(
            MODEL_UNAVAILABLE,
            f"The embedding server does not know the model or the path: check EMBEDDING_MODEL and "
            f"EMBEDDING_API_BASE_URL (it ends in /v1). It said: {said}",
        )
    is_too_long = status == 413 or error.code == "context_length_exceeded" or bool(_TOO_LONG.search(said))
    return EmbeddingRejectedError(
        CONTEXT_TOO_LONG if is_too_long else REJECTED, f"The embedding server refuses the text ({status}): {said}"
    )


def _coded(code: str, message: str) -> EmbeddingUnavailableError:
    error = EmbeddingUnavailableError(message, retry_after_seconds=60.0)
    error.code = code
    return error


def retry_after_seconds(header: str | None) -> float | None:
    """Return the seconds a Retry-After header asks for (a number or a date); None when it says nothing readable."""
    if not header:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
