"""A retry: the child job of some ended items, with its quota and its Idempotency-Key in one transaction."""

from __future__ import annotations

from uuid import UUID

from fastapi import Request, Response

from cixml_api import idempotency, schemas, views
from cixml_api.dependencies import Services
from cixml_api.errors import VALUE, FieldProblem, InvalidFieldsError, NothingToRetryError
from resources.errors import NotFoundError
from resources.identifiers import Prefix, public_id
from resources.postgres.jobs import read_job
from resources.postgres.pool import caller_transaction
from resources.postgres.quotas import admit, take_turn
from resources.postgres.retries import RetriedJob, retry_job
from resources.telemetry import attributes, tracing
from resources.types import CallerContext


async def make_retry(
    request: Request,
    caller: CallerContext,
    services: Services,
    *,
    job_id: UUID,
    body: schemas.RetryRequest,
    item_ids: list[UUID] | None,
    idempotency_key: str | None,
) -> Response:
    """Answer with the child job. `item_ids` are those of the body, parsed."""
    keyed = idempotency.keyed(request, caller, idempotency_key, body)
    async with caller_transaction(services.pool, caller.caller_id) as connection:
        if kept := await idempotency.replay(connection, keyed):
            return kept
        await take_turn(connection, limits=services.settings.limits)
        retried = await retry_job(
            connection,
            caller_id=caller.caller_id,
            job_id=job_id,
            statuses=body.only,
            stages=body.stages,
            item_ids=item_ids,
            traceparent=request.state.traceparent,
        )
        child = _child_of(retried, item_ids)
        assert retried is not None
        await admit(connection, limits=services.settings.limits, pages=len(retried.retried), are_inserted=True)
        row = await read_job(connection, job_id=child)
        assert row is not None
        answer = views.answer(views.job(row), status=202, headers=views.started(row.id))
        await idempotency.keep(connection, keyed, answer)
    tracing.note(attributes.JOB_ID, public_id(Prefix.JOB, child))
    tracing.note(attributes.OPERATION, attributes.WRITE)
    tracing.note(attributes.REQUEST_MODE, attributes.ASYNC)
    return answer


def no_such_item(position: int) -> FieldProblem:
    detail = "the job has no item of this id that could be retried so: see 'only', 'stages' and the job's items"
    return FieldProblem(pointer=f"/items/{position}", number=VALUE, detail=detail)


def _child_of(retried: RetriedJob | None, item_ids: list[UUID] | None) -> UUID:
    """Return the child job's id. Raises what rolls the transaction back."""
    if retried is None:
        raise NotFoundError
    found = set(retried.retried)
    missing = [no_such_item(position) for position, given in enumerate(item_ids or ()) if given not in found]
    if missing:
        raise InvalidFieldsError(missing)
    if retried.job_id is None:
        raise NothingToRetryError
    return retried.job_id
