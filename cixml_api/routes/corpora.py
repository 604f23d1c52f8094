"""Corpora: made, read, listed, changed, granted."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import StringConstraints, TypeAdapter

from cixml_api import schemas, views
from cixml_api.addresses import OWNERS, check_role, corpus_address, corpus_key, find_corpus
from cixml_api.bodies import body_of
from cixml_api.conditional import IfMatch, check_if_match, tagged
from cixml_api.cutting import cut
from cixml_api.dependencies import AnyServices, Caller, Services
from cixml_api.errors import RANGE, FieldProblem, InvalidFieldsError
from cixml_api.openapi import problems, request_body
from cixml_api.pagination import Cursor, Limit, decode_cursor, encode_cursor, page, split
from cixml_api.schemas import CALLER_ID, CORPUS_NAME
from resources.errors import ConfigurationError, ConflictError, NotFoundError, PreconditionFailedError
from resources.postgres.callers import ensure_caller
from resources.postgres.corpora import (
    CorpusKey,
    CorpusSummary,
    count_corpora,
    drop_grant,
    ensure_corpus,
    get_corpus,
    list_corpora,
    patch_corpus,
    put_grant,
)
from resources.postgres.pool import caller_transaction, connected
from resources.postgres.quotas import admit
from resources.types import CallerContext, Exclusions

router = APIRouter(prefix="/v1/corpora", tags=["corpora"])

_PLACE = TypeAdapter(
    tuple[
        Literal["name"],
        Annotated[str, StringConstraints(pattern=CORPUS_NAME)],
        Annotated[str, StringConstraints(pattern=CALLER_ID)],
    ]
)
Grantee = Annotated[str, Path(description="`caller_id` of another caller")]


@router.post(
    "",
    operation_id="corpus_create",
    status_code=201,
    response_model=schemas.Corpus,
    responses=problems("corpus_create", 400, 409, 413, 415, 422),
    openapi_extra=request_body(schemas.CorpusRequest),
    summary="Make a corpus",
)
async def create_corpus(
    request: Request,
    caller: Caller,
    services: AnyServices,
    body: Annotated[schemas.CorpusRequest, Depends(body_of(schemas.CorpusRequest))],
) -> Response:
    """Make an empty corpus of the default model. The first job of a name makes it too, with the default settings."""
    index = services.new_index
    index = index.cut(cut(body.chunking, default=index.chunking, window_tokens=index.window_tokens))
    async with caller_transaction(services.pool, caller.caller_id) as connection:
        await admit(connection, limits=services.settings.limits, corpus=body.name)
        await ensure_caller(connection, caller)
        corpus, version = await ensure_corpus(
            connection,
            caller_id=caller.caller_id,
            name=body.name,
            index=index,
            title=body.title,
            require_if_match=body.require_if_match,
            exclusions=_exclusions(body.exclusions),
        )
    if corpus.rowcount != version.rowcount:
        raise ConfigurationError(f"the model {services.settings.embedding_model} is not in the database: migrate it")
    if corpus.rowcount == 0:
        raise ConflictError(f"There is a corpus {body.name!r} of this caller already.")
    made = await _read(services, caller, body.name)
    return _answer(request, caller, made, status=201, Location=f"/v1/corpora/{body.name}")


def _exclusions(given: schemas.ExclusionsRequest) -> Exclusions:
    return Exclusions(tags=given.tags, classes=given.classes)


@router.get(
    "",
    operation_id="corpus_list",
    response_model=schemas.CorpusList,
    responses=problems("corpus_list", 422),
    summary="List own and granted corpora",
)
async def read_corpora(
    request: Request, caller: Caller, services: AnyServices, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """List what the caller may search by name, with what is live in each."""
    place = decode_cursor(cursor, _PLACE)
    after = CorpusKey(name=place[1], owner=place[2]) if place else None
    async with connected(services.pool) as connection:
        rows = await list_corpora(connection, caller_id=caller.caller_id, after=after, limit=limit + 1)
        total = await count_corpora(connection, caller_id=caller.caller_id)
    shown, has_more = split(rows, limit)
    next_cursor = encode_cursor("name", shown[-1].name, shown[-1].owner) if has_more else None
    found = page(request, limit=limit, order="name", total=total, next_cursor=next_cursor)
    body = schemas.CorpusList(content=[_view(caller, row) for row in shown], metadata=found.metadata)
    return views.answer(body, headers=found.headers)


@router.get(
    "/{name}",
    operation_id="corpus_read",
    response_model=schemas.Corpus,
    responses={304: {"description": "Not changed"}, **problems("corpus_read", 404)},
    summary="Read one corpus",
)
async def read_corpus(request: Request, caller: Caller, services: AnyServices, name: str) -> Response:
    """Return a corpus: its settings, what is live in it, its index versions. `If-None-Match` is answered by 304."""
    return _answer(request, caller, await _read(services, caller, name))


@router.patch(
    "/{name}",
    operation_id="corpus_update",
    response_model=schemas.Corpus,
    responses=problems("corpus_update", 400, 403, 404, 412, 413, 415, 422, 428),
    openapi_extra=request_body(schemas.CorpusPatch),
    summary="Change a corpus's settings",
)
async def update_corpus(
    request: Request,
    caller: Caller,
    services: AnyServices,
    name: str,
    if_match: IfMatch = None,
    *,
    body: Annotated[schemas.CorpusPatch, Depends(body_of(schemas.CorpusPatch))],
) -> Response:
    """Change settings. `If-Match` with the ETag of a GET keeps what others changed since; some corpora need it.

    Of an ETag the settings count here: pages that were indexed meanwhile do not fail the request.
    """
    corpus = await _read(services, caller, name)
    check_role(corpus.role, OWNERS)
    check_if_match(if_match, version=corpus.version, is_required=corpus.require_if_match)
    async with caller_transaction(services.pool, caller.caller_id) as connection:
        is_changed = await patch_corpus(
            connection,
            corpus=corpus,
            title=body.title if "title" in body.model_fields_set else corpus.title,
            require_if_match=body.require_if_match,
            exclusions=None if body.exclusions is None else _exclusions(body.exclusions),
        )
    if not is_changed:
        raise PreconditionFailedError
    return _answer(request, caller, await _read(services, caller, name))


@router.get(
    "/{name}/grants",
    operation_id="grant_list",
    response_model=schemas.GrantList,
    responses=problems("grant_list", 403, 404),
    summary="List a corpus's grants",
)
async def read_grants(caller: Caller, services: AnyServices, name: str) -> Response:
    """List who else may use the corpus. For its owners."""
    corpus = await _read(services, caller, name)
    check_role(corpus.role, OWNERS)
    return views.answer(schemas.GrantList.model_validate({"content": corpus.grants}))


@router.put(
    "/{name}/grants/{caller_id}",
    operation_id="grant_update",
    response_model=schemas.Grant,
    responses=problems("grant_update", 400, 403, 404, 413, 415, 422),
    openapi_extra=request_body(schemas.GrantRequest),
    summary="Grant a role",
)
async def write_grant(
    caller: Caller,
    services: AnyServices,
    name: str,
    caller_id: Grantee,
    body: Annotated[schemas.GrantRequest, Depends(body_of(schemas.GrantRequest))],
) -> Response:
    """Let another caller use the corpus, which names it `owner:name`. In place of the role that it had."""
    corpus = await find_corpus(services.pool, caller, name, roles=OWNERS)
    grantee = _grantee(caller_id)
    if grantee == corpus.owner:
        detail = "the corpus is this caller's own: it needs no grant"
        raise InvalidFieldsError([FieldProblem(pointer="/role", number=RANGE, detail=detail)])
    async with caller_transaction(services.pool, caller.caller_id) as connection:
        await put_grant(connection, corpus_id=corpus.id, grantee=grantee, role=body.role)
    made = await _read(services, caller, name)
    given = next(each for each in made.grants or () if each["caller_id"] == grantee)
    return views.answer(schemas.Grant.model_validate(given))


@router.delete(
    "/{name}/grants/{caller_id}",
    operation_id="grant_delete",
    status_code=204,
    responses=problems("grant_delete", 403, 404),
    summary="Take a grant away",
)
async def delete_grant(caller: Caller, services: AnyServices, name: str, caller_id: Grantee) -> Response:
    """Take the role away; the next request of that caller finds no such corpus. Also where there was none."""
    corpus = await find_corpus(services.pool, caller, name, roles=OWNERS)
    async with caller_transaction(services.pool, caller.caller_id) as connection:
        await drop_grant(connection, corpus_id=corpus.id, grantee=_grantee(caller_id))
    return Response(status_code=204)


def _grantee(text: str) -> str:
    """Return a caller's id from a path. Raises NotFoundError for text that can be none."""
    try:
        return TypeAdapter(Annotated[str, StringConstraints(pattern=CALLER_ID)]).validate_python(text)
    except ValueError:
        raise NotFoundError from None


async def _read(services: Services, caller: CallerContext, address: str) -> CorpusSummary:
    key = corpus_key(caller, address)
    async with connected(services.pool) as connection:
        row = await get_corpus(connection, caller_id=caller.caller_id, key=key)
    if row is None:
        raise NotFoundError
    return row


def _answer(
    request: Request, caller: CallerContext, row: CorpusSummary, *, status: int = 200, **headers: str
) -> Response:
    return tagged(request, _view(caller, row), version=row.version, status=status, **headers)


def _view(caller: CallerContext, row: CorpusSummary) -> schemas.Corpus:
    return views.corpus(row, address=corpus_address(caller, owner=row.owner, name=row.name))
