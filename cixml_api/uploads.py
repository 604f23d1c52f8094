"""Reads a file from a multipart body, in pieces and to disk above a megabyte; what it is, its part or its name says."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import PurePosixPath

from fastapi import Request
from pydantic import BaseModel
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from cixml_api import schemas
from cixml_api.bodies import escape, parse_text, refuse_characters, validate
from cixml_api.errors import (
    MISSING,
    UNKNOWN,
    VALUE,
    FieldProblem,
    InvalidFieldsError,
    MalformedBodyError,
    MediaTypeError,
)
from resources.media_types import HTML, JSON, MARKDOWN, PDF, PLAIN, XML, normal_type, sniffed_type
from resources.postgres.submissions import PushedContent

FILE_TYPES = (PLAIN, MARKDOWN, HTML, JSON, XML, PDF)
MULTIPART = "multipart/form-data"
MOST_PART_BYTES = 131_072
"""Of a part that is no file: the metadata is the largest."""

_FILE = "file"
_SUFFIXES = {
    ".txt": PLAIN, ".text": PLAIN, ".csv": PLAIN, ".md": MARKDOWN, ".markdown": MARKDOWN, ".html": HTML, ".htm": HTML,
    ".xhtml": HTML, ".json": JSON, ".xml": XML, ".rss": XML, ".pdf": PDF,
}  # fmt: skip
_CHARSET = re.compile(r"[A-Za-z0-9_.:-]{1,40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file and what its caller says of it."""

    fields: schemas.FileFields
    content: PushedContent

    @property
    def fingerprint(self) -> BaseModel:
        """Return what an Idempotency-Key stands for."""
        return _Fingerprint(
            fields=self.fields,
            content_type=self.content.content_type,
            charset=self.content.charset,
            sha256=hashlib.sha256(self.content.body).hexdigest(),
        )


class _Fingerprint(BaseModel):
    fields: schemas.FileFields
    content_type: str
    charset: str | None
    sha256: str


class _Parser(MultiPartParser):
    """Takes one file, and nothing that is cut short."""

    def __init__(self, request: Request) -> None:
        super().__init__(
            request.headers, self._whole(request), max_files=1, max_fields=10, max_part_size=MOST_PART_BYTES
        )
        self._is_whole = False

    def on_end(self) -> None:
        self._is_whole = True

    async def _whole(self, request: Request) -> AsyncGenerator[bytes]:
        async for piece in request.stream():
            yield piece
        if not self._is_whole:  # raised in here it makes the parser close its files
            raise MultiPartException("it is cut short")


async def read_upload(request: Request) -> Upload:
    """Return the file of a multipart body. Raises MediaTypeError, MalformedBodyError or InvalidFieldsError."""
    media_type, _ = parse_options_header(request.headers.get("content-type", ""))
    if media_type.decode("latin-1") != MULTIPART:
        raise MediaTypeError(f"The body's type is not {MULTIPART}: send the file as its part 'file'.")
    try:
        form = await _Parser(request).parse()
    except (MultiPartException, UnicodeError) as error:  # UnicodeError: the charset that the body says it has
        raise MalformedBodyError(f"The body is not {MULTIPART}: {error}") from error
    try:
        return await _read(form)
    finally:
        await form.close()


async def _read(form: FormData) -> Upload:
    given, file = _fields(form)
    told, charset = _type_of(file)
    body = await file.read()
    if not body.strip():
        detail = "the file is empty: send one with text"
        raise InvalidFieldsError([FieldProblem(pointer=f"/{_FILE}", number=VALUE, detail=detail)])
    content_type = sniffed_type(body, told)
    if content_type is None:
        raise MediaTypeError(f"The file is binary data, not {told}: these work: {', '.join(FILE_TYPES)}.")
    name = re.split(r"[/\\]", file.filename or "")[-1]
    if not name and "external_id" not in given:
        detail = "the file has no name: give the field 'external_id'"
        raise InvalidFieldsError([FieldProblem(pointer="/external_id", number=MISSING, detail=detail)])
    value = {"external_id": name} | given
    refuse_characters(value)
    fields = validate(schemas.FileFields, value)
    content = PushedContent(body=body, content_type=content_type, charset=charset, title=fields.title)
    return Upload(fields=fields, content=content)


def _fields(form: FormData) -> tuple[dict[str, object], UploadFile]:
    """Return the fields, the metadata parsed, and the file. Raises InvalidFieldsError."""
    problems, found, file = [], dict[str, object](), None
    known = (_FILE, *schemas.FileFields.model_fields)
    for name, value in form.multi_items():
        if name not in known:
            detail = f"there is no field {name!r}: take it out, or mend its name"
            problems.append(FieldProblem(pointer=f"/{escape(name)}", number=UNKNOWN, detail=detail))
        elif name in found or (name == _FILE and file is not None):
            detail = f"the field {name!r} stands there twice: take one out"
            problems.append(FieldProblem(pointer=f"/{name}", number=VALUE, detail=detail))
        elif isinstance(value, UploadFile) != (name == _FILE):
            kind = "a file: send it with a file name" if name == _FILE else "text: send it without a file name"
            problems.append(FieldProblem(pointer=f"/{name}", number=VALUE, detail=f"the field {name!r} is {kind}"))
        elif isinstance(value, UploadFile):
            file = value
        else:
            found[name] = value
    if file is None and not problems:
        detail = "the field 'file' is missing: add it, with a file name"
        problems.append(FieldProblem(pointer=f"/{_FILE}", number=MISSING, detail=detail))
    if problems or file is None:
        raise InvalidFieldsError(problems)
    refuse_characters(found)
    metadata = found.get("metadata")
    if isinstance(metadata, str):
        found["metadata"] = parse_text(metadata, pointer="/metadata")
    return found, file


def _type_of(file: UploadFile) -> tuple[str, str | None]:
    """Return what the part says it is, or its name does where it says nothing. Raises MediaTypeError."""
    told, options = parse_options_header(file.headers.get("content-type", ""))
    media_type = told.decode("latin-1")
    normal = normal_type(media_type)
    if normal == "":
        normal = _SUFFIXES.get(PurePosixPath(file.filename or "").suffix.lower())
    if normal is None:
        detail = f"The file's type is {media_type[:80]!r}: these work: {', '.join(FILE_TYPES)}."
        raise MediaTypeError(detail)
    charset = options.get(b"charset", b"").decode("latin-1").lower()
    return normal, charset if _CHARSET.fullmatch(charset) else None
