"""Jobs: submit URLs and documents, see how far they are."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import AwareDatetime, TypeAdapter

from cixml_api import schemas, views
from cixml_api.bodies import body_of
from cixml_api.crawls import rules_of, with_sitemaps
from cixml_api.dependencies import AnyServices, Caller
from cixml_api.errors import RANGE, URL, VALUE, FieldProblem, InvalidFieldsError
from cixml_api.filters import Moment, Several, plain, several
from cixml_api.idempotency import IdempotencyKey
from cixml_api.long_poll import tag_of, wait_for_change, wait_seconds
from cixml_api.openapi import problems, request_body
from cixml_api.pagination import Cursor, Limit, decode_cursor, encode_cursor, page, split
from cixml_api.submissions import item_of, submit, twice
from resources.errors import InvalidUrlError, NotFoundError
from resources.identifiers import Prefix, parse_public_id
from resources.postgres.job_progress import job_outlook
from resources.postgres.jobs import (
    ItemFilter,
    JobFilter,
    count_job_items,
    count_jobs,
    get_job,
    list_job_items,
    list_jobs,
)
from resources.postgres.pool import connected
from resources.postgres.submissions import NewItem
from resources.types import ItemStatus, JobStatus, Stage
from resources.web.urls import parse_url

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_JOB_PLACE = TypeAdapter(tuple[Literal["-created_at", "created_at"], AwareDatetime, UUID])
_ITEM_PLACE = TypeAdapter(tuple[Literal["ordinal"], int])


@router.post(
    "",
    operation_id="job_create",
    status_code=202,
    response_model=schemas.Job,
    responses=problems("job_create", 400, 403, 404, 413, 415, 422),
    openapi_extra=request_body(schemas.JobRequest),
    summary="Submit URLs and documents",
)
async def create_job(
    request: Request,
    caller: Caller,
    services: AnyServices,
    idempotency_key: IdempotencyKey = None,
    *,
    body: Annotated[schemas.JobRequest, Depends(body_of(schemas.JobRequest, cleaned=schemas.CLEANED))],
) -> Response:
    """Accept URLs and documents for a corpus, which is made on first use. The job ends with the last of its items.

    A URL that occurs again in the same job is `skipped`. For `documents` nothing is fetched: the same text under the
    same external id again is `unchanged`, another one replaces it. `Location` is the job's address.

    With `crawl` the job finds more pages: what its pages or sitemaps name and its rules let pass becomes an item, too,
    and the job ends with the last of all. Each page is asked for politely and as its robots.txt says. A found page that
    robots.txt disallows, that asks not to be indexed, or that names another one as its canonical address is `skipped`.
    """
    items = with_sitemaps(body.crawl, _read_items(body, services.settings.api.max_urls_per_job))
    return await submit(
        request,
        caller,
        services,
        corpus=body.corpus,
        items=items,
        crawl=rules_of(body.crawl, items),
        makes_corpus=body.create_corpus,
        idempotency_key=idempotency_key,
        body=body,
    )


def _read_items(body: schemas.JobRequest, most: int) -> list[NewItem]:
    """Return the items. Raises InvalidFieldsError that names every bad URL and document."""
    total = len(body.urls) + len(body.documents)
    if not total:
        detail = "a job takes at least one URL or document: give 'urls' or 'documents'"
        raise InvalidFieldsError([FieldProblem(pointer="/urls", number=RANGE, detail=detail)])
    if total > most:
        kind = "documents" if body.documents else "urls"
        detail = f"a job takes at most {most} URLs and documents, these are {total}: split it into several jobs"
        raise InvalidFieldsError([FieldProblem(pointer=f"/{kind}", number=RANGE, detail=detail)])
    items, wrong = [], list(twice(body.documents))
    for position, given in enumerate(body.urls):
        entry = None if isinstance(given, str) else given
        try:
            parsed = parse_url(entry.url if entry else str(given))
        except InvalidUrlError as error:
            pointer = f"/urls/{position}/url" if entry else f"/urls/{position}"
            wrong.append(FieldProblem(pointer=pointer, number=URL, detail=error.message))
            continue
        items.append(
            NewItem(
                url=parsed.href,
                url_key=parsed.key,
                host=parsed.host,
                external_id=entry.external_id if entry else None,
                metadata=entry.metadata if entry else None,
            )
        )
    if body.crawl is not None and body.crawl.mode != "none":
        if not body.urls:
            wrong.append(FieldProblem(pointer="/urls", number=RANGE, detail="a crawl begins with at least one URL"))
        elif len(body.urls) > body.crawl.max_pages:
            detail = f"the URLs of the request count, too: give at least {len(body.urls)}"
            wrong.append(FieldProblem(pointer="/crawl/max_pages", number=RANGE, detail=detail))
    if wrong:
        raise InvalidFieldsError(wrong)
    return items + [item_of(document) for document in body.documents]


@router.get(
    "",
    operation_id="job_list",
    response_model=schemas.JobList,
    responses=problems("job_list", 422),
    summary="List own jobs",
)
async def read_jobs(
    request: Request,
    caller: Caller,
    services: AnyServices,
    status: Several = None,
    corpus: Annotated[str | None, Query(max_length=63)] = None,
    created_after: Moment = None,
    created_before: Moment = None,
    order: Literal["-created_at", "created_at"] = "-created_at",
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List the caller's jobs, newest first unless asked otherwise."""
    where = JobFilter(
        statuses=several("status", status, JobStatus),
        corpus=plain("corpus", corpus),
        created_after=created_after,
        created_before=created_before,
    )
    after = _job_place(cursor, order)
    async with connected(services.pool) as connection:
        rows = await list_jobs(
            connection,
            caller_id=caller.caller_id,
            where=where,
            newest_first=order == "-created_at",
            after=after,
            limit=limit + 1,
        )
        total = await count_jobs(connection, caller_id=caller.caller_id, where=where)
    shown, has_more = split(rows, limit)
    next_cursor = encode_cursor(order, shown[-1].created_at.isoformat(), shown[-1].id) if has_more else None
    found = page(request, limit=limit, order=order, total=total, next_cursor=next_cursor)
    body = schemas.JobList(content=[views.job(row) for row in shown], metadata=found.metadata)
    return views.answer(body, headers=found.headers)


def _job_place(cursor: str | None, order: str) -> tuple[datetime, UUID] | None:
    place = decode_cursor(cursor, _JOB_PLACE)
    if place is None:
        return None
    if place[0] != order:
        detail = f"the cursor is of a list in the order {place[0]!r}: start again without it"
        raise InvalidFieldsError([FieldProblem(pointer="/cursor", number=VALUE, detail=detail)])
    return place[1], place[2]


@router.get(
    "/{job_id}",
    operation_id="job_read",
    response_model=schemas.Job,
    responses={304: {"description": "Not changed"}, **problems("job_read", 404, 422)},
    summary="Read one job",
)
async def read_one(
    request: Request,
    caller: Caller,
    services: AnyServices,
    job_id: str,
    if_none_match: Annotated[str | None, Header(max_length=500, description="the `ETag` that is known")] = None,
    prefer: Annotated[str | None, Header(max_length=500, description="`wait=30` waits for a change")] = None,
) -> Response:
    """Return a job with its items counted by state, what is ahead of it and why it waits.

    `ETag` is the job's version, which grows when the job or one of its items changes its state for good:
    `If-None-Match` is answered by 304. With `Prefer: wait=30` beside it the answer comes with the next change, or after
    so many seconds (30 at most) as 304.
    """
    key = parse_public_id(Prefix.JOB, job_id)
    headers: dict[str, str] = {}
    if if_none_match is not None:
        seconds = wait_seconds(prefer)
        if seconds is not None:
            headers["Preference-Applied"] = f"wait={seconds}"
        known = await wait_for_change(request, services.pool, caller.caller_id, key, if_none_match, seconds or 0)
        if known is not None:
            return Response(status_code=304, headers=headers | {"ETag": known})
    async with connected(services.pool) as connection:
        row = await get_job(connection, caller_id=caller.caller_id, job_id=key)
        outlook = await job_outlook(connection, caller_id=caller.caller_id, job_id=key)
    if row is None:
        raise NotFoundError
    headers["ETag"] = tag_of(row.version)
    if not JobStatus(row.status).is_terminal:
        headers["Retry-After"] = views.RETRY_SECONDS
    return views.answer(views.job(row, outlook), headers=headers)


@router.get(
    "/{job_id}/items",
    operation_id="item_list",
    response_model=schemas.ItemList,
    responses=problems("item_list", 404, 422),
    summary="List a job's items",
)
async def read_items(
    request: Request,
    caller: Caller,
    services: AnyServices,
    job_id: str,
    status: Several = None,
    failed_stage: Several = None,
    code: Several = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List the URLs of a job in the order they were given, each with its own state and error."""
    key = parse_public_id(Prefix.JOB, job_id)
    where = ItemFilter(
        statuses=several("status", status, ItemStatus),
        failed_stages=several("failed_stage", failed_stage, Stage),
        codes=[each.strip() for each in code.split(",")] if plain("code", code) and code else None,
    )
    place = decode_cursor(cursor, _ITEM_PLACE)
    async with connected(services.pool) as connection:
        total = await count_job_items(connection, caller_id=caller.caller_id, job_id=key, where=where)
        if total is None:
            raise NotFoundError
        rows = await list_job_items(
            connection,
            caller_id=caller.caller_id,
            job_id=key,
            where=where,
            after_ordinal=place[1] if place else -1,
            limit=limit + 1,
        )
    shown, has_more = split(rows, limit)
    next_cursor = encode_cursor("ordinal", shown[-1].ordinal) if has_more else None
    found = page(request, limit=limit, order="ordinal", total=total, next_cursor=next_cursor)
    body = schemas.ItemList(content=[views.item(row) for row in shown], metadata=found.metadata)
    return views.answer(body, headers=found.headers)
