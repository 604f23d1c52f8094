"""Corpora and their live documents."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import StringConstraints, TypeAdapter

from cixml_api import schemas, views
from cixml_api.dependencies import AnyServices, Caller
from cixml_api.openapi import problems
from cixml_api.pagination import Cursor, Limit, decode_cursor, encode_cursor, page, split
from cixml_api.schemas import CORPUS_NAME
from resources.errors import NotFoundError
from resources.postgres.corpora import count_corpora, get_corpus, list_corpora
from resources.postgres.documents import count_documents, list_documents
from resources.postgres.pool import connected

router = APIRouter(prefix="/v1/corpora", tags=["corpora"])

_CORPUS_PLACE = TypeAdapter(tuple[Literal["name"], Annotated[str, StringConstraints(pattern=CORPUS_NAME)]])
_DOCUMENT_PLACE = TypeAdapter(tuple[Literal["created_at"], UUID])


@router.get(
    "",
    operation_id="corpus_list",
    response_model=schemas.CorpusList,
    responses=problems("corpus_list", 422),
    summary="List own corpora",
)
async def read_corpora(
    request: Request, caller: Caller, services: AnyServices, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """List the caller's corpora by name, with what is live in each."""
    place = decode_cursor(cursor, _CORPUS_PLACE)
    async with connected(services.pool) as connection:
        rows = await list_corpora(
            connection, caller_id=caller.caller_id, after_name=place[1] if place else "", limit=limit + 1
        )
        total = await count_corpora(connection, caller_id=caller.caller_id)
    shown, has_more = split(rows, limit)
    next_cursor = encode_cursor("name", shown[-1].name) if has_more else None
    found = page(request, limit=limit, order="name", total=total, next_cursor=next_cursor)
    body = schemas.CorpusList(content=[views.corpus(row) for row in shown], metadata=found.metadata)
    return views.answer(body, headers=found.headers)


@router.get(
    "/{name}",
    operation_id="corpus_read",
    response_model=schemas.Corpus,
    responses=problems("corpus_read", 404),
    summary="Read one corpus",
)
async def read_corpus(caller: Caller, services: AnyServices, name: str) -> Response:
    """Return a corpus: what is live in it and which index answers its searches."""
    async with connected(services.pool) as connection:
        row = await get_corpus(connection, caller_id=caller.caller_id, name=known_name(name))
    if row is None:
        raise NotFoundError
    return views.answer(views.corpus(row))


@router.get(
    "/{name}/documents",
    operation_id="document_list",
    response_model=schemas.DocumentList,
    responses=problems("document_list", 404, 422),
    summary="List live documents",
)
async def read_documents(
    request: Request, caller: Caller, services: AnyServices, name: str, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """List the documents that a search can find, oldest first."""
    place = decode_cursor(cursor, _DOCUMENT_PLACE)
    async with connected(services.pool) as connection:
        total = await count_documents(connection, caller_id=caller.caller_id, corpus=known_name(name))
        if total is None:
            raise NotFoundError
        rows = await list_documents(
            connection,
            caller_id=caller.caller_id,
            corpus=name,
            after_id=place[1] if place else None,
            limit=limit + 1,
        )
    shown, has_more = split(rows, limit)
    next_cursor = encode_cursor("created_at", shown[-1].id) if has_more else None
    found = page(request, limit=limit, order="created_at", total=total, next_cursor=next_cursor)
    body = schemas.DocumentList(content=[views.document(row) for row in shown], metadata=found.metadata)
    return views.answer(body, headers=found.headers)


def known_name(name: str) -> str:
    """Return a corpus's name from a path. Raises NotFoundError for text that can be none."""
    if "\0" in name or len(name) > 63:
        raise NotFoundError
    return name
