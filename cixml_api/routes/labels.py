"""The labelled queries of a corpus: what index versions are compared by."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from cixml_api import schemas, views
from cixml_api.addresses import OWNERS, find_corpus
from cixml_api.bodies import body_of
from cixml_api.dependencies import AnyServices, Caller
from cixml_api.openapi import problems, request_body
from resources.postgres.labels import put_labels, read_labels
from resources.postgres.pool import caller_transaction, connected

router = APIRouter(prefix="/v1/corpora/{name}/labels", tags=["corpora"])


@router.put(
    "",
    operation_id="label_update",
    response_model=schemas.LabelList,
    responses=problems("label_update", 400, 403, 404, 413, 415, 422),
    openapi_extra=request_body(schemas.LabelsRequest),
    summary="Label a corpus's queries",
)
async def write_labels(
    caller: Caller,
    services: AnyServices,
    name: str,
    body: Annotated[schemas.LabelsRequest, Depends(body_of(schemas.LabelsRequest))],
) -> Response:
    """Say which documents answer which questions, in place of all that was said before. For owners.

    An index version that may take over is compared by the first 100 whose documents are there with the one that serves.
    """
    corpus = await find_corpus(services.pool, caller, name, roles=OWNERS)
    labels = [label.model_dump() for label in body.labels]
    async with caller_transaction(services.pool, caller.caller_id) as connection:
        await put_labels(connection, corpus_id=corpus.id, labels=labels)
    return views.answer(schemas.LabelList.model_validate({"content": labels}))


@router.get(
    "",
    operation_id="label_list",
    response_model=schemas.LabelList,
    responses=problems("label_list", 404),
    summary="List a corpus's labels",
)
async def list_labels(caller: Caller, services: AnyServices, name: str) -> Response:
    """List the questions and what answers them."""
    corpus = await find_corpus(services.pool, caller, name)
    async with connected(services.pool) as connection:
        rows = await read_labels(connection, caller_id=caller.caller_id, corpus_id=corpus.id)
    content = [schemas.LabelRecord(query=row.query, relevant=row.relevant) for row in rows]
    return views.answer(schemas.LabelList(content=content))
