"""What is done to a document: fetch it again."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from cixml_api import schemas
from cixml_api.addresses import WRITERS, corpus_key, find_corpus
from cixml_api.dependencies import AnyServices, Caller
from cixml_api.idempotency import IdempotencyKey
from cixml_api.openapi import problems
from cixml_api.submissions import submit
from resources.errors import ConflictError, NotFoundError
from resources.identifiers import Prefix, parse_public_id
from resources.postgres.documents import get_document
from resources.postgres.pool import connected
from resources.postgres.submissions import NewItem
from resources.web.urls import parse_url

router = APIRouter(prefix="/v1/corpora/{name}", tags=["documents"])


@router.post(
    "/documents/{document_id}/refresh",
    operation_id="document_refresh",
    status_code=202,
    response_model=schemas.Job,
    responses=problems("document_refresh", 403, 404, 409, 422),
    summary="Fetch a document again",
)
async def refresh(
    request: Request,
    caller: Caller,
    services: AnyServices,
    name: str,
    document_id: str,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Fetch the document's URL again, by a job of one item: `unchanged` where its server or the bytes say so.

    A document that was pushed has no URL: its caller pushes it again.
    """
    document = parse_public_id(Prefix.DOCUMENT, document_id)
    await find_corpus(services.pool, caller, name, roles=WRITERS)
    async with connected(services.pool) as connection:
        row = await get_document(
            connection, caller_id=caller.caller_id, corpus=corpus_key(caller, name), document_id=document
        )
    if row is None:
        raise NotFoundError
    if row.url is None:
        raise ConflictError("The document was pushed, so there is no URL to fetch: push it again.")
    url = parse_url(row.url)
    item = NewItem(url=url.href, url_key=url.key, host=url.host)
    return await submit(
        request, caller, services, corpus=name, items=[item], idempotency_key=idempotency_key, body=schemas.Request()
    )
