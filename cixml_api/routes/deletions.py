"""Deletions: of a corpus, of a document, of the documents that pass a filter. Each answers with a receipt."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from cixml_api import schemas, views
from cixml_api.addresses import OWNERS, WRITERS, check_role, corpus_key, find_corpus
from cixml_api.bodies import body_of
from cixml_api.conditional import IfMatch, check_if_match
from cixml_api.dependencies import AnyServices, Caller
from cixml_api.openapi import problems, request_body
from resources.errors import NotFoundError, PreconditionFailedError
from resources.identifiers import Prefix, parse_public_id
from resources.postgres.corpora import get_corpus
from resources.postgres.pool import caller_transaction, connected
from resources.postgres.receipts import DocumentFilter, count_matching, delete_corpus, delete_documents

router = APIRouter(prefix="/v1/corpora/{name}", tags=["deletions"])


@router.delete(
    "",
    operation_id="corpus_delete",
    status_code=202,
    response_model=schemas.Receipt,
    responses=problems("corpus_delete", 403, 404, 412, 422, 428),
    summary="Delete a corpus",
)
async def remove_corpus(
    request: Request, caller: Caller, services: AnyServices, name: str, if_match: IfMatch = None
) -> Response:
    """Delete a corpus with all that is in it. For its owners; `If-Match` as for a change of its settings.

    With this answer it is gone for everybody and its name is free. Its open jobs end as cancelled within seconds, and
    jobs stay readable. `Location` is the receipt, which says when the last of it is removed.
    """
    key = corpus_key(caller, name)
    async with connected(services.pool) as connection:
        corpus = await get_corpus(connection, caller_id=caller.caller_id, key=key)
    if corpus is None:
        raise NotFoundError
    check_role(corpus.role, OWNERS)
    check_if_match(if_match, version=corpus.version, is_required=corpus.require_if_match)
    version = None if if_match is None else corpus.version
    async with caller_transaction(services.pool, caller.caller_id) as connection:
        receipt = await delete_corpus(
            connection, corpus_id=corpus.id, version=version, address=name, traceparent=request.state.traceparent
        )
    if receipt is None:
        raise NotFoundError if version is None else PreconditionFailedError
    return views.deleting(receipt)


@router.delete(
    "/documents/{document_id}",
    operation_id="document_delete",
    status_code=202,
    response_model=schemas.Receipt,
    responses=problems("document_delete", 403, 404),
    summary="Delete a document",
)
async def remove_document(
    request: Request, caller: Caller, services: AnyServices, name: str, document_id: str
) -> Response:
    """Delete one document with all its versions. For writers and owners.

    No search finds it after this answer. Items of its page that were submitted before end as `skipped`; its URL may be
    submitted again at once, and is a new document then.
    """
    corpus = await find_corpus(services.pool, caller, name, roles=WRITERS)
    where = DocumentFilter(document_id=parse_public_id(Prefix.DOCUMENT, document_id))
    async with caller_transaction(services.pool, caller.caller_id) as connection:
        receipt = await delete_documents(
            connection, corpus_id=corpus.id, address=name, where=where, traceparent=request.state.traceparent
        )
    if receipt is None:
        raise NotFoundError
    return views.deleting(receipt)


@router.post(
    "/documents/delete",
    operation_id="document_delete_matching",
    status_code=202,
    response_model=schemas.Receipt,
    responses={
        200: {"model": schemas.DeletionCount, "description": "With `dry_run`: how many it would be"},
        **problems("document_delete_matching", 400, 403, 404, 413, 415, 422),
    },
    openapi_extra=request_body(schemas.DeletionRequest),
    summary="Delete the documents that pass a filter",
)
async def remove_matching(
    request: Request,
    caller: Caller,
    services: AnyServices,
    name: str,
    body: Annotated[schemas.DeletionRequest, Depends(body_of(schemas.DeletionRequest))],
) -> Response:
    """Delete every document that passes all conditions, as one deletion; with `dry_run`, only count them."""
    corpus = await find_corpus(services.pool, caller, name, roles=WRITERS)
    where = DocumentFilter(**body.filter.model_dump())
    if body.dry_run:
        async with connected(services.pool) as connection:
            count = await count_matching(connection, caller_id=caller.caller_id, corpus_id=corpus.id, where=where)
        return views.answer(schemas.DeletionCount(documents=count))
    async with caller_transaction(services.pool, caller.caller_id) as connection:
        receipt = await delete_documents(
            connection, corpus_id=corpus.id, address=name, where=where, traceparent=request.state.traceparent
        )
    if receipt is None:
        raise NotFoundError
    return views.deleting(receipt)
