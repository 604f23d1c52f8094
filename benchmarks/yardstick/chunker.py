"""Second stage: cut a page's text into chunks and store them."""

from __future__ import annotations

from functools import cache
from typing import Any

from tokenizers import Tokenizer

from benchmarks.yardstick.configuration import configuration
from benchmarks.yardstick.cutting import cut
from benchmarks.yardstick.database import connection
from benchmarks.yardstick.queues import PageError, Stage, StageTask, celery_app, report
from resources.embedding.tokenizer import load_tokenizer

_TEXT = "SELECT id, text FROM documents WHERE job_id = %s"
_FORGET = "DELETE FROM chunks WHERE document_id = %s"
_STORE = "INSERT INTO chunks (document_id, ordinal, text, token_count) VALUES (%s, %s, %s, %s)"

app = celery_app("chunker")


@cache
def _tokenizer() -> Tokenizer:
    return load_tokenizer(configuration().model.tokenizer_path)


@app.task(base=StageTask, bind=True, name=Stage.CHUNKING.queue, stage=Stage.CHUNKING)  # type: ignore[untyped-decorator]  # Celery has no types
def chunk(task: Any, job_id: str, corpus: str, url: str) -> None:
    model = configuration().model
    with connection().transaction(), connection().cursor() as cursor:
        row = cursor.execute(_TEXT, [job_id]).fetchone()
        if row is None:
            raise PageError("superseded", "a later job has scraped this page")
        document_id, text = row
        found = cut(text, _tokenizer(), max_tokens=model.chunk_max_tokens, overlap_tokens=model.chunk_overlap_tokens)
        cursor.execute(_FORGET, [document_id])
        cursor.executemany(_STORE, [(document_id, at, text, tokens) for at, (text, tokens) in enumerate(found)])
    report(job_id, Stage.CHUNKING)
