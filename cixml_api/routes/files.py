"""Files that their callers push into a corpus, one with each request."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from cixml_api import schemas
from cixml_api.dependencies import AnyServices, Caller
from cixml_api.idempotency import IdempotencyKey
from cixml_api.openapi import problems
from cixml_api.submissions import submit
from cixml_api.uploads import FILE_TYPES, MULTIPART, Upload, read_upload
from resources.postgres.submissions import pushed_item

router = APIRouter(prefix="/v1/corpora/{name}", tags=["documents"])

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            MULTIPART: {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "additionalProperties": False,
                    "properties": {
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": f"text: {', '.join(FILE_TYPES)}; by its name where its part has no type",
                        },
                        "external_id": {
                            "type": "string",
                            "minLength": 1,
                            "maxLength": 256,
                            "description": "the caller's own id of the document, else the file's name",
                        },
                        "title": {"type": "string", "minLength": 1, "maxLength": 300},
                        "metadata": {
                            "type": "string",
                            "contentMediaType": "application/json",
                            "description": "a small JSON object of scalars",
                        },
                    },
                },
                "example": {
                    "file": "# Rotate a key\n\nFirst, ...",
                    "external_id": "T-4711",
                    "metadata": '{"product": "x"}',
                },
            }
        },
    }
}


@router.post(
    "/files",
    operation_id="file_push",
    status_code=202,
    response_model=schemas.Job,
    responses=problems("file_push", 400, 403, 404, 413, 415, 422),
    openapi_extra=_BODY,
    summary="Push a file",
)
async def push_file(
    request: Request,
    caller: Caller,
    services: AnyServices,
    name: str,
    idempotency_key: IdempotencyKey = None,
    *,
    upload: Annotated[Upload, Depends(read_upload)],
) -> Response:
    """Make the file the document of its external id, by a job of one item; `Location` is the job's address.

    HTML is read as a fetched page is. The same bytes again are `unchanged` and cost nothing.
    """
    fields = upload.fields
    item = pushed_item(fields.external_id, fields.metadata, upload.content)
    return await submit(
        request,
        caller,
        services,
        corpus=name,
        items=[item],
        idempotency_key=idempotency_key,
        body=upload.fingerprint,
    )
