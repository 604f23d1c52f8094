"""Documents that their callers push into a corpus: nothing is fetched for them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from cixml_api import schemas
from cixml_api.bodies import body_of
from cixml_api.dependencies import AnyServices, Caller
from cixml_api.idempotency import IdempotencyKey
from cixml_api.openapi import problems, request_body
from cixml_api.submissions import item_of, submit

router = APIRouter(prefix="/v1/corpora/{name}", tags=["documents"])


@router.put(
    "/documents",
    operation_id="document_push",
    status_code=202,
    response_model=schemas.Job,
    responses=problems("document_push", 400, 403, 404, 413, 415, 422),
    openapi_extra=request_body(schemas.PushedDocument),
    summary="Push a document",
)
async def push_document(
    request: Request,
    caller: Caller,
    services: AnyServices,
    name: str,
    idempotency_key: IdempotencyKey = None,
    *,
    body: Annotated[schemas.PushedDocument, Depends(body_of(schemas.PushedDocument, cleaned=schemas.CLEANED))],
) -> Response:
    """Make the text the document of this external id, by a job of one item; `Location` is the job's address.

    The same text again is `unchanged` and costs nothing. Several at once: `documents` of `POST /v1/jobs`.
    """
    return await submit(
        request, caller, services, corpus=name, items=[item_of(body)], idempotency_key=idempotency_key, body=body
    )
