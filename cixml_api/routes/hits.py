"""What is told of a hit beside the search that found it."""

from __future__ import annotations

import hashlib

from fastapi import APIRouter, Response

from cixml_api import schemas, views
from cixml_api.dependencies import AnyServices, Caller
from cixml_api.openapi import problems
from cixml_api.schemas.common import RobotsVerdict
from resources.errors import NotFoundError
from resources.fingerprints import ALGORITHM
from resources.identifiers import Prefix, parse_public_id, public_id
from resources.postgres.lineage import Lineage, VectorMaking, hit_lineage, vector_making
from resources.postgres.pool import connected

router = APIRouter(prefix="/v1/hits", tags=["search"])


@router.get(
    "/{chunk_id}/lineage",
    operation_id="hit_lineage",
    response_model=schemas.HitLineage,
    responses=problems("hit_lineage", 404),
    summary="Tell where a hit comes from",
)
async def read_lineage(caller: Caller, services: AnyServices, chunk_id: str) -> Response:
    """Return the way of a hit: page, text, chunk, vector, and the Dagster runs that made them.

    The same page, place and text keep their id in later versions; told is what is live, or else the last that was.
    """
    key = parse_public_id(Prefix.CHUNK, chunk_id)
    async with connected(services.pool) as connection:
        row = await hit_lineage(connection, caller_id=caller.caller_id, chunk_id=key)
        if row is None:
            raise NotFoundError
        making = await vector_making(connection, caller_id=caller.caller_id, lineage=row)
    return views.answer(_lineage(row, making))


def _lineage(row: Lineage, making: VectorMaking) -> schemas.HitLineage:
    return schemas.HitLineage(
        chunk_id=public_id(Prefix.CHUNK, row.chunk_id),
        document_id=public_id(Prefix.DOCUMENT, row.document_id),
        corpus=row.corpus,
        url=row.url,
        external_id=row.external_id,
        is_live=row.is_live,
        live_from=row.live_from,
        live_to=row.live_to,
        partition=row.partition_key,
        page=_page(row),
        text=schemas.TextOrigin(
            extractor=row.extractor, text_sha256=row.text_sha256, coverage=row.coverage, language=row.language
        ),
        chunk=_chunk(row),
        vector=_vector(row, making),
    )


def _page(row: Lineage) -> schemas.PageOrigin:
    return schemas.PageOrigin(
        snapshot=public_id(Prefix.VERSION, row.version_id),
        sha256=row.body_sha256,
        bytes=row.body_bytes,
        final_url=row.final_url,
        http_status=row.http_status,
        content_type=row.content_type,
        charset=row.charset,
        etag=row.etag,
        last_modified=row.last_modified,
        fetched_at=row.fetched_at,
        robots=RobotsVerdict.model_validate(row.robots) if row.robots else None,
        job_id=public_id(Prefix.JOB, row.job_id) if row.job_id else None,
        item_id=public_id(Prefix.ITEM, row.item_id) if row.item_id else None,
        run_id=row.fetch_run_id,
    )


def _chunk(row: Lineage) -> schemas.ChunkOrigin:
    return schemas.ChunkOrigin(
        ordinal=row.ordinal,
        offsets=schemas.Offsets(start=row.start_offset, end=row.end_offset),
        heading=row.heading,
        token_count=row.token_count,
        text_sha256=hashlib.sha256(row.text.encode()).hexdigest(),
        algorithm=ALGORITHM,
        settings=schemas.ChunkingRecord.model_validate(row.chunking) if row.chunking else None,
        fingerprint=row.chunking_fp,
        chunked_at=row.chunked_at,
        run_id=row.chunk_run_id,
    )


def _vector(row: Lineage, making: VectorMaking) -> schemas.VectorOrigin | None:
    if row.index_version_id is None:
        return None
    return schemas.VectorOrigin.model_validate(
        {
            "model": row.model,
            "revision": row.revision,
            "dimension": row.dimension,
            "fingerprint": row.fingerprint,
            "index_version": public_id(Prefix.VERSION, row.index_version_id),
            "kind": row.index_kind,
            "state": row.index_state,
            "created_at": row.index_created_at,
            "serving_since": row.serving_since,
            "embedded_at": making.embedded_at,
            "run_id": making.run_id,
        }
    )
