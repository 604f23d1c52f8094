"""The orchestrator and the search: `uvicorn benchmarks.yardstick.api:create --factory`."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID, uuid4

import numpy as np
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from openai import AsyncOpenAI
from pgvector.psycopg import register_vector_async
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from benchmarks.yardstick.configuration import configuration
from benchmarks.yardstick.queues import Stage, celery_app

Pool = AsyncConnectionPool[AsyncConnection[DictRow]]
_OPTIONS = "-c hnsw.iterative_scan=strict_order"  # without it a filter leaves fewer results than asked for
_CREATE = """
INSERT INTO jobs (submission, caller_id, corpus, url)
SELECT %s, %s, %s, url FROM unnest(%s::text[]) AS url RETURNING id, corpus, url
"""
_READ = "SELECT id, submission, corpus, url, status, stage, failed_stage, error FROM jobs WHERE id = %s"
_LOCK = "SELECT corpus, url, status, stage FROM jobs WHERE id = %s FOR UPDATE"
_ADVANCE = "UPDATE jobs SET stage = %s, updated_at = now() WHERE id = %s"
_SUCCEED = "UPDATE jobs SET status = 'succeeded', updated_at = now() WHERE id = %s"
_FAIL = "UPDATE jobs SET status = 'failed', failed_stage = %s, error = %s, updated_at = now() WHERE id = %s"
_SEARCH = """
SELECT url, ordinal, text, embedding <=> %(vector)s AS distance
FROM embeddings WHERE corpus = %(corpus)s ORDER BY embedding <=> %(vector)s LIMIT %(top_k)s
"""


class Submission(BaseModel):
    corpus: str = Field(min_length=1, max_length=100)
    urls: list[str] = Field(min_length=1, max_length=1000)


class Completion(BaseModel):
    """What a stage reports: an error, or that it is done."""

    stage: Stage
    error: dict[str, str] | None = None


class Query(BaseModel):
    corpus: str
    query: str = Field(min_length=1)
    top_k: int = Field(default=5, ge=1, le=100)


def create() -> FastAPI:
    return _routes(FastAPI(title="yardstick", lifespan=_lifespan, dependencies=[Depends(_check_key)]))


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings = configuration()
    app.state.celery = celery_app("orchestrator")
    pool = AsyncConnectionPool(
        settings.database_url,
        min_size=2,
        max_size=8,
        kwargs={"row_factory": dict_row, "options": _OPTIONS},
        configure=_configure,
        open=False,
    )
    async with pool, AsyncOpenAI(base_url=settings.embedding_url, api_key="none", timeout=10.0) as embedding:
        app.state.pool, app.state.embedding = pool, embedding
        yield


async def _configure(connection: AsyncConnection[Any]) -> None:
    await register_vector_async(connection)
    await connection.commit()


def _check_key(authorization: Annotated[str, Header()] = "") -> None:
    if not hmac.compare_digest(authorization.encode(), f"Bearer {configuration().api_key}".encode()):
        raise HTTPException(401)


def _routes(app: FastAPI) -> FastAPI:
    @app.post("/jobs", status_code=202)
    async def submit(request: Request, body: Submission) -> dict[str, Any]:
        submission = uuid4()
        async with _pool(request).connection() as connection:
            cursor = await connection.execute(_CREATE, [submission, "local", body.corpus, body.urls])
            jobs = await cursor.fetchall()
        await run_in_threadpool(_send_all, request, jobs)
        return {"submission": submission, "jobs": [job["id"] for job in jobs]}

    @app.get("/jobs/{job_id}")
    async def read(request: Request, job_id: UUID) -> dict[str, Any]:
        async with _pool(request).connection() as connection:
            job = await (await connection.execute(_READ, [job_id])).fetchone()
        if job is None:
            raise HTTPException(404)
        return job

    @app.post("/jobs/{job_id}/complete", status_code=204)
    async def complete(request: Request, job_id: UUID, body: Completion) -> None:
        if job := await _advance(request, job_id, body):
            await run_in_threadpool(_send_all, request, [job])

    @app.post("/search")
    async def search(request: Request, body: Query) -> dict[str, Any]:
        answer = await request.app.state.embedding.embeddings.create(model=configuration().model_id, input=body.query)
        vector = np.array(answer.data[0].embedding, dtype=np.float32)
        values = {"vector": vector, "corpus": body.corpus, "top_k": body.top_k}
        async with _pool(request).connection() as connection:
            return {"results": await (await connection.execute(_SEARCH, values)).fetchall()}

    return app


async def _advance(request: Request, job_id: UUID, body: Completion) -> dict[str, Any] | None:
    """Move the job under its row's lock. Return what the next stage works on; a repeated report moves nothing."""
    async with _pool(request).connection() as connection:
        job = await (await connection.execute(_LOCK, [job_id])).fetchone()
        if job is None:
            raise HTTPException(404)
        if job["status"] != "running" or job["stage"] != body.stage:
            return None
        if body.error:
            await connection.execute(_FAIL, [body.stage, Jsonb(body.error), job_id])
            return None
        if (following := body.stage.following) is None:
            await connection.execute(_SUCCEED, [job_id])
            return None
        await connection.execute(_ADVANCE, [following, job_id])
        return {"id": job_id, "corpus": job["corpus"], "url": job["url"], "stage": following}


def _send_all(request: Request, jobs: list[dict[str, Any]]) -> None:
    for job in jobs:
        queue = Stage(job.get("stage", Stage.SCRAPING)).queue
        request.app.state.celery.send_task(queue, args=[str(job["id"]), job["corpus"], job["url"]], queue=queue)


def _pool(request: Request) -> Pool:
    pool: Pool = request.app.state.pool
    return pool
