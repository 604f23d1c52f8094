"""Idempotency-Key: the same request twice is done once and answered twice alike.

A key belongs to a caller, a method and a path. Nothing is kept of a request that was refused.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated

from fastapi import Header, Request, Response
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from pydantic import BaseModel

from cixml_api import views
from cixml_api.errors import KeyReusedError
from resources.postgres.idempotency import KeyedRequest, find_answer, keep_answer
from resources.types import CallerContext

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern="^[ -~]+$",
        description="Kept for 24 hours: the same request with the same key is answered again, not done again",
    ),
]


def keyed(request: Request, caller: CallerContext, key: str | None, body: BaseModel) -> KeyedRequest | None:
    """Return the request with its fingerprint: order, white space and defaults of the body make no difference."""
    if key is None:
        return None
    canonical = json.dumps(body.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return KeyedRequest(
        caller_id=caller.caller_id,
        method=request.method,
        path=request.url.path,
        key=key,
        body_sha256=hashlib.sha256(canonical.encode()).digest(),
    )


async def replay(connection: AsyncConnection[TupleRow], request: KeyedRequest | None) -> Response | None:
    """Return the answer that the key got before. Raises KeyReusedError when it was for another body."""
    found = await find_answer(connection, request) if request else None
    if request is None or found is None:
        return None
    if found.body_sha256 != request.body_sha256:
        raise KeyReusedError
    headers = {"Idempotency-Replayed": "true"}
    if found.location:
        headers |= {"Location": found.location, "Retry-After": views.RETRY_SECONDS}
    return Response(found.answer, status_code=found.status, headers=headers, media_type="application/json")


async def keep(connection: AsyncConnection[TupleRow], request: KeyedRequest | None, response: Response) -> None:
    """Keep the answer in this transaction."""
    if request is not None:
        await keep_answer(
            connection,
            request,
            status=response.status_code,
            location=response.headers.get("location"),
            answer=bytes(response.body),
        )
