"""A job's events as they happen (Server-Sent Events)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.responses import StreamingResponse

from cixml_api import examples
from cixml_api.dependencies import AnyServices, Caller, hold_stream
from cixml_api.job_stream import AFTER_ALL_ITEMS, JobStream, place_of
from cixml_api.openapi import problems
from resources.identifiers import Prefix, parse_public_id

MEDIA_TYPE = "text/event-stream"
router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


@router.get(
    "/{job_id}/events",
    operation_id="job_watch",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Events",
            "content": {MEDIA_TYPE: {"schema": {"type": "string"}, "example": examples.EVENTS}},
        },
        204: {"description": "The job has ended and all of it was told: do not come back"},
        **problems("job_watch", 404, 422),
    },
    summary="Watch a job",
    dependencies=[Depends(hold_stream)],
)
async def watch(
    request: Request,
    caller: Caller,
    services: AnyServices,
    job_id: str,
    last_event_id: Annotated[str | None, Header(max_length=100, description="the last `id` that was received")] = None,
) -> Response:
    """Tell each item as it ends (`item`, as in `/items`), and the job's way.

    `job` is the job when its status changed, and at the beginning; `progress` its counts when they changed; `end` the
    job at its end, the last event. With `Last-Event-ID` nothing is told twice and nothing left out. A comment comes
    when there is nothing to tell for 15 seconds. The key is looked at every 15 seconds, too: a stream whose key is no
    longer good ends without `end`.
    """
    key = parse_public_id(Prefix.JOB, job_id)
    place = place_of(last_event_id)
    stream = JobStream(
        pool=services.pool,
        caller_id=caller.caller_id,
        job_id=key,
        identify_again=request.state.identify_again,
    )
    found = await stream.version()
    if found.is_over and place >= (found.version, AFTER_ALL_ITEMS):
        return Response(status_code=204)
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(stream.events(request, place), media_type=MEDIA_TYPE, headers=headers)
