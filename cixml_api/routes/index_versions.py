"""Index versions of a corpus: asked for, watched, made to serve, given up."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from cixml_api import schemas, views
from cixml_api.addresses import OWNERS, find_corpus
from cixml_api.bodies import body_of
from cixml_api.dependencies import AnyServices, Caller
from cixml_api.idempotency import IdempotencyKey, keep, keyed, replay
from cixml_api.openapi import problems, request_body
from cixml_api.reindexing import new_version
from resources.errors import ConfigurationError, ConflictError, NotFoundError
from resources.identifiers import Prefix, new_uuid, parse_public_id, public_id
from resources.postgres.index_versions import (
    VersionSummary,
    activate,
    drop,
    read_version,
    read_versions,
    request_version,
)
from resources.postgres.pool import caller_transaction, connected

router = APIRouter(prefix="/v1/corpora/{name}/index-versions", tags=["corpora"])


@router.post(
    "",
    operation_id="index_version_create",
    status_code=202,
    response_model=schemas.IndexVersionDetail,
    responses=problems("index_version_create", 400, 403, 404, 409, 413, 415, 422),
    openapi_extra=request_body(schemas.IndexVersionRequest, required=False),
    summary="Build another index of a corpus",
)
async def create(
    request: Request,
    caller: Caller,
    services: AnyServices,
    name: str,
    idempotency_key: IdempotencyKey = None,
    *,
    body: Annotated[schemas.IndexVersionRequest, Depends(body_of(schemas.IndexVersionRequest, may_be_empty=True))],
) -> Response:
    """Build an index with another model, of texts cut another way, or anew, beside the one that serves. For owners.

    Nothing is fetched. Searches and new pages go to the index that serves meanwhile; once this one is `ready` and asked
    to serve, it gets what came in since, and takes over in one step.
    """
    corpus = await find_corpus(services.pool, caller, name, roles=OWNERS)
    wanted = keyed(request, caller, idempotency_key, body)
    version_id = new_uuid()
    version = await new_version(services, caller, corpus_id=corpus.id, index_version_id=version_id, body=body)
    async with caller_transaction(services.pool, caller.caller_id) as connection:
        if (before := await replay(connection, wanted)) is not None:
            return before
        is_asked = await request_version(
            connection,
            corpus_id=corpus.id,
            version=version,
            index_version_id=version_id,
            traceparent=request.state.traceparent,
        )
        if not is_asked:
            raise ConfigurationError("the model is not in the database: run 'cixml migrate'")
        row = await read_version(connection, corpus_id=corpus.id, index_version_id=version_id)
        response = _accepted(name, _found(row))
        await keep(connection, wanted, response)
    return response


@router.get(
    "",
    operation_id="index_version_list",
    response_model=schemas.IndexVersionList,
    responses=problems("index_version_list", 404),
    summary="List a corpus's index versions",
)
async def read_all(caller: Caller, services: AnyServices, name: str) -> Response:
    """List what answers searches, will, or did."""
    corpus = await find_corpus(services.pool, caller, name)
    async with connected(services.pool) as connection:
        rows = await read_versions(connection, caller_id=caller.caller_id, corpus_id=corpus.id)
    return views.answer(schemas.IndexVersionList(content=[views.index_version(row) for row in rows]))


@router.get(
    "/{version_id}",
    operation_id="index_version_read",
    response_model=schemas.IndexVersionDetail,
    responses=problems("index_version_read", 404),
    summary="Read one index version",
)
async def read_one(caller: Caller, services: AnyServices, name: str, version_id: str) -> Response:
    """Return how far it is, and why it stands still."""
    corpus = await find_corpus(services.pool, caller, name)
    key = parse_public_id(Prefix.VERSION, version_id)
    async with connected(services.pool) as connection:
        rows = await read_versions(connection, caller_id=caller.caller_id, corpus_id=corpus.id, index_version_id=key)
    return views.answer(views.index_version(_found(rows[0] if rows else None)))


@router.post(
    "/{version_id}/activate",
    operation_id="index_version_activate",
    status_code=202,
    response_model=schemas.IndexVersionDetail,
    responses={
        200: {"model": schemas.IndexVersionDetail, "description": "It serves already"},
        **problems("index_version_activate", 400, 403, 404, 409, 413, 415, 422),
    },
    openapi_extra=request_body(schemas.ActivationRequest, required=False),
    summary="Let an index version serve",
)
async def start_serving(
    request: Request,
    caller: Caller,
    services: AnyServices,
    name: str,
    version_id: str,
    body: Annotated[schemas.ActivationRequest, Depends(body_of(schemas.ActivationRequest, may_be_empty=True))],
) -> Response:
    """Let a `ready` version serve, or one that was replaced serve again (until its `drop_after`). For owners.

    It gets what came in since, and takes over within seconds: until then searches are answered by the other, after
    that by this one, and never by both. One whose `comparison` found it worse than what serves is refused, unless it is
    forced.
    """
    corpus = await find_corpus(services.pool, caller, name, roles=OWNERS)
    key = parse_public_id(Prefix.VERSION, version_id)
    async with caller_transaction(services.pool, caller.caller_id) as connection:
        is_asked = await activate(
            connection,
            corpus_id=corpus.id,
            index_version_id=key,
            force=body.force,
            traceparent=request.state.traceparent,
        )
        row = _found(await read_version(connection, corpus_id=corpus.id, index_version_id=key))
    if is_asked:
        return _accepted(name, row)
    if row.state == "serving":
        return views.answer(views.index_version(row))
    if row.state == "building":
        raise ConflictError("The index version is not filled yet: wait until it is 'ready', or ask for it as 'auto'.")
    if row.comparison is not None and not row.comparison["is_good"]:
        troubles = "; ".join(row.comparison["troubles"])
        raise ConflictError(
            f"{troubles}: see its 'comparison'; with 'force': true ('cixml activate --force') it serves all the same."
        )
    if not row.is_enabled:
        raise ConflictError(f"Its model {row.model} is not enabled: have it enabled, or ask for another index version.")
    raise ConflictError("Nothing is left of this index version to serve: ask for a new one.")


@router.delete(
    "/{version_id}",
    operation_id="index_version_delete",
    status_code=202,
    response_model=schemas.IndexVersionDetail,
    responses=problems("index_version_delete", 403, 404, 409),
    summary="Give an index version up",
)
async def give_up(caller: Caller, services: AnyServices, name: str, version_id: str) -> Response:
    """Stop a build, or remove an index that does not serve; what it has is gone soon. For owners. Twice is as once."""
    corpus = await find_corpus(services.pool, caller, name, roles=OWNERS)
    key = parse_public_id(Prefix.VERSION, version_id)
    async with caller_transaction(services.pool, caller.caller_id) as connection:
        is_dropped = await drop(connection, corpus_id=corpus.id, index_version_id=key)
        row = _found(await read_version(connection, corpus_id=corpus.id, index_version_id=key))
    if not is_dropped and row.state == "serving":
        raise ConflictError("This index version answers the searches: let another one serve first.")
    return _accepted(name, row)


def _found(row: VersionSummary | None) -> VersionSummary:
    if row is None:
        raise NotFoundError
    return row


def _accepted(name: str, row: VersionSummary) -> Response:
    path = f"/v1/corpora/{name}/index-versions/{public_id(Prefix.VERSION, row.id)}"
    headers = {"Location": path, "Retry-After": views.RETRY_SECONDS}
    return views.answer(views.index_version(row), status=202, headers=headers)
