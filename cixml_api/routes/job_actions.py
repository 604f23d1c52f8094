"""What is done to a job: cancel it, retry what failed of it."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from cixml_api import schemas, views
from cixml_api.bodies import body_of
from cixml_api.dependencies import AnyServices, Caller
from cixml_api.errors import InvalidFieldsError
from cixml_api.idempotency import IdempotencyKey
from cixml_api.openapi import problems, request_body
from cixml_api.retrying import make_retry, no_such_item
from resources.errors import NotFoundError
from resources.identifiers import Prefix, parse_public_id
from resources.postgres.cancellation import cancel_job
from resources.postgres.jobs import read_job
from resources.postgres.pool import caller_transaction

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


@router.post(
    "/{job_id}/cancel",
    operation_id="job_cancel",
    status_code=202,
    response_model=schemas.Job,
    responses={200: {"model": schemas.Job, "description": "It had ended"}, **problems("job_cancel", 404)},
    summary="Cancel a job",
)
async def cancel(caller: Caller, services: AnyServices, job_id: str) -> Response:
    """Cancel what has not ended. Items that wait end at once, items under work within seconds (`cancelling`).

    What was indexed stays. Cancelling twice is the same as once; a job that had ended is answered as it is, with 200.
    """
    key = parse_public_id(Prefix.JOB, job_id)
    async with caller_transaction(services.pool, caller.caller_id) as connection:
        cancelled = await cancel_job(connection, caller_id=caller.caller_id, job_id=key)
        row = await read_job(connection, job_id=key)
    if cancelled is None or row is None:
        raise NotFoundError
    if cancelled.before.is_terminal:
        return views.answer(views.job(row))
    return views.answer(views.job(row), status=202, headers=views.started(row.id))


@router.post(
    "/{job_id}/retry",
    operation_id="job_retry",
    status_code=202,
    response_model=schemas.Job,
    responses=problems("job_retry", 400, 404, 409, 413, 415, 422),
    openapi_extra=request_body(schemas.RetryRequest, required=False),
    summary="Retry what failed",
)
async def retry(
    request: Request,
    caller: Caller,
    services: AnyServices,
    job_id: str,
    idempotency_key: IdempotencyKey = None,
    *,
    body: Annotated[schemas.RetryRequest, Depends(body_of(schemas.RetryRequest, may_be_empty=True))],
) -> Response:
    """Make a job (`parent_job_id`) of this one's failed and cancelled items; this one stays as it is.

    A page whose bytes are still stored is not fetched again: its item begins at the stage that failed. Dead letters are
    the items of `GET /v1/jobs/{id}/items?status=failed`: name some of them in `items` to retry these alone.
    """
    key = parse_public_id(Prefix.JOB, job_id)
    item_ids = None if body.items is None else [_item_id(position, text) for position, text in enumerate(body.items)]
    return await make_retry(
        request, caller, services, job_id=key, body=body, item_ids=item_ids, idempotency_key=idempotency_key
    )


def _item_id(position: int, text: str) -> UUID:
    try:
        return parse_public_id(Prefix.ITEM, text)
    except NotFoundError:
        raise InvalidFieldsError([no_such_item(position)]) from None
