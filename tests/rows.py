"""Takes submitted rows from the claim to the flip, by the pipeline's own functions on a real Postgres."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import numpy.typing as npt
import psycopg
import pytest

from resources.postgres import batches, chunks, claims, corpus_lock, items, pages, promotions, usage, vectors
from resources.postgres.chunks import ChunkedVersion
from resources.postgres.database import Database as PipelineDatabase
from resources.postgres.items import ItemEnd
from resources.postgres.vectors import NewVector
from resources.settings import PipelineSettings
from resources.types import BatchState, ExtractedDocument, ItemStatus, TextChunk
from sensors.submitted_jobs import claim
from tests.builders import make_page
from tests.database import Database

MODEL = "all-MiniLM-L6-v2"
DIMENSION = 384


@pytest.fixture
def owner(database: Database) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def pipeline(database: Database) -> Iterator[PipelineDatabase]:
    found = PipelineDatabase(database.pipeline_url)
    yield found
    found.close()


def vector_of(chunk_hash: UUID) -> npt.NDArray[np.float32]:
    """Return the unit vector that stands for a text here."""
    vector = np.random.default_rng(chunk_hash.int % 2**64).normal(size=DIMENSION).astype(np.float32)
    return vector / np.linalg.norm(vector)


def claim_all(pipeline: PipelineDatabase) -> list[claims.ClaimedBatch]:
    with pipeline.transaction() as connection:
        return claim(connection, PipelineSettings(), models=[MODEL])[0]


def begin(pipeline: PipelineDatabase, batch_id: UUID, run_id: str = "run-1") -> batches.Batch:
    with pipeline.transaction() as connection:
        batches.begin(connection, batch_id=batch_id, run_id=run_id, lease_seconds=15)
        return batches.facts(connection, batch_id=batch_id)


def extracted(*texts: str) -> ExtractedDocument:
    layer, pieces = "", []
    for ordinal, text in enumerate(texts):
        start = len(layer)
        layer += text
        pieces.append(TextChunk(ordinal=ordinal, text=text, start=start, end=len(layer), token_count=len(text.split())))
    return ExtractedDocument(title="T", language="en", text=layer, coverage=1.0, extractor="test", chunks=pieces)


def store_document(pipeline: PipelineDatabase, batch: batches.Batch, body: bytes, *texts: str) -> list[UUID]:
    """Fetch, cut and store every item of the batch with the same body and texts; return the hashes still owed."""
    with pipeline.transaction() as connection:
        waiting = pages.fetch_items(connection, batch_id=batch.batch_id)
        pages.store_pages(connection, [(item, make_page(body, url=item.url)) for item in waiting])
        versions = pages.versions_to_chunk(connection, batch_id=batch.batch_id, chunking_fp=batch.serving.chunking_fp)
        corpus_lock.share(connection, corpus_id=batch.corpus_id)
        chunks.store(
            connection,
            batch_id=batch.batch_id,
            chunking_fp=batch.serving.chunking_fp,
            versions=[ChunkedVersion(version=version, document=extracted(*texts)) for version in versions],
        )
        relation = promotions.current(connection, batch.serving).relation
        rows = chunks.of_batch(
            connection, batch_id=batch.batch_id, chunking_fp=batch.serving.chunking_fp, relation=relation
        )
    return list({row.chunk_hash for row in rows if not row.is_stored})


def embed_and_flip(
    pipeline: PipelineDatabase, batch: batches.Batch, hashes: list[UUID], item_ids: list[UUID], run_id: str = "run-1"
) -> list[items.EndedItem]:
    new = [NewVector(chunk_hash=each, caller_id="c_a", token_count=3, embedding=vector_of(each)) for each in hashes]
    with pipeline.transaction() as connection:
        batches.fence(connection, batch_id=batch.batch_id, run_id=run_id)
        corpus_lock.share(connection, corpus_id=batch.corpus_id)
        serving = promotions.current(connection, batch.serving)
        paid = vectors.store(connection, corpus_id=batch.corpus_id, batch_id=batch.batch_id, index=serving, vectors=new)
        flipped = vectors.flip(connection, batch_id=batch.batch_id, index=serving, item_ids=item_ids)
        ended = items.end(
            connection,
            batch_id=batch.batch_id,
            ends=[
                ItemEnd(
                    item_id=item.item_id,
                    status=ItemStatus.INDEXED,
                    chunks_added=item.added,
                    chunks_kept=item.kept,
                    chunks_removed=item.removed,
                )
                for item in flipped
            ],
        )
        usage.count_texts(connection, corpus_id=batch.corpus_id, model_id=serving.model_id, paid=paid)
        return ended


def index(pipeline: PipelineDatabase, body: bytes, *texts: str) -> list[items.EndedItem]:
    """Take what is queued from the claim to the flip."""
    ended = []
    for claimed in claim_all(pipeline):
        run_id = str(uuid4())
        batch = begin(pipeline, claimed.batch_id, run_id)
        with pipeline.transaction() as connection:
            open_items = [item.item_id for item in batches.open_items(connection, batch_id=batch.batch_id)]
        hashes = store_document(pipeline, batch, body, *texts)
        ended += embed_and_flip(pipeline, batch, hashes, open_items, run_id)
        with pipeline.transaction() as connection:
            batches.finish(connection, batch_id=batch.batch_id, state=BatchState.DONE)
    return ended
