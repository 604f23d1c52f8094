"""Documents of a corpus: list them, read one, its chunks and its contents."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import TypeAdapter

from cixml_api import schemas, views
from cixml_api.addresses import corpus_key
from cixml_api.conditional import tagged
from cixml_api.dependencies import AnyServices, Caller
from cixml_api.errors import URL, VALUE, FieldProblem, InvalidFieldsError
from cixml_api.filters import Moment, Several, plain, several
from cixml_api.openapi import problems
from cixml_api.pagination import Cursor, Limit, Page, decode_cursor, encode_cursor, page, split
from resources.errors import InvalidUrlError, NotFoundError
from resources.identifiers import Prefix, parse_public_id
from resources.postgres.documents import (
    DocumentFilter,
    ListedDocument,
    count_documents,
    get_document,
    list_chunks,
    list_documents,
    live_chunk_set,
    live_content,
)
from resources.postgres.pool import connected
from resources.web.urls import parse_url

router = APIRouter(prefix="/v1/corpora/{name}", tags=["documents"])

STATUSES = ("live", "pending")

_DOCUMENT_PLACE = TypeAdapter(tuple[Literal["created_at"], UUID])
_CHUNK_PLACE = TypeAdapter(tuple[Literal["ordinal"], UUID, int])
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+")
_CHARSET = re.compile(r"[A-Za-z0-9_.:-]+")
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_CONTENT_HEADERS = {
    # Stored pages are hostile: a browser shows none of it as a page of this host.
    "Content-Disposition": "attachment",
    "Content-Security-Policy": "sandbox",
    "X-Content-Type-Options": "nosniff",
}
_CONTENT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The bytes as they were fetched, or the text",
        "content": {
            "text/plain": {"schema": {"type": "string"}, "example": "API keys\n\nTo rotate a key, ..."},
            "*/*": {"schema": {"type": "string", "format": "binary"}, "example": "<html>..."},
        },
    },
    304: {"description": "Not changed"},
}

IfNoneMatch = Annotated[str | None, Header(max_length=500, description="the `ETag` that is known")]


@router.get(
    "/documents",
    operation_id="document_list",
    response_model=schemas.DocumentList,
    responses=problems("document_list", 404, 422),
    summary="List documents",
)
async def read_documents(
    request: Request,
    caller: Caller,
    services: AnyServices,
    name: str,
    url: Annotated[str | None, Query(max_length=4096, description="the document of this URL")] = None,
    external_id: Annotated[str | None, Query(max_length=256, description="documents of the caller's own id")] = None,
    status: Annotated[str, Query(max_length=500, description="live, pending, or both, separated by a comma")] = "live",
    language: Several = None,
    changed_after: Moment = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List documents, oldest first: those that a search can find, unless `status` asks for those that wait, too.

    `changed_after` compares `changed_at`: when the content that is live now went live.
    """
    where = DocumentFilter(
        statuses=several("status", status, STATUSES) or (),
        url_key=_url_key(url),
        external_id=plain("external_id", external_id),
        languages=_languages(language),
        changed_after=changed_after,
    )
    rows, found = await _list(request, caller, services, name, where, limit, cursor)
    body = schemas.DocumentList(content=[views.document(row) for row in rows], metadata=found.metadata)
    return views.answer(body, headers=found.headers)


@router.get(
    "/sources",
    operation_id="source_list",
    response_model=schemas.SourceList,
    responses=problems("source_list", 404, 422),
    summary="List sources",
)
async def read_sources(
    request: Request, caller: Caller, services: AnyServices, name: str, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """List where the live documents of a corpus come from, oldest first."""
    rows, found = await _list(request, caller, services, name, DocumentFilter(), limit, cursor)
    body = schemas.SourceList(content=[views.source(row) for row in rows], metadata=found.metadata)
    return views.answer(body, headers=found.headers)


async def _list(
    request: Request,
    caller: Caller,
    services: AnyServices,
    name: str,
    where: DocumentFilter,
    limit: int,
    cursor: str | None,
) -> tuple[list[ListedDocument], Page]:
    place = decode_cursor(cursor, _DOCUMENT_PLACE)
    key = corpus_key(caller, name)
    async with connected(services.pool) as connection:
        total = await count_documents(connection, caller_id=caller.caller_id, corpus=key, where=where)
        if total is None:
            raise NotFoundError
        rows = await list_documents(
            connection,
            caller_id=caller.caller_id,
            corpus=key,
            where=where,
            after_id=place[1] if place else None,
            limit=limit + 1,
        )
    shown, has_more = split(rows, limit)
    next_cursor = encode_cursor("created_at", shown[-1].id) if has_more else None
    return shown, page(request, limit=limit, order="created_at", total=total, next_cursor=next_cursor)


@router.get(
    "/documents/{document_id}",
    operation_id="document_read",
    response_model=schemas.DocumentDetail,
    responses={304: {"description": "Not changed"}, **problems("document_read", 404, 422)},
    summary="Read one document",
)
async def read_document(
    request: Request,
    caller: Caller,
    services: AnyServices,
    name: str,
    document_id: str,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Return a document with the versions of it that are still stored. `If-None-Match` is answered by 304."""
    key, document = corpus_key(caller, name), parse_public_id(Prefix.DOCUMENT, document_id)
    async with connected(services.pool) as connection:
        row = await get_document(connection, caller_id=caller.caller_id, corpus=key, document_id=document)
    if row is None:
        raise NotFoundError
    return tagged(request, views.document_detail(row), version=row.fetch_seq)


@router.get(
    "/documents/{document_id}/chunks",
    operation_id="chunk_list",
    response_model=schemas.ChunkList,
    responses=problems("chunk_list", 404, 422),
    summary="List a document's chunks",
)
async def read_chunks(
    request: Request,
    caller: Caller,
    services: AnyServices,
    name: str,
    document_id: str,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List the chunks of what is live of a document, in order. A cursor ends with the version that it was given for."""
    place = decode_cursor(cursor, _CHUNK_PLACE)
    key, document = corpus_key(caller, name), parse_public_id(Prefix.DOCUMENT, document_id)
    rows = []
    async with connected(services.pool) as connection:
        live = await live_chunk_set(connection, caller_id=caller.caller_id, corpus=key, document_id=document)
        if live is None:
            raise NotFoundError
        if place and place[1] != live.live_version_id:
            detail = "the document has changed since this cursor was given: start again without it"
            raise InvalidFieldsError([FieldProblem(pointer="/cursor", number=VALUE, detail=detail)])
        if live.live_version_id is not None:
            rows = await list_chunks(
                connection,
                caller_id=caller.caller_id,
                version_id=live.live_version_id,
                after_ordinal=place[2] if place else -1,
                limit=limit + 1,
            )
    shown, has_more = split(rows, limit)
    next_cursor = None
    if has_more and live.live_version_id is not None:
        next_cursor = encode_cursor("ordinal", live.live_version_id, shown[-1].ordinal)
    found = page(request, limit=limit, order="ordinal", total=live.chunk_count, next_cursor=next_cursor)
    body = schemas.ChunkList(content=[views.chunk(row) for row in shown], metadata=found.metadata)
    return views.answer(body, headers=found.headers)


@router.get(
    "/documents/{document_id}/content",
    operation_id="content_read",
    responses=_CONTENT | problems("content_read", 404, 422),
    response_class=Response,
    summary="Read what is stored of a document",
)
async def read_content(
    caller: Caller,
    services: AnyServices,
    name: str,
    document_id: str,
    layer: Annotated[
        Literal["raw", "text"], Query(description="the bytes as they came, or the text that was cut into chunks")
    ] = "text",
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Return what is live of a document, always as an attachment: stored pages are hostile."""
    key, document = corpus_key(caller, name), parse_public_id(Prefix.DOCUMENT, document_id)
    known = [tag.strip().removeprefix("W/").strip('"') for tag in (if_none_match or "").split(",")]
    async with connected(services.pool) as connection:
        found = await live_content(
            connection, caller_id=caller.caller_id, corpus=key, document_id=document, layer=layer, known=known
        )
    if found is None:
        raise NotFoundError("There is no such document for this caller, or nothing of it is live yet.")
    headers = {"ETag": f'"{found.sha256}"'}
    if found.body is None:
        return Response(status_code=304, headers=headers)
    headers["Content-Type"] = _content_type(found.content_type, found.charset)
    return Response(found.body, headers=headers | _CONTENT_HEADERS)


def _content_type(media_type: str, charset: str | None) -> str:
    """Return the stored type, which came from a foreign server, where it has the form of one."""
    if not _MEDIA_TYPE.fullmatch(media_type):
        return "application/octet-stream"
    return f"{media_type}; charset={charset}" if charset and _CHARSET.fullmatch(charset) else media_type


def _url_key(url: str | None) -> str | None:
    if url is None:
        return None
    try:
        return parse_url(url).key
    except InvalidUrlError as error:
        raise InvalidFieldsError([FieldProblem(pointer="/url", number=URL, detail=error.message)]) from None


def _languages(given: str | None) -> list[str] | None:
    if given is None:
        return None
    values = [value.strip() for value in given.split(",")]
    if not all(_LANGUAGE.fullmatch(value) for value in values):
        detail = "a language is two or three letters, as 'en': several are separated by commas"
        raise InvalidFieldsError([FieldProblem(pointer="/language", number=VALUE, detail=detail)])
    return values
