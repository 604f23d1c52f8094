"""Third stage: embed a page's chunks and put them where searches look."""

from __future__ import annotations

from functools import cache
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import numpy as np
from openai import APIConnectionError, InternalServerError, OpenAI, RateLimitError

from benchmarks.yardstick.configuration import configuration
from benchmarks.yardstick.database import connection
from benchmarks.yardstick.queues import PageError, Stage, StageTask, celery_app, report

_MAX_TEXTS = 128  # in one request; a longer document is split
_CHUNKS = """
SELECT c.ordinal, c.text FROM chunks c JOIN documents d ON d.id = c.document_id WHERE d.job_id = %s ORDER BY c.ordinal
"""
_STORE = """
INSERT INTO embeddings (id, corpus, url, ordinal, text, embedding) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (id) DO UPDATE SET text = excluded.text, embedding = excluded.embedding
"""
_FORGET = "DELETE FROM embeddings WHERE corpus = %s AND url = %s AND ordinal >= %s"
_DONE = "UPDATE documents SET indexed_at = now() WHERE job_id = %s"

app = celery_app("embedder")


@cache
def _openai() -> OpenAI:
    return OpenAI(base_url=configuration().embedding_url, api_key="none", timeout=60.0)


@app.task(  # type: ignore[untyped-decorator]  # Celery has no types
    base=StageTask,
    bind=True,
    name=Stage.EMBEDDING.queue,
    stage=Stage.EMBEDDING,
    autoretry_for=(*StageTask.autoretry_for, APIConnectionError, InternalServerError, RateLimitError),
)
def embed(task: Any, job_id: str, corpus: str, url: str) -> None:
    chunks = connection().execute(_CHUNKS, [job_id]).fetchall()
    if not chunks:
        raise PageError("superseded", "a later job has scraped this page")
    vectors = _vectors([text for _, text in chunks])
    rows = [
        (uuid5(NAMESPACE_URL, f"{corpus}\n{url}\n{ordinal}"), corpus, url, ordinal, text, vector)
        for (ordinal, text), vector in zip(chunks, vectors, strict=True)
    ]
    with connection().transaction(), connection().cursor() as cursor:
        cursor.executemany(_STORE, rows)
        cursor.execute(_FORGET, [corpus, url, len(rows)])
        cursor.execute(_DONE, [job_id])
    report(job_id, Stage.EMBEDDING)


def _vectors(texts: list[str]) -> list[np.ndarray]:
    found: list[np.ndarray] = []
    for at in range(0, len(texts), _MAX_TEXTS):
        batch = texts[at : at + _MAX_TEXTS]
        answer = _openai().embeddings.create(model=configuration().model_id, input=batch)
        found += [np.array(item.embedding, dtype=np.float32) for item in answer.data]
    return found
