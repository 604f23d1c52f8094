"""The client that blocks. Made from `synchronous*` by generate.py: change those."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cixml.client import core
from cixml.client.base import Metadata
from cixml.client.core import KEEP, Keep, changing, path_of, read, reading, starting, uploading, without_none
from cixml.client.given import Exclusions, PushedDocument
from cixml.client.types import (
    Chunk,
    Content,
    Corpus,
    DeletionCount,
    Document,
    DocumentDetail,
    Grant,
    GrantList,
    Job,
    Receipt,
    Source,
)

if TYPE_CHECKING:
    from cixml.client.synchronous import Client


class Corpora:
    """Make, share and delete what is searched. An own corpus is named by its name, another's by `owner:name`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def create(
        self,
        name: str,
        *,
        title: str | None = None,
        max_tokens: int | None = None,
        overlap_tokens: int | None = None,
        exclusions: Exclusions | None = None,
        require_if_match: bool = False,
    ) -> Corpus:
        """Make an empty corpus. Sizes of chunks are in tokens; what is left out is the model's default."""
        chunking = without_none(max_tokens=max_tokens, overlap_tokens=overlap_tokens)
        body = without_none(
            name=name,
            title=title,
            chunking=chunking or None,
            exclusions=exclusions.model_dump(mode="json") if exclusions else None,
            require_if_match=require_if_match or None,
        )
        return core.corpus_of(self._client.send(changing("POST", "/v1/corpora", body, is_repeatable=False)))

    def get(self, corpus: str) -> Corpus:
        return core.corpus_of(self._client.send(reading(path_of("corpora", corpus))))

    def list(self, *, most: int | None = None) -> Iterator[Corpus]:
        """Yield own and granted corpora."""
        return self._client.pages(Corpus, "/v1/corpora", {}, most=most)

    def patch(
        self,
        corpus: str,
        *,
        title: str | Keep | None = KEEP,
        exclusions: Exclusions | Keep = KEEP,
        require_if_match: bool | Keep = KEEP,
        if_match: str | None = None,
    ) -> Corpus:
        """Change settings; `if_match` is the `etag` of the corpus as it was read."""
        left_out = exclusions if isinstance(exclusions, Keep) else exclusions.model_dump(mode="json")
        fields = {"title": title, "exclusions": left_out, "require_if_match": require_if_match}
        body = {name: value for name, value in fields.items() if value is not KEEP}
        call = changing("PATCH", path_of("corpora", corpus), body, is_repeatable=if_match is None, if_match=if_match)
        return core.corpus_of(self._client.send(call))

    def delete(self, corpus: str, *, if_match: str | None = None) -> Receipt:
        """Delete a corpus with all that is in it; its receipt says when the last of it is gone."""
        call = changing("DELETE", path_of("corpora", corpus), is_repeatable=False, if_match=if_match)
        return read(Receipt, self._client.send(call))

    def grants(self, corpus: str) -> Sequence[Grant]:
        return read(GrantList, self._client.send(reading(path_of("corpora", corpus, "grants")))).content

    def grant(self, corpus: str, caller_id: str, role: str) -> Grant:
        """Let another caller be `reader`, `writer` or `owner`."""
        call = changing("PUT", path_of("corpora", corpus, "grants", caller_id), {"role": role}, is_repeatable=True)
        return read(Grant, self._client.send(call))

    def revoke(self, corpus: str, caller_id: str) -> None:
        """Take a grant away."""
        self._client.send(changing("DELETE", path_of("corpora", corpus, "grants", caller_id), is_repeatable=True))

    def sources(self, corpus: str, *, most: int | None = None) -> Iterator[Source]:
        """Yield where the live documents of a corpus come from."""
        return self._client.pages(Source, path_of("corpora", corpus, "sources"), {}, most=most)


class Documents:
    """What is in a corpus."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def list(
        self,
        corpus: str,
        *,
        url: str | None = None,
        external_id: str | None = None,
        status: Sequence[str] = (),
        language: Sequence[str] = (),
        changed_after: datetime | None = None,
        most: int | None = None,
    ) -> Iterator[Document]:
        """Yield documents, oldest first; those that are live unless `status` says otherwise."""
        params = {
            "url": url,
            "external_id": external_id,
            "status": status,
            "language": language,
            "changed_after": changed_after,
        }
        return self._client.pages(Document, path_of("corpora", corpus, "documents"), params, most=most)

    def get(self, corpus: str, document_id: str) -> DocumentDetail:
        """Return a document with its stored versions."""
        return read(DocumentDetail, self._client.send(reading(path_of("corpora", corpus, "documents", document_id))))

    def chunks(self, corpus: str, document_id: str, *, most: int | None = None) -> Iterator[Chunk]:
        """Yield the chunks of what is live of a document, in order."""
        path = path_of("corpora", corpus, "documents", document_id, "chunks")
        return self._client.pages(Chunk, path, {}, most=most)

    def content(self, corpus: str, document_id: str, *, layer: Literal["raw", "text"] = "text") -> Content:
        """Return the bytes as they came (`raw`), or the text that was cut into chunks."""
        path = path_of("corpora", corpus, "documents", document_id, "content")
        answer = self._client.send(reading(path, {"layer": layer}))
        return Content(body=answer.content, content_type=answer.headers["Content-Type"])

    def put(self, corpus: str, document: PushedDocument, *, idempotency_key: str | None = None) -> Job:
        """Push a text into a corpus that is there, by a job; under the same external id it replaces the one before."""
        body = document.model_dump(mode="json", exclude_none=True)
        call = starting("PUT", path_of("corpora", corpus, "documents"), idempotency_key, body)
        return read(Job, self._client.send(call))

    def upload(
        self,
        corpus: str,
        file: Path | bytes,
        *,
        name: str | None = None,
        media_type: str | None = None,
        external_id: str | None = None,
        title: str | None = None,
        metadata: Metadata | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Push a file, by a job. Its name gives its kind and its external id, unless they are given."""
        body = core.read_file(file) if isinstance(file, Path) else file
        fields: dict[str, Any] = without_none(external_id=external_id, title=title)
        if metadata:
            fields["metadata"] = json.dumps(metadata)
        call = uploading(
            path_of("corpora", corpus, "files"),
            idempotency_key,
            name=name or (file.name if isinstance(file, Path) else "file.txt"),
            body=body,
            media_type=media_type,
            fields=fields,
        )
        return read(Job, self._client.send(call))

    def refresh(self, corpus: str, document_id: str, *, idempotency_key: str | None = None) -> Job:
        """Fetch a document's URL again, by a job."""
        path = path_of("corpora", corpus, "documents", document_id, "refresh")
        return read(Job, self._client.send(starting("POST", path, idempotency_key)))

    def delete(self, corpus: str, document_id: str) -> Receipt:
        call = changing("DELETE", path_of("corpora", corpus, "documents", document_id), is_repeatable=False)
        return read(Receipt, self._client.send(call))

    def count_matching(self, corpus: str, **conditions: object) -> int:
        """Return how many documents `delete_matching` would delete now."""
        body = {"filter": conditions, "dry_run": True}
        call = changing("POST", path_of("corpora", corpus, "documents", "delete"), body, is_repeatable=True)
        return read(DeletionCount, self._client.send(call)).documents

    def delete_matching(self, corpus: str, **conditions: object) -> Receipt:
        """Delete the documents that pass all conditions: `url_prefix`, `external_ids`, `language`, `metadata`, ..."""
        body = {"filter": conditions}
        call = changing("POST", path_of("corpora", corpus, "documents", "delete"), body, is_repeatable=False)
        return read(Receipt, self._client.send(call))


class Receipts:
    """What became of deletions."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def get(self, receipt_id: str) -> Receipt:
        return read(Receipt, self._client.send(reading(path_of("receipts", receipt_id))))

    def wait(self, receipt_id: str, *, timeout_seconds: float = 600.0, look_seconds: float = 0.5) -> Receipt:
        """Return the receipt once nothing is left of what it names. Raises TimeoutError."""
        until = time.monotonic() + timeout_seconds
        while (receipt := self.get(receipt_id)).status != "done":
            if time.monotonic() > until:
                raise TimeoutError(f"{receipt_id} is {receipt.status} after {timeout_seconds} s")
            time.sleep(look_seconds)
        return receipt
